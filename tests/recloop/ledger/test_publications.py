"""Which parts can have changed lists, worked by hand."""

from __future__ import annotations

from recloop.database.connection import Cursor
from recloop.ledger.publications import changed_parts, parts_now
from tests.recloop.ledger.builders import accept, note_featured


def test_a_part_counts_if_it_grew_or_if_its_features_were_or_are_not_there() -> None:
    before = {"a": [3, True], "b": [3, True], "c": [3, False], "d": [3, False], "e": [3, True]}
    now = {
        **{"a": [3, True], "b": [4, True], "c": [3, False], "d": [3, True], "e": [3, False]},
        "f": [1, True],
    }
    assert changed_parts(before, now) == ["b", "c", "d", "e", "f"]


def test_the_ledger_says_how_many_events_parts_have_and_whether_features_have_them(
    cursor: Cursor,
) -> None:
    key = accept(cursor, 0, 5)
    accept(cursor, 1, 0)  # a window without events
    assert parts_now(cursor, features=True) == {key: [5, False]}
    assert parts_now(cursor, features=False) == {key: [5, True]}
    note_featured(cursor, key)
    assert parts_now(cursor, features=True) == {key: [5, True]}
    accept(cursor, 0, 2)
    assert parts_now(cursor, features=True) == {key: [7, False]}
