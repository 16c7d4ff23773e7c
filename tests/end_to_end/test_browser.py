"""A person in a browser: logs in, fills forms, rejects one promotion and approves another.

Leaves screenshots in `var/screenshots`.
"""

from __future__ import annotations

from typing import Any

import pytest

from recloop.database.connection import transaction
from recloop.ledger import releases
from tests.end_to_end.conftest import Loop
from tests.end_to_end.person import NOTHING, PERSON, SCREENSHOTS, submit

WHY = "4711"
"""A reason that looks like a number is a reason."""
pytestmark = [pytest.mark.airflow, pytest.mark.browser]


def answer(
    loop: Loop, page: Any, run_id: str, option: str, why: str | None = None
) -> dict[str, str]:
    """Wait until the run asks, read the question, say why, click; returns the task states in the
    end."""
    states = loop.client.task_states
    page.goto(NOTHING)
    loop.client.wait_until(
        lambda: states("incremental_update", run_id)["approve"] == "awaiting_input",
        240,
        "the run to ask",
    )
    page.goto(f"/dags/incremental_update/runs/{run_id}/tasks/approve/required_actions")
    page.get_by_text("challenger", exact=True).first.wait_for()
    if why:
        page.locator("[name=element_why]").fill(why)
    page.screenshot(path=SCREENSHOTS / f"{option.lower()}-asked.png")
    page.get_by_test_id(f"hitl-option-{option}").click()
    page.goto(NOTHING)
    found = loop.finish(run_id)
    page.goto(f"/dags/incremental_update/runs/{run_id}")
    badge = page.get_by_test_id("header-card").get_by_test_id("state-badge").first
    badge.wait_for()
    assert "success" in badge.inner_text().lower()
    page.screenshot(path=SCREENSHOTS / f"{option.lower()}-done.png")
    return found


def note(loop: Loop, run_id: str) -> str:
    """What Airflow shows beside the run."""
    runs = loop.client.runs("incremental_update")
    return str(next(run["note"] for run in runs if run["dag_run_id"] == run_id))


def oldest_pending(loop: Loop) -> str:
    with transaction(loop.settings.database_url) as cursor:
        return releases.pending(cursor)[0]


def last_update(loop: Loop) -> tuple[Any, ...]:
    return loop.rows(
        "select u.state, u.reason, approval->>'answer', approval->>'by', version "
        "from ledger.update u left join ledger.release using (update_id) "
        "order by update_id desc limit 1"
    )[0]


def test_a_person_rejects_a_promotion_and_the_ledger_knows_who(loop: Loop, page: Any) -> None:
    window = loop.oldest_waiting()
    champion = loop.one("select version from ledger.reign where ended_at is null")
    run_id = loop.start_update({"plan": "increment", "window": window, "approval": True})
    states = answer(loop, page, run_id, "Reject", WHY)
    assert (states["approve"], states["promote"]) == ("success", "skipped")
    state, reason, said, by, version = last_update(loop)
    assert (state, said, by, version) == ("rejected", "rejected", PERSON, None)
    assert reason == f"rejected in Airflow by {PERSON}: {WHY}"
    told = note(loop, run_id)
    assert told.startswith(f"window {window}: increment: ")
    assert told.endswith(f"window {window}: rejected in Airflow by {PERSON}: {WHY}")
    assert loop.one("select version from ledger.reign where ended_at is null") == champion
    assert oldest_pending(loop) == window


def test_a_person_fills_the_form_and_approves_the_promotion(loop: Loop, page: Any) -> None:
    window = oldest_pending(loop)
    fields = {"window": window, "reason": "a browser test", "approval": True}
    run_id = submit(loop.client, page, "incremental_update", fields)
    states = answer(loop, page, run_id, "Approve")
    assert states["promote"] == "success"
    state, reason, said, by, version = last_update(loop)
    assert (state, said, by) == ("promoted", "approved", PERSON)
    assert "a browser test" in reason
    assert loop.one("select version from ledger.reign where ended_at is null") == version

    run = next(r for r in loop.client.runs("incremental_update") if r["dag_run_id"] == run_id)
    assert run["conf"]["window"] == window
    assert run["conf"]["reason"] == "a browser test"
    assert run["triggering_user_name"] == PERSON
    assert note(loop, run_id).endswith(f"release {version} is champion")
    pictures = [
        SCREENSHOTS / f"{name}.png" for name in ("form-incremental_update", "approve-asked")
    ]
    assert all(picture.stat().st_size > 10_000 for picture in pictures)
