"""Daily rows against an oracle that looks at every event; repeated, late and unordered builds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.features.daily import build_features
from recloop.settings import Settings
from tests.recloop.features.oracle import (
    DAY,
    MONDAY,
    WEEKS,
    Event,
    at,
    expected_histories,
    expected_items,
    expected_statistics,
    random_events,
    rounded,
    rows_of,
    store_events,
    store_items,
)

ALL_DAYS = [(MONDAY + n * DAY).date() for n in range(12 * 7)]
TABLES = ("user_statistics", "item_statistics", "user_history", "user_items", "item_content")


def everything(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    return {table: rows_of(settings.database_url, table) for table in TABLES}


def build(settings: Settings, shop: Meaning, *weeks: str) -> None:
    for week in weeks:
        build_features(settings, week, shop)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_equal_the_oracles(settings: Settings, shop: Meaning, seed: int) -> None:
    events = random_events(seed)
    store_events(settings.database_url, events)
    build(settings, shop, *WEEKS)
    for key in ("user", "item"):
        got = rounded(rows_of(settings.database_url, f"{key}_statistics"))
        assert got == expected_statistics(events, key, ALL_DAYS)
    assert rows_of(settings.database_url, "user_history") == expected_histories(events, ALL_DAYS)
    assert rounded(rows_of(settings.database_url, "user_items")) == expected_items(events, ALL_DAYS)


def test_activity_decays_and_is_closed_by_a_row_of_zeros(settings: Settings, shop: Meaning) -> None:
    store_events(settings.database_url, [Event(1, 5, at(0), value=3.0, price=2.0)])
    build(settings, shop, *WEEKS[:6])
    rows = rows_of(settings.database_url, "user_statistics")
    assert [r["event_timestamp"] for r in rows] == [at(n, 0) for n in range(1, 30)]
    assert [r["purchases_7d"] for r in rows] == [1] * 7 + [0] * 22
    assert [r["purchases_28d"] for r in rows] == [1] * 28 + [0]
    assert [r["spend_28d"] for r in rows] == [6.0] * 28 + [0.0]
    assert rows[-1]["newest_event_at"] is None


def test_an_item_counts_once_while_any_purchase_of_it_is_recent(
    settings: Settings, shop: Meaning
) -> None:
    events = [Event(1, 5, at(0)), Event(1, 5, at(20)), Event(1, 6, at(21)), Event(1, 5, at(21, 13))]
    store_events(settings.database_url, events)
    build(settings, shop, *WEEKS[:8])
    rows = rows_of(settings.database_url, "user_statistics")
    by_day = {(r["event_timestamp"] - MONDAY).days - 1: r["distinct_items_28d"] for r in rows}
    assert [by_day[day] for day in (0, 19, 20, 21, 27, 28, 47, 48, 49)] == [
        1,
        1,
        1,
        2,
        2,
        2,
        2,
        2,
        0,
    ]


def test_cancels_count_apart_and_never_enter_a_history(settings: Settings, shop: Meaning) -> None:
    events = [Event(1, 5, at(0)), Event(1, 6, at(1), kind="cancel", value=-1.0)]
    store_events(settings.database_url, events)
    build(settings, shop, WEEKS[0])
    last = rows_of(settings.database_url, "user_statistics")[-1]
    assert (last["purchases_28d"], last["cancels_28d"], last["spend_28d"]) == (1, 1, 2.0)
    assert [r["history"] for r in rows_of(settings.database_url, "user_history")] == [[5]]


def test_only_events_worth_learning_from_are_purchases(settings: Settings) -> None:
    movies = Meaning(learn_from=("rate",), minimum_value=3.5)
    values = {10: 5.0, 11: 3.5, 12: 3.0, 13: None}
    events = [Event(1, i, at(0, n), "rate", v) for n, (i, v) in enumerate(values.items())]
    store_events(settings.database_url, events)
    build_features(settings, WEEKS[0], movies)
    assert rows_of(settings.database_url, "user_history")[0]["history"] == [11, 10]
    assert rows_of(settings.database_url, "user_statistics")[0]["purchases_28d"] == 2


def test_days_are_utc_days(untouched_settings: Settings, shop: Meaning) -> None:
    settings = untouched_settings
    with transaction(settings.database_url) as cursor:
        cursor.execute("select current_database()")
        name = cursor.fetchone()[0]  # type: ignore[index]
        cursor.execute(f"alter database \"{name}\" set timezone = 'Asia/Tokyo'")
    store_events(settings.database_url, [Event(1, 5, at(0, 23, 59, 59)), Event(2, 5, at(1, 0))])
    build(settings, shop, WEEKS[0])
    first = {
        r["user_key"]: r["event_timestamp"] for r in rows_of(settings.database_url, "user_history")
    }
    assert first == {1: at(1, 0), 2: at(2, 0)}


def test_a_history_keeps_the_last_fifty(settings: Settings, shop: Meaning) -> None:
    events = [Event(1, n, at(n // 10, n % 10)) for n in range(70)]
    store_events(settings.database_url, events)
    build(settings, shop, WEEKS[0])
    assert rows_of(settings.database_url, "user_history")[-1]["history"] == list(range(69, 19, -1))


def test_own_items_are_the_three_hundred_purchased_latest(
    settings: Settings, shop: Meaning
) -> None:
    events = [Event(1, n, at(n // 50, minute=n % 50)) for n in range(310)] + [
        Event(1, 3, at(6, 20))
    ]
    store_events(settings.database_url, events)
    build(settings, shop, WEEKS[0])
    last = rows_of(settings.database_url, "user_items")[-1]
    # Day 6: the items 300 to 309 and, again, item 3; then day 5's, and so on, down to day 0's.
    assert last["items"][:11] == [3, *range(300, 310)]
    assert (last["purchases"][:2], last["days"][:2]) == ([2, 1], [2, 1])
    assert (len(last["items"]), last["all_purchases"], last["all_days"]) == (300, 311, 7)
    assert last["last_day"][0] - last["first_day"][0] == 6


def test_building_again_changes_nothing(settings: Settings, shop: Meaning) -> None:
    store_events(settings.database_url, random_events(4, days=28))
    build(settings, shop, *WEEKS[:4])
    before = everything(settings)
    for week in WEEKS[:4]:
        build(settings, shop, week)
        assert everything(settings) == before, week


def test_late_events_reach_as_far_as_they_matter(settings: Settings, shop: Meaning) -> None:
    events = random_events(5)
    late = [e for e in events if WEEKS[2] <= e.at.strftime("%Y-%m-%d") < WEEKS[3]][::2]
    late.append(Event(1, 99, at(15)))
    in_time = [e for e in events if e not in late]
    store_events(settings.database_url, in_time)
    build(settings, shop, *WEEKS)
    store_events(settings.database_url, late)
    build(settings, shop, WEEKS[2])
    all_events = in_time + late
    for key in ("user", "item"):
        got = rounded(rows_of(settings.database_url, f"{key}_statistics"))
        assert got == expected_statistics(all_events, key, ALL_DAYS)
    assert rows_of(settings.database_url, "user_history") == expected_histories(
        all_events, ALL_DAYS
    )
    items = rounded(rows_of(settings.database_url, "user_items"))
    assert items == expected_items(all_events, ALL_DAYS)


@pytest.mark.parametrize("order", [(0, 5), (5, 0), (3, 0, 5, 1)])
def test_any_order_of_windows_gives_the_oracles_rows(
    settings: Settings, shop: Meaning, order: tuple[int, ...]
) -> None:
    """Windows without events need not be built: the days between are filled in."""
    chosen = [WEEKS[n] for n in sorted(order)]
    events = [
        e
        for e in random_events(6)
        if any(w <= e.at.strftime("%Y-%m-%d") < WEEKS[WEEKS.index(w) + 1] for w in chosen)
    ]
    store_events(settings.database_url, events)
    build(settings, shop, *(WEEKS[n] for n in order))
    got = rounded(rows_of(settings.database_url, "user_statistics"))
    assert got == expected_statistics(events, "user", ALL_DAYS[: 6 * 7])
    assert rounded(rows_of(settings.database_url, "user_items")) == expected_items(events, ALL_DAYS)


def test_content_is_known_from_the_next_day_on(settings: Settings, shop: Meaning) -> None:
    store_items(
        settings.database_url,
        [(1, at(0, 9), "RED MUG"), (1, at(0, 15), "red mug large"), (1, at(2, 0), "BLUE MUG")],
    )
    build(settings, shop, WEEKS[0])
    rows = rows_of(settings.database_url, "item_content")
    assert [(r["event_timestamp"], r["name"]) for r in rows] == [
        (at(1, 0), "red mug large"),
        (at(3, 0), "BLUE MUG"),
    ]
    assert [len(r["words"]) for r in rows] == [3, 2]
    assert rows[0]["words"][1] == rows[1]["words"][1]


def test_an_empty_window_writes_no_rows(settings: Settings, shop: Meaning) -> None:
    report = build_features(settings, WEEKS[0], shop)
    assert report.window == WEEKS[0]
    assert report.days == 7
    assert set(report.rows.values()) == {0}


def test_the_cost_follows_the_window(settings: Settings, shop: Meaning) -> None:
    store_events(settings.database_url, random_events(7))
    build(settings, shop, *WEEKS[:11])
    report = build_features(settings, WEEKS[11], shop)
    assert report.days == 7
    assert report.rows["user_statistics"] <= 6 * 7


def test_a_key_that_begins_no_window_is_refused(settings: Settings, shop: Meaning) -> None:
    wrong = (MONDAY + timedelta(days=1)).strftime("%Y-%m-%d")
    with pytest.raises(BadInput, match="does not begin a week; did you mean '2011-01-03'"):
        build_features(settings, wrong, shop)
