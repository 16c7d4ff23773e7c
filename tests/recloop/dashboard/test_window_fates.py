"""Each window's fate and the sentence of its decision."""

from __future__ import annotations

from recloop.dashboard.window_fates import SIGNS, count_windows, read_windows
from tests.recloop.dashboard.lives import RUN, key, live


def test_each_fate_is_told_newest_first(cursor) -> None:
    live(cursor)
    rows = read_windows(cursor)
    assert [(row["window_key"], row["told"], row["sign"]) for row in rows] == [
        (key(7), "landed, not validated yet", "↓"),
        (key(6), "no events", "∅"),
        (key(5), "refused by validation", "✗"),
        (key(4), "waiting", "…"),
        (key(3), "waiting, rejected", "…"),
        (key(2), "learnt in release 2", "✓"),
        (key(1), "learnt in release 2", "✓"),
        (key(0), "learnt in release 1", "✓"),
    ]
    by_key = {row["window_key"]: row for row in rows}
    assert by_key[key(5)]["why"] == "3 events, not 90"
    assert by_key[key(4)]["why"] == "accepted by vera: a sale"
    assert (by_key[key(4)]["quarantined"], by_key[key(4)]["rules"]) == (4, {"price": 4})
    assert (by_key[key(3)]["why"], by_key[key(3)]["gate"]) == ("test; refused: worse", "refused")
    assert (by_key[key(2)]["gate"], by_key[key(2)]["holder"]) == ("passed", RUN)
    assert (by_key[key(1)]["decision"], by_key[key(1)]["why"]) == ("skip", "too few events")
    assert (by_key[key(0)]["late"], by_key[key(0)]["late_waiting"]) == (7, 7)
    assert {row["fate"] for row in rows} == set(SIGNS)
    assert count_windows(cursor) == {"featured": 4, "landed": 1, "refused": 1, "validated": 2}


def test_a_page_begins_before_a_window_and_ends(cursor) -> None:
    live(cursor)
    assert [row["window_key"] for row in read_windows(cursor, key(3), 2)] == [key(2), key(1)]
    assert read_windows(cursor, key(0), 2) == []


def test_after_a_rollback_a_window_waits_again(cursor) -> None:
    from recloop.ledger import releases

    live(cursor)
    releases.roll_back(cursor, 1, "worse")
    told = {row["window_key"]: row["told"] for row in read_windows(cursor)}
    assert (told[key(0)], told[key(2)]) == ("learnt in release 1", "waiting, promoted")
