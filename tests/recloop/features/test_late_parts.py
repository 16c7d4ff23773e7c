"""The training set of a late part: its events only, with all that was known when their days began."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from recloop.config.learnable import Meaning
from recloop.contracts import TrainingSet
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.features.artefact import is_intact
from recloop.features.daily import build_features
from recloop.features.training_set import build_training_set
from recloop.settings import Settings
from tests.recloop.features.oracle import (
    DAY,
    MONDAY,
    WEEKS,
    Event,
    at,
    expected_history,
    purchases,
    random_events,
    store_events,
)

WEEK = WEEKS[5]
START = MONDAY + 5 * 7 * DAY


def table(training_set: TrainingSet, name: str) -> list[dict[str, Any]]:
    return pq.read_table(Path(training_set.uri) / f"{name}.parquet").to_pylist()


def make_late(url: str, events: list[Event]) -> None:
    with transaction(url) as cursor:
        cursor.execute(
            "update behavior.event set part = 1 where event_id = any(%s::uuid[])",
            ([event.event_id for event in events],),
        )


def taken(training_set: TrainingSet) -> list[tuple[int, int, Any]]:
    queries = {row["query_id"]: row["user_key"] for row in table(training_set, "queries")}
    return sorted(
        (queries[row["query_id"]], row["item_key"], row["event_timestamp"])
        for row in table(training_set, "interactions")
    )


def test_each_event_of_the_week_is_in_one_part_and_each_part_knows_all_days_before(
    settings: Settings, shop: Meaning
) -> None:
    events = [*random_events(3), Event(1, 1, START + DAY), Event(2, 2, START + 2 * DAY)]
    inside = [e for e in purchases(events) if START <= e.at < START + 7 * DAY]
    late = inside[::3]
    store_events(settings.database_url, events)
    make_late(settings.database_url, late)
    for week in WEEKS[:6]:
        build_features(settings, week, shop)
    first, second = (build_training_set(settings, key, shop) for key in (WEEK, f"{WEEK}+1"))

    assert (first.window, second.window) == (WEEK, f"{WEEK}+1")
    assert Path(second.uri).parent.name == f"{WEEK}+1"
    for made, expected in ((first, set(inside) - set(late)), (second, late)):
        assert taken(made) == sorted((e.user, e.item, e.at) for e in expected)
        for row in table(made, "queries"):
            midnight = row["event_timestamp"].replace(hour=0, minute=0, second=0)
            assert row["history"] == expected_history(events, row["user_key"], midnight)
            assert row["all_purchases"] == sum(
                e.user == row["user_key"] and e.at < midnight for e in purchases(events)
            )
    days = {row["event_timestamp"].date() for row in table(second, "queries")}
    assert {row["day"] for row in table(second, "item_days")} <= {
        (day - at(0).date()).days + (at(0) - at(0).replace(1970, 1, 1)).days for day in days
    }


def test_late_events_of_earlier_days_are_known_to_a_late_part_and_later_ones_are_not(
    settings: Settings, shop: Meaning
) -> None:
    events = [
        Event(1, 1, START + timedelta(hours=9)),
        Event(1, 2, START + DAY),  # late
        Event(1, 3, START + 2 * DAY),  # late
        Event(1, 4, START + 3 * DAY),
    ]
    store_events(settings.database_url, events)
    make_late(settings.database_url, events[1:3])
    build_features(settings, WEEK, shop)
    late = table(build_training_set(settings, f"{WEEK}+1", shop), "queries")
    assert [row["history"] for row in late] == [[1], [2, 1]]


def test_a_part_without_events_is_empty_and_a_key_without_sense_is_refused(
    settings: Settings, shop: Meaning
) -> None:
    store_events(settings.database_url, [Event(1, 1, START)])
    build_features(settings, WEEK, shop)
    empty = build_training_set(settings, f"{WEEK}+1", shop)
    assert (empty.queries, empty.interactions) == (0, 0)
    assert is_intact(empty)
    (Path(empty.uri) / "queries.parquet").write_bytes(b"")
    assert not is_intact(empty)
    with pytest.raises(BadInput, match="not the key of a part"):
        build_training_set(settings, f"{WEEK}+one", shop)
