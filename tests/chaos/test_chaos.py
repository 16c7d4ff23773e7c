"""The chaos command itself: its order, its table, and that its questions to the books are valid."""

from __future__ import annotations

from collections import Counter

from psycopg2.extensions import cursor as Cursor

from tests.chaos.__main__ import Case, order, table
from tests.chaos.invariants import broken, lost
from tests.chaos.kills import VICTIMS


def test_each_kind_has_its_share_of_the_kills_in_an_order_that_the_seed_gives() -> None:
    kinds = list(VICTIMS)
    chosen = order(3, 40, kinds)
    counts = Counter(chosen)
    assert len(chosen) == 40
    assert set(counts) == set(kinds)
    assert min(counts.values()) == 3
    assert max(counts.values()) == 4
    assert chosen == order(3, 40, kinds)
    assert chosen != order(4, 40, kinds)


def test_books_without_a_champion_and_with_lines_that_are_nowhere_are_told(cursor: Cursor) -> None:
    assert broken(cursor, 10) == ["there is not one champion"]
    assert lost(cursor, 10) == 10
    for line in (1, 2):
        cursor.execute(
            "insert into behavior.quarantine (file_id, line_no, rule, rules, line) "
            "values (1, %s, 'bad', '{bad}', '{}')",
            (line,),
        )
    assert lost(cursor, 10) == 8
    assert "there are more lines than were delivered" in broken(cursor, 1)


def test_the_table_tells_tries_and_the_longest_time_by_kind() -> None:
    cases = [
        Case(1, "scheduler", 31.2, 60.0),
        Case(2, "scheduler", 50.4, 61.0),
        Case(3, "task", None, None, ["no task was done"]),
    ]
    assert table(cases).splitlines()[2:] == [
        "| task | 1 | 0 | – | – | – | 1 |",
        "| scheduler | 2 | 2 | 41 | 50 | 61 | 0 |",
    ]
