"""Planted future leaks: each must be caught, and by the guard, not by luck."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.errors import BadData, CheckCrashed
from recloop.features.daily import build_features
from recloop.features.store import feature_store
from recloop.features.training_set import build_training_set
from recloop.settings import Settings
from tests.recloop.features.oracle import WEEKS, Event, at, store_events

# User 1 buys on four days; the queries that can leak are those of days 7 to 9.
EVENTS = [
    Event(1, 5, at(3, 10)),
    Event(1, 6, at(7, 9)),
    Event(1, 7, at(7, 18)),
    Event(1, 8, at(8, 9)),
    Event(2, 9, at(9, 9)),
]


@pytest.fixture
def leaky(settings: Settings, shop: Meaning) -> Settings:
    """A database with sound features, into which a test plants its leak."""
    store_events(settings.database_url, EVENTS)
    for week in WEEKS[:3]:
        build_features(settings, week, shop)
    return settings


def plant(settings: Settings, statement: str, *values: object) -> None:
    with transaction(settings.database_url) as cursor:
        cursor.execute(statement, values)
        assert cursor.rowcount > 0, "the leak was not planted"


def test_sound_features_pass(leaky: Settings, shop: Meaning) -> None:
    assert build_training_set(leaky, WEEKS[1], shop).queries == 3


@pytest.mark.parametrize("table", ["user_statistics", "user_history"])
def test_rows_stamped_a_day_early_are_caught(leaky: Settings, shop: Meaning, table: str) -> None:
    plant(
        leaky,
        f"with gone as (delete from features.{table} returning *), "
        "moved as (select * from gone) "
        f"insert into features.{table} select (jsonb_populate_record(null::features.{table}, "
        "to_jsonb(moved) || jsonb_build_object('event_timestamp', "
        "event_timestamp - interval '1 day'))).* from moved",
    )
    with pytest.raises(BadData, match=r"leak: 3 of 3 .*user_key 1: newest event 2011-01-10 18:00"):
        build_training_set(leaky, WEEKS[1], shop)


@pytest.mark.parametrize("table", ["item_statistics", "item_content"])
def test_items_known_from_after_the_window_are_caught(
    leaky: Settings, shop: Meaning, table: str
) -> None:
    if table == "item_content":
        plant(
            leaky,
            "insert into features.item_content values (8, %s, 'NAME', '{1}', %s)",
            at(10, 0),
            at(20),
        )
    else:
        plant(
            leaky,
            "update features.item_statistics set newest_event_at = %s where item_key = 8",
            at(14, 0),
        )
    with pytest.raises(BadData, match=r"future leak: 1 of 4 .*item_key 8: newest event"):
        build_training_set(leaky, WEEKS[1], shop)


def test_a_history_with_items_of_its_own_day_is_caught(leaky: Settings, shop: Meaning) -> None:
    """The row lies about its newest event; the recount from the events does not believe it."""
    plant(
        leaky,
        "update features.user_history set history = '{6,5}' where user_key = 1 and event_timestamp = %s",
        at(4, 0),
    )
    with pytest.raises(
        BadData, match=r"user_key 1 at 2011-01-10 09:00:00: history from position 0"
    ):
        build_training_set(leaky, WEEKS[1], shop)


def test_a_count_that_includes_its_own_day_is_caught(leaky: Settings, shop: Meaning) -> None:
    plant(
        leaky,
        "update features.user_statistics set purchases_28d = purchases_28d + 2 "
        "where user_key = 1 and event_timestamp = %s",
        at(7, 0),
    )
    with pytest.raises(BadData, match=r"purchases_28d is 3, the events say 1"):
        build_training_set(leaky, WEEKS[1], shop)


def test_a_statistic_of_the_day_itself_is_caught_though_counts_agree(
    leaky: Settings, shop: Meaning
) -> None:
    plant(
        leaky,
        "update features.user_statistics set newest_event_at = %s "
        "where user_key = 1 and event_timestamp = %s",
        at(7, 0),
        at(7, 0),
    )
    with pytest.raises(BadData, match=r"newest event 2011-01-10 00:00:00, known only from"):
        build_training_set(leaky, WEEKS[1], shop)


def test_features_that_lack_late_events_are_stale_not_leaky(leaky: Settings, shop: Meaning) -> None:
    store_events(leaky.database_url, [Event(1, 77, at(2, 8))])
    with pytest.raises(CheckCrashed, match=r"stale features: 2 of 3 queries .* build its features"):
        build_training_set(leaky, WEEKS[1], shop)
    build_features(leaky, WEEKS[0], shop)
    assert build_training_set(leaky, WEEKS[1], shop).queries == 3


@pytest.mark.parametrize(("ahead", "joined"), [(timedelta(seconds=1), None), (timedelta(0), 41)])
def test_a_feature_one_second_ahead_is_not_joined(
    settings: Settings, ahead: timedelta, joined: int | None
) -> None:
    moment = at(3, 10)
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            "insert into features.user_statistics values (%s, 1, 41, 41, 0, 1, 0, %s)",
            (moment + ahead, at(0)),
        )
    job = feature_store(settings).get_historical_features(
        entity_df="select 1::bigint as user_key, "
        f"'{moment.isoformat()}'::timestamptz as event_timestamp",
        features=["user_statistics:purchases_7d"],
    )
    assert job.to_arrow()["purchases_7d"].to_pylist() == [joined]
