"""Whether data suit a family, on events of two weeks that are counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from models.recommenders.family import family_named
from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.database.schema import ensure_event_partitions
from recloop.features.fit import data_fit

EVENT = """
insert into behavior.event
    (event_id, file_id, line_no, window_key, user_key, item_key, event_type, event_timestamp, value)
values (gen_random_uuid(), 1, %s, %s, %s, %s, 'click', %s, %s)
"""


@pytest.fixture
def cursor(database_url: str) -> Any:
    """Users 1 and 2 click in the first week; 2 and 3 in the second: 2 twice within ten minutes, 3 twice
    with two hours between."""
    with transaction(database_url) as cursor:
        ensure_event_partitions(
            cursor, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 15, tzinfo=UTC)
        )
        for user in "abc":
            cursor.execute(
                "insert into behavior.account (user_id, first_seen) values (%s, now())", (user,)
            )
        cursor.execute("insert into behavior.item (item_id, first_seen) values ('x', now())")
        cursor.execute("select user_key from behavior.account order by user_id")
        a, b, c = (key for (key,) in cursor.fetchall())
        cursor.execute("select item_key from behavior.item")
        ((x,),) = cursor.fetchall()
        for line, (week, user, when, value) in enumerate(
            [
                ("2024-01-01", a, "2024-01-02 10:00Z", 3.0),
                ("2024-01-01", b, "2024-01-02 11:00Z", 3.0),
                ("2024-01-08", b, "2024-01-09 10:00Z", 3.0),
                ("2024-01-08", b, "2024-01-09 10:10Z", 3.0),
                ("2024-01-08", c, "2024-01-09 10:00Z", 3.0),
                ("2024-01-08", c, "2024-01-09 12:00Z", 3.0),
            ]
        ):
            cursor.execute(EVENT, (line, week, user, x, when, value))
        yield cursor


def test_a_type_that_no_event_has_is_named_with_those_there_are(cursor: Any) -> None:
    found = data_fit(cursor, family_named("sessions"), Meaning(("click", "purchsae")))
    assert not found.suits
    assert "no event at all is of type purchsae" in found.detail
    assert found.remedy == "types in the log are click: correct event.learn_from"


def test_of_labels_clicks_need_their_opposite(cursor: Any) -> None:
    family = family_named("click_through")
    alone = data_fit(cursor, family, Meaning(("click",)))
    assert alone.suits
    assert alone.detail.endswith("clicks alone: negatives are drawn")
    always = data_fit(cursor, family, Meaning(("click",), minimum_value=1.0, labelled=True))
    assert not always.suits
    assert "100.0% of them clicked" in always.detail


def test_sessions_are_counted_with_the_gap_of_the_dataset_file(cursor: Any) -> None:
    family = family_named("sessions")
    half_an_hour = data_fit(cursor, family, Meaning(("click",), session_gap=1800.0))
    assert half_an_hour.suits
    assert "4 events, 2 users, 1 items in the newest window, 25% follow" in half_an_hour.detail
    three_hours = data_fit(cursor, family, Meaning(("click",), session_gap=10_800.0))
    assert "50% follow" in three_hours.detail
    a_minute = data_fit(cursor, family, Meaning(("click",), session_gap=60.0))
    assert not a_minute.suits
    assert "session_gap" in a_minute.remedy


def test_a_rating_that_never_differs_is_told(cursor: Any) -> None:
    found = data_fit(cursor, family_named("ratings"), Meaning(("click",), valued=True))
    assert not found.suits
    assert "1 different values" in found.detail


def test_users_who_come_back_are_those_with_an_event_before_the_window(cursor: Any) -> None:
    found = data_fit(cursor, family_named("retrieve_and_rank"), Meaning(("click",)))
    assert found.suits
    assert "50% by users who had one before" in found.detail


def test_without_events_nothing_is_wrong_yet(database_url: str) -> None:
    with transaction(database_url) as cursor:
        assert data_fit(cursor, family_named("sessions"), Meaning(("click",))).suits
