"""Training sets with labels, on events that are told by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from recloop.calendar import WindowCalendar
from recloop.config.event_spec import LearnFrom
from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.database.schema import ensure_event_partitions
from recloop.features.training_set import _interactions, _Part

EVENT = """
insert into behavior.event
    (event_id, file_id, line_no, window_key, user_key, item_key, event_type, event_timestamp, value)
values (gen_random_uuid(), 1, %s, '2024-01-01', %s, %s, %s, %s, %s)
"""


@pytest.fixture
def cursor(database_url: str) -> Any:
    """One user: item 1 is shown and then clicked, 2 is shown, 3 is clicked without having been shown;
    the next day 1 is shown again."""
    with transaction(database_url) as cursor:
        ensure_event_partitions(
            cursor, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 8, tzinfo=UTC)
        )
        cursor.execute("insert into behavior.account (user_id, first_seen) values ('a', now())")
        for item in "xyz":
            cursor.execute(
                "insert into behavior.item (item_id, first_seen) values (%s, now())", (item,)
            )
        cursor.execute("select user_key from behavior.account")
        ((user,),) = cursor.fetchall()
        cursor.execute("select item_key from behavior.item order by item_id")
        x, y, z = (key for (key,) in cursor.fetchall())
        for line, (item, kind, when, value) in enumerate(
            [
                (x, "view", "2024-01-02 10:00Z", None),
                (y, "view", "2024-01-02 10:01Z", None),
                (x, "click", "2024-01-02 10:02Z", 5.0),
                (z, "click", "2024-01-02 10:03Z", 2.0),
                (x, "view", "2024-01-03 10:00Z", None),
            ]
        ):
            cursor.execute(EVENT, (line, user, item, kind, when, value))
        yield cursor


def told(cursor: Any, **meaning: Any) -> list[tuple[int, int, float]]:
    """query_id, place of the item, label."""
    window = WindowCalendar("week").parse("2024-01-01")
    rows = _interactions(cursor, _Part(window, 0, Meaning(("click",), **meaning))).to_pylist()
    first = min(row["item_key"] for row in rows)
    return [(row["query_id"], row["item_key"] - first + 1, row.get("label", -1)) for row in rows]


def test_what_was_shown_and_chosen_is_one_example(cursor: Any) -> None:
    found = told(cursor, labelled=True, shown=("view",))
    assert found == [(0, 2, 0.0), (0, 1, 1.0), (0, 3, 1.0), (1, 1, 0.0)]


def test_a_low_value_is_no_click(cursor: Any) -> None:
    assert told(cursor, labelled=True, minimum_value=4.0) == [(0, 1, 1.0), (0, 3, 0.0)]


def test_without_labels_there_are_clicks_alone(cursor: Any) -> None:
    assert told(cursor, shown=("view",)) == [(0, 1, -1), (0, 3, -1)]


def test_a_type_is_a_choice_or_what_was_shown() -> None:
    with pytest.raises(ValueError, match="either a choice or what was shown"):
        LearnFrom(types=("click",), shown=("view", "click"))
