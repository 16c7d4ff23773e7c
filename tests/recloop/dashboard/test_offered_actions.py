"""Which forms a page has as things stand."""

from __future__ import annotations

import pytest

from recloop.dashboard.freshness import read_freshness
from recloop.dashboard.offered_actions import Form, offered_forms, run_of
from recloop.dashboard.release_lineage import read_releases
from recloop.ledger import pins
from recloop.settings import Settings
from tests.recloop.dashboard.lives import NOW, evaluate, key, live


def forms(cursor, settings: Settings) -> dict[str, Form]:
    fresh = read_freshness(cursor, settings, NOW)
    return {form.action: form for form in offered_forms(fresh, read_releases(cursor))}


def test_before_anything_one_can_start_a_plan(cursor, settings: Settings) -> None:
    assert list(forms(cursor, settings)) == ["start"]


def test_what_can_be_done_with_a_champion_and_a_refused_window(cursor, settings: Settings) -> None:
    live(cursor)
    found = forms(cursor, settings)
    assert list(found) == ["accept", "start", "pin", "rollback"]
    assert found["accept"].fields[0].choices == ((key(5), key(5)),)
    assert [value for value, _ in found["rollback"].fields[0].choices] == ["1"]
    pins.pin(cursor, "vera", "sale week")
    assert list(forms(cursor, settings)) == ["accept", "start", "unpin", "rollback"]
    cursor.execute("update ledger.release set thinned_at = now() where version = 1")
    assert "rollback" not in forms(cursor, settings), "its files are gone"


def test_a_question_of_a_run_can_be_answered_and_one_at_a_terminal_cannot(
    cursor, settings: Settings
) -> None:
    live(cursor)
    update_id = evaluate(cursor, 4, ask="it is a rebuild")
    found = forms(cursor, settings)
    assert next(iter(found)) == "answer", "it is the most urgent"
    assert found["answer"].given == {"update": str(update_id)}
    assert [value for value, _ in found["answer"].buttons] == ["approve", "reject"]
    cursor.execute(
        "update ledger.update set holder = 'command line host 1' where state = 'evaluated'"
    )
    assert "answer" not in forms(cursor, settings)


@pytest.mark.parametrize(
    ("holder", "run"),
    [
        ("incremental_update manual__2026-01-01T00:00:00+00:00",
         ("incremental_update", "manual__2026-01-01T00:00:00+00:00")),
        ("home_page.full_rebuild a b", ("home_page.full_rebuild", "a b")),
        ("command line host 1", None),
        ("incremental_update", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_run_that_holds_an_update(holder: str, run: tuple[str, str] | None) -> None:
    assert run_of(holder) == run
