"""Events of each kind, counted apart: by hand, against the oracle, and on the whole way to a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.database.schema import migrate
from recloop.features.current_queries import known_queries
from recloop.features.daily import build_features
from recloop.features.examples import read_examples
from recloop.features.many_queries import many_known
from recloop.features.online import materialize, online_queries, release_snapshot
from recloop.features.training_set import build_training_set
from recloop.settings import Settings
from tests.recloop.features.oracle import (
    WEEKS,
    Event,
    at,
    expected_items,
    expected_statistics,
    random_events,
    rounded,
    rows_of,
    store_events,
)
from tests.recloop.features.test_daily_features import ALL_DAYS

KINDS = ("click", "cart", "purchase")
SHOP = Meaning(KINDS, weights={"click": 0.1, "cart": 0.3})
CLICKED, CARTED, BOUGHT = KINDS
EVENTS = [
    # User 1 clicks item 5 twice and puts it into the cart; clicks item 6, and buys it a day later.
    Event(1, 5, at(0, 9), CLICKED),
    Event(1, 5, at(0, 10), CLICKED),
    Event(1, 5, at(0, 11), CARTED),
    Event(1, 6, at(0, 12), CLICKED),
    Event(1, 6, at(1, 9), BOUGHT),
    # User 2 buys item 5; what she takes back, and a kind that nobody learns from, count nothing.
    Event(2, 5, at(1, 9), BOUGHT),
    Event(2, 5, at(1, 10), "cancel"),
    Event(2, 6, at(1, 11), "view"),
]


def build(settings: Settings, *weeks: str, meaning: Meaning = SHOP) -> None:
    for week in weeks:
        build_features(settings, week, meaning)


def of_kinds(seed: int) -> list[Event]:
    """The oracle's random events, of three kinds and a cancellation."""
    rng = np.random.default_rng(seed)
    return [
        event if event.kind == "cancel" else replace(event, kind=KINDS[rng.integers(3)])
        for event in random_events(seed)
    ]


def test_two_users_and_three_kinds_by_hand(settings: Settings) -> None:
    store_events(settings.database_url, EVENTS)
    build(settings, WEEKS[0])
    own = {
        (row["user_key"], row["event_timestamp"]): (row["items"], row["kinds"], row["all_kinds"])
        for row in rows_of(settings.database_url, "user_items")
    }
    assert own == {
        (1, at(1, 0)): ([5, 6], [2, 1, 0, 1, 0, 0], [3, 1, 0]),
        (1, at(2, 0)): ([6, 5], [1, 0, 1, 2, 1, 0], [3, 1, 1]),
        (2, at(2, 0)): ([5], [0, 0, 1], [0, 0, 1]),
    }
    items = {
        (row["item_key"], row["event_timestamp"]): row["kinds_28d"]
        for row in rows_of(settings.database_url, "item_statistics")
    }
    assert (items[5, at(1, 0)], items[5, at(2, 0)]) == ([2, 1, 0], [2, 1, 1])
    assert (items[6, at(1, 0)], items[6, at(7, 0)]) == ([1, 0, 0], [1, 0, 1])


def test_an_items_kinds_fade_after_28_days(settings: Settings) -> None:
    store_events(settings.database_url, [Event(1, 5, at(0), CLICKED), Event(1, 5, at(1), BOUGHT)])
    build(settings, *WEEKS[:5])
    rows = rows_of(settings.database_url, "item_statistics")
    kinds = {(row["event_timestamp"] - at(0, 0)).days: row["kinds_28d"] for row in rows}
    assert [kinds[day] for day in (1, 2, 28, 29, 30)] == [
        [1, 0, 0], [1, 0, 1], [1, 0, 1], [0, 0, 1], [0, 0, 0],
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_equal_the_oracles_late_events_among_them(settings: Settings, seed: int) -> None:
    events = of_kinds(seed)
    late = [e for e in events if WEEKS[2] <= e.at.strftime("%Y-%m-%d") < WEEKS[3]][::2]
    late.append(Event(1, 99, at(15), CARTED))
    in_time = [e for e in events if e not in late]
    store_events(settings.database_url, in_time)
    meaning = Meaning(KINDS)  # the oracle's decayed counts are of weight 1
    build(settings, *WEEKS, meaning=meaning)
    assert_equal(settings, in_time)
    store_events(settings.database_url, late)
    build(settings, WEEKS[2], meaning=meaning)
    assert_equal(settings, in_time + late)


def assert_equal(settings: Settings, events: list[Event]) -> None:
    got = rounded(rows_of(settings.database_url, "item_statistics"))
    assert got == expected_statistics(events, "item", ALL_DAYS, KINDS)
    got = rounded(rows_of(settings.database_url, "user_items"))
    assert got == expected_items(events, ALL_DAYS, KINDS)


def test_of_one_kind_nothing_is_counted_apart(settings: Settings, shop: Meaning) -> None:
    store_events(settings.database_url, [replace(event, kind=BOUGHT) for event in EVENTS])
    build(settings, WEEKS[0], meaning=shop)
    assert {tuple(r["kinds"]) for r in rows_of(settings.database_url, "user_items")} == {()}
    assert {tuple(r["kinds_28d"]) for r in rows_of(settings.database_url, "item_statistics")} == {
        ()
    }
    with transaction(settings.database_url) as cursor:
        own = known_queries(cursor, [1, 2], shop).own
    assert own is not None
    assert (own.values.shape[1], own.totals.shape[1]) == (6, 2)


@pytest.mark.slow
def test_training_and_serving_are_told_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the training set of the second week says of users whose first query is on its Monday is what
    every way of serving says of them at the end of the first."""
    monkeypatch.setattr("recloop.features.online.meaning_of", lambda _: SHOP)
    monkeypatch.setattr("recloop.features.training_set.meaning_of", lambda _: SHOP)
    later = [Event(1, 5, at(7, 9), BOUGHT), Event(2, 6, at(7, 9), CLICKED)]
    store_events(settings.database_url, [*EVENTS, *later, Event(3, 6, at(7, 9), CLICKED)])
    with transaction(settings.database_url) as cursor:
        for user in (1, 2, 3):
            cursor.execute(
                "insert into behavior.account (user_key, user_id, first_seen) "
                "overriding system value values (%s, %s, now())",
                (user, f"u{user}"),
            )
    build(settings, WEEKS[0])
    materialize(settings, SHOP)
    with transaction(settings.database_url) as cursor:
        one_by_one = known_queries(cursor, [1, 2, 3], SHOP)
        many = many_known(cursor, np.array([1, 2, 3]), SHOP)
    online = online_queries(settings, [1, 2, 3])
    snapshot = release_snapshot(settings, at(7, 0))
    build(settings, WEEKS[1])
    events = read_examples([build_training_set(settings, WEEKS[1], SHOP)])
    assert events.user_keys.tolist() == [1, 2, 3]
    trained = events.own
    assert trained.item_keys.tolist() == [6, 5, 5]
    assert trained.values[:, 6:].tolist() == [[1, 0, 1], [2, 1, 0], [0, 0, 1]]
    assert trained.totals[:, 2:].tolist() == [[3, 1, 1], [0, 0, 1], [0, 0, 0]]
    for served in (one_by_one, many, online):
        same(served.own, trained)
    same(snapshot.own, trained.take(slice(0, 2)))  # of the third nobody knew
    assert snapshot.items is not None
    assert (snapshot.items.kinds, events.items.kinds) == (3, 3)
    counts = np.log1p([[2, 1, 1], [1, 0, 1]])
    for statistics in (snapshot.items, events.items):
        np.testing.assert_allclose(statistics.of(np.array([5, 6]))[0, :, 5:], counts, rtol=1e-6)


def same(left: Any, right: Any) -> None:
    for name in ("offsets", "item_keys", "values", "totals"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), name)


@pytest.mark.slow
def test_a_database_of_before_goes_on(untouched_settings: Settings) -> None:
    """Rows that were written before kinds were counted say zero of each, to training and serving; what
    comes afterwards is counted, and both are learnt from together."""
    settings = untouched_settings
    url = settings.database_url
    with transaction(url) as cursor:
        cursor.execute("alter table features.item_statistics drop column kinds_28d")
        cursor.execute("alter table features.user_items drop column kinds, drop column all_kinds")
        cursor.execute(
            "insert into features.user_items values (9, %(at)s, '{5}', '{2}', '{1}', '{14977}', "
            "'{14977}', '{1.9}', '{1.98}', 2, 1, %(at)s - interval '1 hour')",
            {"at": at(1, 0)},
        )
    migrate(url)
    migrate(url)
    with transaction(url) as cursor:
        cursor.execute("select kinds, all_kinds from features.user_items")
        assert cursor.fetchall() == [([], [])]
    store_events(url, [Event(1, 5, at(7, 9), CARTED), Event(1, 5, at(14, 9), BOUGHT)])
    build(settings, *WEEKS[1:3])
    with transaction(url) as cursor:
        own = known_queries(cursor, [9, 1], SHOP).own
        same(many_known(cursor, np.array([9, 1]), SHOP).own, own)
    assert own is not None
    assert own.values[:, 0].tolist() == [2, 2]
    assert own.values[:, 6:].tolist() == [[0, 0, 0], [0, 1, 1]]
    before = build_training_set(settings, WEEKS[1], Meaning((CARTED,)))  # as it was written
    events = read_examples([before, build_training_set(settings, WEEKS[2], SHOP)])
    assert events.own.kinds == events.items.kinds == 3
    assert events.own.totals[:, 2:].tolist() == [[0, 0, 0], [0, 1, 0]]
    np.testing.assert_allclose(events.items.values[1, 0, 5:], [0, np.log(2), 0], rtol=1e-6)
