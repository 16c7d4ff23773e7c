"""The online store equals the offline one, through re-applies, repeats and late events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.errors import ServiceAway
from recloop.features import store as store_module
from recloop.features.daily import build_features
from recloop.features.online import materialize, online_features, online_queries
from recloop.features.store import feature_store, forget_store, variables
from recloop.settings import Settings
from tests.recloop.features.oracle import (
    WEEKS,
    Event,
    at,
    expected_history,
    random_events,
    store_events,
    store_items,
)

pytestmark = pytest.mark.slow

USERS = list(range(1, 7))


def feature(settings: Settings, shop: Meaning, weeks: list[str]) -> None:
    for week in weeks:
        build_features(settings, week, shop)
        materialize(settings, shop)


def offline(settings: Settings, table: str, key: str) -> dict[int, dict[str, Any]]:
    """The newest row of each entity."""
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            f"select distinct on ({key}) * from features.{table} order by {key}, event_timestamp desc"
        )
        names = [column.name for column in cursor.description or ()]
        return {
            row[key]: row for row in (dict(zip(names, r, strict=True)) for r in cursor.fetchall())
        }


def assert_online_equals_offline(settings: Settings) -> None:
    statistics = offline(settings, "user_statistics", "user_key")
    histories = offline(settings, "user_history", "user_key")
    items = offline(settings, "user_items", "user_key")
    assert statistics
    for known in online_features(settings, user_keys=USERS):
        key = known["user_key"]
        for name in store_names("user_statistics"):
            assert known[name] == statistics[key][name], (key, name)
        assert (known["history"] or []) == histories.get(key, {"history": []})["history"]
        for name in ("items", "purchases", "last_day", "decayed_28d", "all_purchases"):
            assert (known[name] or []) == items.get(key, {name: []})[name], (key, name)


def store_names(table: str) -> list[str]:
    user = ["purchases_7d", "purchases_28d", "spend_28d", "distinct_items_28d", "cancels_28d"]
    item = ["purchases_7d", "purchases_28d", "buyers_28d", "price", "cancels_28d"]
    return user if table == "user_statistics" else item


def test_online_equals_offline_week_by_week(settings: Settings, shop: Meaning) -> None:
    store_events(settings.database_url, random_events(21, count=400))
    store_items(settings.database_url, [(n, at(n), f"ITEM {n}") for n in range(1, 9)])
    for weeks in (WEEKS[:2], WEEKS[2:3], WEEKS[3:6]):
        feature(settings, shop, weeks)
        assert_online_equals_offline(settings)
    items = offline(settings, "item_statistics", "item_key")
    for known in online_features(settings, item_keys=range(1, 9)):
        for name in store_names("item_statistics"):
            assert known[name] == items[known["item_key"]][name]
        assert known["name"] == f"ITEM {known['item_key']}"
        assert len(known["words"]) == 2


def test_inactive_users_fade_online_too(settings: Settings, shop: Meaning) -> None:
    store_events(settings.database_url, [Event(1, 5, at(0))])
    feature(settings, shop, WEEKS[:4])
    assert online_features(settings, user_keys=[1])[0]["purchases_28d"] == 1
    feature(settings, shop, WEEKS[4:5])
    (known,) = online_features(settings, user_keys=[1])
    assert (known["purchases_28d"], known["history"]) == (0, [5])


def test_late_events_never_put_an_older_row_online(settings: Settings, shop: Meaning) -> None:
    events = random_events(22, count=200, days=28)
    store_events(settings.database_url, events)
    feature(settings, shop, WEEKS[:4])
    late = Event(1, 99, at(8))
    store_events(settings.database_url, [late])
    feature(settings, shop, WEEKS[1:2])
    assert_online_equals_offline(settings)
    (known,) = online_features(settings, user_keys=[1])
    assert known["history"] == expected_history([*events, late], 1, at(28, 0))


def test_queries_for_serving_are_padded_scaled_and_empty_for_strangers(
    settings: Settings, shop: Meaning
) -> None:
    events = [Event(1, 5, at(0), value=3.0, price=2.0), Event(1, 6, at(6))]
    store_events(settings.database_url, events)
    feature(settings, shop, WEEKS[:1])
    queries = online_queries(settings, [404, 1])
    history, statistics, own = queries.history, queries.statistics, queries.own
    assert history.shape == (2, 50)
    assert history.dtype == np.int64
    assert history[1, :3].tolist() == [6, 5, 0]
    assert statistics.dtype == np.float32
    # purchases_7d 2, purchases_28d 2, spend 8, distinct items 2, cancels 0
    np.testing.assert_allclose(statistics[1], np.log([3, 3, 9, 3, 1]), rtol=1e-6)
    assert not history[0].any()
    assert not statistics[0].any()
    # The week ends on day 7: item 6 was bought the day before, item 5 on day 0.
    assert own is not None
    assert own.offsets.tolist() == [0, 0, 2]
    assert own.item_keys.tolist() == [6, 5]
    decayed = np.exp(-np.array([1, 7]) / 28)
    expected = [[1, 1, 1, 1, decayed[0]], [1, 1, 7, 7, decayed[1]]]
    np.testing.assert_allclose(own.values[:, :5], expected, rtol=1e-6)
    assert own.totals.tolist() == [[0, 0], [2, 2]]


def test_materializing_again_changes_nothing(settings: Settings, shop: Meaning) -> None:
    store_events(settings.database_url, random_events(23, days=21))
    feature(settings, shop, WEEKS[:3])
    before = online_features(settings, user_keys=USERS)
    for week in (WEEKS[2], WEEKS[1]):
        with transaction(settings.database_url) as cursor:
            cursor.execute(
                "update features.built_window set online_as_of = null where window_key = %s",
                (week,),
            )
        assert materialize(settings, shop) == 1
        assert online_features(settings, user_keys=USERS) == before
    assert materialize(settings, shop) == 0


def test_several_windows_at_once_are_what_they_are_one_by_one(
    settings: Settings, shop: Meaning
) -> None:
    store_events(settings.database_url, random_events(29, days=21))
    for week in WEEKS[:3]:
        build_features(settings, week, shop)
    assert materialize(settings, shop) == 3
    assert_online_equals_offline(settings)


def test_what_was_lost_on_the_way_is_brought_online_by_the_next(
    settings: Settings, shop: Meaning, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_events(settings.database_url, random_events(31, days=14))
    feature(settings, shop, WEEKS[:1])
    build_features(settings, WEEKS[1], shop)
    with monkeypatch.context() as patch:
        patch.setattr(type(feature_store(settings)), "materialize", _interrupted)
        with pytest.raises(InterruptedError):
            materialize(settings, shop)
    assert materialize(settings, shop) == 1
    assert_online_equals_offline(settings)


def _interrupted(*_: object) -> None:
    raise InterruptedError


def test_applying_again_keeps_what_was_materialized(
    untouched_settings: Settings, shop: Meaning, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = untouched_settings
    store_events(settings.database_url, [Event(1, 5, at(0))])
    feature(settings, shop, WEEKS[:2])
    intervals = {
        view.name: view.materialization_intervals
        for view in feature_store(settings).list_feature_views()
    }
    assert {len(spans) for spans in intervals.values()} == {2}
    forget_store(settings.database_url)
    applied = []
    monkeypatch.setattr(store_module, "_fingerprint", lambda: "definitions of tomorrow")
    monkeypatch.setattr(store_module, "feast_objects", record(applied, store_module.feast_objects))
    again = feature_store(settings)
    assert len(applied) == 1, "a changed definition is applied"
    assert {v.name: v.materialization_intervals for v in again.list_feature_views()} == intervals
    assert online_features(settings, user_keys=[1])[0]["history"] == [5]
    forget_store(settings.database_url)
    feature_store(settings)
    assert len(applied) == 1, "an unchanged definition is not"


def record(calls: list[Any], function: Any) -> Any:
    def recorded(*arguments: Any) -> Any:
        calls.append(arguments)
        return function(*arguments)

    return recorded


def test_lost_connections_heal_and_a_missing_server_is_named(
    settings: Settings, shop: Meaning
) -> None:
    store_events(settings.database_url, [Event(1, 5, at(0))])
    feature(settings, shop, WEEKS[:1])
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
    assert online_features(settings, user_keys=[1])[0]["history"] == [5]
    nowhere = Settings(
        home=settings.home, database_url="postgresql+psycopg2://me:secret@localhost:1/recloop"
    )
    with pytest.raises(ServiceAway, match=r"me@localhost:1/recloop") as caught:
        online_features(nowhere, user_keys=[1])
    assert "secret" not in str(caught.value)


def test_variables_carry_every_part_of_a_url() -> None:
    given = variables("postgresql+psycopg2://me:p%40ss@db.example:6543/shop?sslmode=require")
    assert given.pop("FEATURES_REGISTRY") == (
        "postgresql+psycopg2://me:p%40ss@db.example:6543/shop"
        "?sslmode=require&options=-csearch_path%3Dfeast_registry%20-ctimezone%3DUTC"
    )
    assert given == {
        "FEATURES_HOST": "db.example",
        "FEATURES_PORT": "6543",
        "FEATURES_DATABASE": "shop",
        "FEATURES_USER": "me",
        "FEATURES_PASSWORD": "p@ss",
        "FEATURES_SSLMODE": "require",
    }
    embedded = variables("postgresql+psycopg2://postgres@localhost/recloop?host=/some/where")
    assert embedded["FEATURES_HOST"] == "/some/where"
