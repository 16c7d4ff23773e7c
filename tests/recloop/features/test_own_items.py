"""Rows of own items are made of the row before: against an oracle that looks at every event."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from recloop.calendar import WindowCalendar
from recloop.config.learnable import Meaning
from recloop.database.connection import first, transaction
from recloop.features import daily
from recloop.features.daily import build_features
from recloop.settings import Settings
from tests.recloop.features.oracle import (
    DAY,
    MONDAY,
    WEEKS,
    Event,
    at,
    expected_items,
    random_events,
    rounded,
    rows_of,
    store_events,
)

ALL_DAYS = [(MONDAY + n * DAY).date() for n in range(12 * 7)]
MOST = 3
KINDS = ("purchase", "view", "cancel")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rows keep three items only, so that most items leave and come back."""
    monkeypatch.setattr(daily, "OWN_ITEMS", MOST)
    daily._sql.cache_clear()
    yield
    daily._sql.cache_clear()


def build(settings: Settings, meaning: Meaning, *weeks: str) -> list[dict[str, Any]]:
    for week in weeks:
        build_features(settings, week, meaning)
    return rounded(rows_of(settings.database_url, "user_items"))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kinds", [(), KINDS])
def test_what_left_a_full_row_comes_back_with_its_past(
    settings: Settings, shop: Meaning, seed: int, kinds: tuple[str, ...]
) -> None:
    events = random_events(seed)
    store_events(settings.database_url, events)
    meaning = replace(shop, learn_from=kinds, negatives=()) if kinds else shop
    expected = expected_items(events, ALL_DAYS, kinds, MOST)
    assert build(settings, meaning, *WEEKS) == expected


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("seed", range(4))
def test_windows_in_any_order_and_late_ones_again(
    settings: Settings, shop: Meaning, seed: int
) -> None:
    rng = random.Random(seed)
    events = random_events(seed + 10)
    late = set(rng.sample(range(len(events)), 60))
    store_events(settings.database_url, [e for n, e in enumerate(events) if n not in late])
    order = rng.sample(WEEKS, len(WEEKS))
    build(settings, shop, *order)
    store_events(settings.database_url, [events[n] for n in sorted(late)])
    assert build(settings, shop, *rng.sample(WEEKS, len(WEEKS))) == expected_items(
        events, ALL_DAYS, most=MOST
    )


@pytest.mark.usefixtures("few")
def test_days_one_by_one_are_the_same_to_the_last_bit(settings: Settings, shop: Meaning) -> None:
    store_events(settings.database_url, random_events(3))
    build(settings, shop, *WEEKS)
    at_once = rows_of(settings.database_url, "user_items")
    with transaction(settings.database_url) as cursor:
        cursor.execute("truncate features.user_items, features.built_window")
    daily_windows = replace(shop, calendar=WindowCalendar("day"))
    build(settings, daily_windows, *(f"{day:%Y-%m-%d}" for day in ALL_DAYS))
    assert rows_of(settings.database_url, "user_items") == at_once


def test_events_that_are_read_another_way_are_all_read_again(
    settings: Settings, shop: Meaning
) -> None:
    kinds = ("purchase", "view")
    events = [Event(1, 1, at(0), "view"), Event(1, 1, at(1)), Event(1, 2, at(8))]
    store_events(settings.database_url, events)
    build(settings, shop, WEEKS[0])
    last = build(settings, replace(shop, learn_from=kinds, weights={"view": 0.5}), WEEKS[1])[-1]
    assert (last["items"], last["purchases"], last["kinds"]) == ([2, 1], [1, 2], [1, 0, 1, 1])
    weighed = expected_items(events, ALL_DAYS, kinds)[-1]["decayed_28d"][1]
    view = expected_items(events[:1] + events[2:], ALL_DAYS, kinds)[-1]["decayed_28d"][1]
    assert last["decayed_28d"][1] == pytest.approx(weighed - 0.5 * view)


def test_a_row_reads_the_days_events_and_not_the_past(settings: Settings, shop: Meaning) -> None:
    """The past is replaced by another: what was counted of it stays."""
    store_events(settings.database_url, [Event(1, 1, at(0)), Event(1, 2, at(8))])
    build(settings, shop, WEEKS[0])
    with transaction(settings.database_url) as cursor:
        cursor.execute("delete from behavior.event where event_timestamp < %s", (at(7, 0),))
        assert first(cursor, "select count(*) from behavior.event") == 1
    assert build(settings, shop, WEEKS[1])[-1]["items"] == [2, 1]
