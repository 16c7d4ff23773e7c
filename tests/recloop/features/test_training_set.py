"""Training sets: the point-in-time join against an oracle, reproducible bytes, empty windows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from recloop.config.learnable import Meaning
from recloop.contracts import TrainingSet
from recloop.database.connection import transaction
from recloop.features.daily import build_features
from recloop.features.training_set import build_training_set
from recloop.settings import Settings
from tests.recloop.features.oracle import (
    DAY,
    WEEKS,
    Event,
    at,
    expected_history,
    expected_own_items,
    expected_statistics,
    midnight_after,
    purchases,
    random_events,
    rounded,
    store_events,
    store_items,
)

pytestmark = pytest.mark.slow

STATISTICS = ("purchases_7d", "purchases_28d", "spend_28d", "distinct_items_28d", "cancels_28d")
OWN_LISTS = ("items", "purchases", "days", "first_day", "last_day", "decayed_28d", "decayed_112d")
OWN_TOTALS = ("all_purchases", "all_days")


def table(training_set: TrainingSet, name: str) -> list[dict[str, Any]]:
    return pq.read_table(Path(training_set.uri) / f"{name}.parquet").to_pylist()


def built(settings: Settings, shop: Meaning, weeks: list[str]) -> TrainingSet:
    for week in weeks:
        build_features(settings, week, shop)
    return build_training_set(settings, weeks[-1], shop)


def expected_queries(events: list[Event], start: datetime) -> list[dict[str, Any]]:
    """One per user and day of the week that begins at `start`, by (first event, user)."""
    week = [e for e in purchases(events) if start <= e.at < start + 7 * DAY]
    firsts: dict[tuple[int, str], datetime] = {}
    for event in sorted(week, key=lambda e: e.at):
        firsts.setdefault((event.user, f"{event.at:%F}"), event.at)
    rows = []
    for n, (moment, user) in enumerate(sorted((t, user) for (user, _), t in firsts.items())):
        midnight = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
        past = [e for e in events if e.at < midnight]
        known = [
            row
            for row in expected_statistics(past, "user", [(midnight - DAY).date()])
            if row["user_key"] == user
        ]
        rows.append(
            {
                "query_id": n,
                "user_key": user,
                "event_timestamp": moment,
                "day": (midnight - datetime(1970, 1, 1, tzinfo=UTC)).days,
                "history": expected_history(events, user, midnight),
                **{s: (float(known[0][s]) if known else None) for s in STATISTICS},
                **own_columns(events, user, midnight),
            }
        )
    return rows


def own_columns(events: list[Event], user: int, midnight: datetime) -> dict[str, Any]:
    """Of the last day on which the user purchased, aged to the day after it."""
    mine = [e.at for e in purchases(events) if e.user == user and e.at < midnight]
    if not mine:
        return {**{f"own_{name}": [] for name in OWN_LISTS}, "all_purchases": 0, "all_days": 0}
    row = expected_own_items(events, user, midnight_after(max(mine).date()))
    return {f"own_{n}": row[n] for n in OWN_LISTS} | {n: row[n] for n in OWN_TOTALS}


def test_the_join_equals_the_oracle(settings: Settings, shop: Meaning) -> None:
    events = random_events(11, count=500)
    store_events(settings.database_url, events)
    for n, week in enumerate(WEEKS[:8]):
        training_set = built(settings, shop, [week])
        want = expected_queries(events, at(7 * n, 0))
        got = table(training_set, "queries")
        assert rounded(got) == want
        assert training_set.queries == len(want)
        taken = [
            (want[row["query_id"]]["user_key"], row["item_key"], row["event_timestamp"])
            for row in table(training_set, "interactions")
        ]
        week_events = [e for e in purchases(events) if at(7 * n, 0) <= e.at < at(7 * n + 7, 0)]
        assert sorted(taken) == sorted((e.user, e.item, e.at) for e in week_events)
        for row in table(training_set, "interactions"):
            query = want[row["query_id"]]
            assert query["event_timestamp"].date() == row["event_timestamp"].date()


def test_item_days_are_the_items_active_before_each_querys_day(
    settings: Settings, shop: Meaning
) -> None:
    events = random_events(11, count=500)
    store_events(settings.database_url, events)
    for n, week in enumerate(WEEKS[:6]):
        got = table(built(settings, shop, [week]), "item_days")
        start = at(7 * n, 0)
        days = sorted({e.at.date() for e in purchases(events) if 0 <= (e.at - start).days < 7})
        want = []
        for day in days:
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            past = [e for e in events if e.at < midnight]
            for row in expected_statistics(past, "item", [(midnight - DAY).date()]):
                row["day"] = (day - date(1970, 1, 1)).days
                price = row.pop("price")
                numbers = {k: float(row[k]) for k in ("purchases_7d", "purchases_28d")}
                numbers |= {k: float(row[k]) for k in ("buyers_28d", "cancels_28d")}
                want.append({"day": row["day"], "item_key": row["item_key"], **numbers})
                want[-1]["price"] = None if price is None else float(price)
        assert rounded(got) == want
        assert got or n == 0


def test_items_are_those_bought_as_known_at_the_windows_end(
    settings: Settings, shop: Meaning
) -> None:
    store_items(
        settings.database_url,
        [
            (1, at(0), "RED MUG"),
            (2, at(0), "TEA SPOON"),
            (1, at(6, 23), "GREEN MUG"),
            (1, at(8), "X"),
        ],
    )
    events = [
        Event(1, 1, at(0), price=2.0),
        Event(2, 1, at(3), price=4.0),
        Event(2, 1, at(6, 23), price=9.0),
        Event(1, 2, at(1), kind="cancel"),
        Event(1, 1, at(7), price=100.0),
    ]
    store_events(settings.database_url, events)
    build_features(settings, WEEKS[1], shop)
    (item,) = table(built(settings, shop, WEEKS[:1]), "items")
    assert item.pop("words") != []
    assert item == {
        "item_key": 1,
        "name": "GREEN MUG",
        "purchases_7d": 3.0,
        "purchases_28d": 3.0,
        "buyers_28d": 2.0,
        "price": 4.0,
        "cancels_28d": 0.0,
    }


def test_a_query_at_midnight_knows_the_day_before(settings: Settings, shop: Meaning) -> None:
    events = [Event(1, 5, at(0)), Event(1, 6, at(1, 23, 59, 59)), Event(1, 7, at(2, 0))]
    store_events(settings.database_url, events)
    last = table(built(settings, shop, WEEKS[:1]), "queries")[-1]
    assert (last["event_timestamp"], last["history"], last["purchases_28d"]) == (
        at(2, 0),
        [6, 5],
        2,
    )


def test_the_same_events_give_the_same_bytes(settings: Settings, shop: Meaning) -> None:
    events = random_events(12)
    store_items(settings.database_url, [(n, at(0), f"ITEM {n}") for n in range(1, 9)])
    store_events(settings.database_url, events)
    first = built(settings, shop, WEEKS[:6])
    before = {p.name: p.read_bytes() for p in Path(first.uri).iterdir()}
    assert built(settings, shop, WEEKS[5:6]) == first

    elsewhere = settings.model_copy(update={"home": settings.home / "elsewhere"})
    again = build_training_set(elsewhere, WEEKS[5], shop)
    assert again.sha256 == first.sha256
    assert {p.name: p.read_bytes() for p in Path(again.uri).iterdir()} == before
    assert len(list(Path(again.uri).parent.iterdir())) == 1, "nothing half-written is left"


def test_the_order_of_arrival_does_not_matter(settings: Settings, shop: Meaning) -> None:
    events = random_events(13)
    store_events(settings.database_url, events)
    first = built(settings, shop, WEEKS[:6])
    with transaction(settings.database_url) as cursor:
        cursor.execute("truncate behavior.event, features.built_window")
    store_events(settings.database_url, events[::-1])
    assert built(settings, shop, WEEKS[:6]).sha256 == first.sha256


def test_one_more_event_gives_another_hash(settings: Settings, shop: Meaning) -> None:
    store_events(settings.database_url, random_events(12))
    first = built(settings, shop, WEEKS[:6])
    store_events(settings.database_url, [Event(1, 1, at(5 * 7, 23))])
    second = built(settings, shop, WEEKS[5:6])
    assert second.sha256 != first.sha256
    assert second.interactions == first.interactions + 1


def test_an_altered_artefact_is_written_anew(settings: Settings, shop: Meaning) -> None:
    store_events(settings.database_url, [Event(1, 5, at(0))])
    first = built(settings, shop, WEEKS[:1])
    (Path(first.uri) / "items.parquet").write_bytes(b"no parquet")
    assert built(settings, shop, WEEKS[:1]) == first
    assert table(first, "items")[0]["item_key"] == 5


def test_an_empty_window_gives_an_empty_valid_set(settings: Settings, shop: Meaning) -> None:
    store_events(settings.database_url, [Event(1, 5, at(0), kind="view")])
    training_set = built(settings, shop, WEEKS[:1])
    assert (training_set.queries, training_set.interactions, training_set.items) == (0, 0, 0)
    assert table(training_set, "queries") == []
    assert built(settings, shop, WEEKS[1:2]).sha256 == training_set.sha256


def test_users_gone_for_a_year_keep_their_history(settings: Settings, shop: Meaning) -> None:
    later = at(364)
    store_events(settings.database_url, [Event(1, 5, at(0)), Event(1, 6, later)])
    build_features(settings, WEEKS[0], shop)
    monday = later - timedelta(days=later.weekday())
    (query,) = table(built(settings, shop, [f"{monday:%Y-%m-%d}"]), "queries")
    assert (query["history"], query["purchases_28d"]) == ([5], None)
