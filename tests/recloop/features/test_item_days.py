"""Statistics of items at the start of a day: against the oracle, of no day, of a day that leaks."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import pytest

from recloop.calendar import WindowCalendar
from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.errors import BadData
from recloop.features import ranker_inputs
from recloop.features.daily import build_features
from recloop.features.ranker_inputs import ITEM_STATISTICS, item_snapshot, join_item_days, schemas
from recloop.settings import Settings
from tests.recloop.features.oracle import (
    DAY,
    WEEKS,
    Event,
    at,
    expected_statistics,
    store_events,
)

EVENTS = [
    Event(1, 5, at(3, 10), price=4.0),
    Event(2, 5, at(6, 23, 59), price=2.0),
    Event(2, 6, at(7, 0), price=None),
    Event(1, 6, at(8, 9), kind="cancel"),
]

DAYS = WindowCalendar("week")


@pytest.fixture
def shelf(settings: Settings, shop: Meaning) -> Settings:
    """Two items in two weeks; the second is first sold at the midnight between them."""
    store_events(settings.database_url, EVENTS)
    for week in WEEKS[:2]:
        build_features(settings, week, shop)
    return settings


def joined(settings: Settings, *moments: datetime) -> list[dict[str, object]]:
    days = " union all ".join(f"select '{moment.isoformat()}'::timestamptz" for moment in moments)
    with transaction(settings.database_url) as cursor:
        table = join_item_days(settings, cursor, days, DAYS)
    assert table.schema == schemas()["item_days"]
    return table.to_pylist()


def test_each_day_has_what_happened_before_it_of_the_items_that_were_active(
    shelf: Settings,
) -> None:
    moments = [at(11, 0), at(7, 0), at(3, 0)]
    expected = [
        {
            "day": round(row["event_timestamp"].timestamp() / 86_400),
            "item_key": row["item_key"],
            **{name: row[name] for name in ITEM_STATISTICS},
        }
        for row in expected_statistics(EVENTS, "item", [(m - DAY).date() for m in moments[::-1]])
    ]
    assert [(row["item_key"], row["purchases_7d"]) for row in expected] == [(5, 2), (5, 1), (6, 1)]
    assert joined(shelf, *moments) == expected


def test_nothing_is_asked_of_the_store_for_a_day_without_a_row(
    shelf: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranker_inputs, "point_in_time_join", lambda *_: pytest.fail("it was asked"))
    assert joined(shelf, at(3, 0), at(7, 0) + timedelta(seconds=1)) == []


def test_a_snapshot_is_scaled_and_holds_the_day_that_was_asked_for(shelf: Settings) -> None:
    taken = item_snapshot(shelf, at(7, 0), DAYS)
    assert (taken.item_keys.tolist(), taken.values.shape) == ([5], (1, 1, 5))
    # Two purchases by two buyers, a median price of 3, nothing cancelled.
    expected = [math.log1p(number) for number in (2, 2, 2, 3, 0)]
    assert taken.values[0, 0].tolist() == pytest.approx(expected, rel=1e-6)
    none = item_snapshot(shelf, at(2, 0), DAYS)
    assert (len(none.item_keys), none.moments) == (0, 1)


def test_a_row_that_knows_of_its_own_day_is_a_leak(shelf: Settings) -> None:
    with transaction(shelf.database_url) as cursor:
        cursor.execute(
            "update features.item_statistics set newest_event_at = event_timestamp "
            "where event_timestamp = %s",
            (at(7, 0),),
        )
    assert len(joined(shelf, at(9, 0))) == 2
    with pytest.raises(BadData, match=r"future leak: 1 of 1 .*item_key 5: newest event 2011-01-10"):
        item_snapshot(shelf, at(7, 0), DAYS)
