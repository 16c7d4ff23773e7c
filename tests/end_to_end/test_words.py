"""A person's word on the page *Recommenders*, through a real Airflow into the ledger: a challenger is
rejected, a plan started, its challenger approved, the champion rolled back, a refused window taken."""

from __future__ import annotations

import time
from typing import Any

import pytest

from recloop.database.connection import transaction
from recloop.errors import WindowRefused
from recloop.ledger import window_states
from recloop.stages import ingest_stages
from tests.end_to_end.conftest import Loop
from tests.end_to_end.person import NOTHING, PERSON, SCREENSHOTS

pytestmark = [pytest.mark.airflow, pytest.mark.browser]
SHORT = "2011-02-28"
"""A week after the file's last, of which there is half an hour."""
LEGEND = "Promote the challenger?"


def pressed(loop: Loop, page: Any, legend: str, reason: str, button: str, **fields: str) -> str:
    """Fill a form of the page and press its button; returns the id of the run that it is about."""
    page.goto("/recloop/default/")
    form = page.locator("form", has=page.locator("legend", has_text=legend))
    for name, value in fields.items():
        place = form.locator(f"[name={name}]")
        if place.evaluate("one => one.tagName") == "SELECT":
            place.select_option(value)
        else:
            place.fill(value)
    form.get_by_label("Reason").fill(reason)
    page.screenshot(path=SCREENSHOTS / f"word-{button.replace(' ', '-').lower()}.png")
    form.get_by_role("button", name=button, exact=True).click()
    page.get_by_role("status").wait_for()
    link = page.get_by_role("link", name="The run in Airflow")
    run_id = str(link.evaluate("one => decodeURIComponent(one.href.split('/runs/')[1])"))
    page.goto(NOTHING)
    return run_id


def wait_for_the_question(loop: Loop, run_id: str) -> None:
    loop.client.wait_until(
        lambda: (
            loop.client.task_states("incremental_update", run_id)["approve"] == "awaiting_input"
        ),
        240,
        "the run to ask",
    )
    # An answer within a second of the question finds Airflow's scheduler without its executor's word
    # that the task has parked: it takes the task for one that was killed, and asks again.
    time.sleep(5)


def test_a_challenger_is_rejected(loop: Loop, page: Any) -> None:
    window = loop.oldest_waiting()
    before = loop.champion()
    run_id = loop.start_update(
        {"plan": "increment", "window": window, "approval": True, "epochs": 1}
    )
    wait_for_the_question(loop, run_id)
    assert pressed(loop, page, LEGEND, "the sale is over", "Reject") == run_id
    assert loop.finish(run_id)["promote"] == "skipped"
    [(state, reason, approval)] = loop.rows(
        "select state, reason, approval from ledger.update order by update_id desc limit 1"
    )
    assert (state, reason) == ("rejected", f"rejected in Airflow by {PERSON}: the sale is over")
    told = (approval["answer"], approval["by"], approval["why"])
    assert told == ("rejected", PERSON, "the sale is over")
    assert loop.champion() == before


def test_a_plan_is_started_approved_and_rolled_back(loop: Loop, page: Any) -> None:
    window = loop.oldest_waiting()
    before = loop.champion()  # only now: where nothing waited, the champion was rolled back
    run_id = pressed(
        loop, page, "Start a plan", "learn it now", "Start",
        plan="increment", window=window, approval="yes",
    )  # fmt: skip
    wait_for_the_question(loop, run_id)
    assert pressed(loop, page, LEGEND, 'it is "better" <b>', "Approve") == run_id
    loop.finish(run_id)
    now = loop.champion()
    assert now != before
    [(state, reason, approval)] = loop.rows(
        f"select state, u.reason, approval from ledger.update u join ledger.release using (update_id) "
        f"where version = {now}"
    )
    assert (state, approval["answer"], approval["by"]) == ("promoted", "approved", PERSON)
    assert approval["why"] == 'it is "better" <b>'
    assert "learn it now" in reason

    user = loop.one("select user_id from behavior.account order by user_key limit 1")
    page.goto("/recloop/default/")
    page.locator("input[name=user]").fill(user)
    page.get_by_role("button", name="Show").click()
    # Two releases are opened, and asked, before the page says a word.
    page.get_by_role("heading", name=f"What {user} is shown").wait_for(timeout=180_000)
    assert page.locator("h2[id^=r]").all_inner_texts() == [
        f"Now, by release {now}", f"By the release before, {before}"
    ]  # fmt: skip
    shown = page.locator("table")
    assert [shown.nth(n).locator("tr").count() for n in range(shown.count())] == [11, 11]
    page.screenshot(path=SCREENSHOTS / "recommended.png", full_page=True)

    run_id = pressed(loop, page, "Roll back", "it sells less", "Roll back", version=str(before))
    assert loop.client.wait_for_run("rollback_release", run_id, 120) == "success"
    assert loop.rows("select version, reason from ledger.reign where ended_at is null") == [
        (before, f"rolled back from {now}: it sells less")
    ]


def test_a_refused_window_is_accepted(loop: Loop, page: Any) -> None:
    data = loop.settings.data
    assert data is not None
    lines = data.read_text(encoding="cp1252").splitlines(keepends=True)
    when = lines[-1].split(",")[-4]
    late = [line.replace(when.split(" ")[0], "3/1/2011") for line in lines[-20:]]
    data.write_text("".join([*lines, *late]), encoding="cp1252")
    ingest_stages.land(SHORT, loop.settings)
    with pytest.raises(WindowRefused):
        ingest_stages.validate(SHORT, loop.settings)
    run_id = pressed(
        loop, page, "Accept a refused window", "we moved house", "Accept", window=SHORT
    )
    assert loop.client.wait_for_run("ingest_behavior", run_id, 240) == "success"
    with transaction(loop.settings.database_url) as cursor:
        assert window_states.state_of(cursor, SHORT) == "featured"
        report = window_states.validation_of(cursor, SHORT)
    assert report is not None
    assert report.acceptance is not None
    assert (report.acceptance.by, report.acceptance.reason) == (PERSON, "we moved house")
