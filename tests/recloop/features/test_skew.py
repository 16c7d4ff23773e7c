"""Serving's features equal the next training set's for all users; what is planted is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from models.data.events import Events
from models.recommenders.family import family_named
from recloop.calendar import WindowCalendar
from recloop.config.id_rules import Ids
from recloop.config.learnable import Meaning
from recloop.database.connection import first as asked_first
from recloop.database.connection import transaction
from recloop.features.daily import build_features
from recloop.features.examples import read_examples
from recloop.features.skew import Skew, differing, serving_skew
from recloop.features.training_set import build_training_set
from recloop.ledger import forgetting, window_states
from recloop.server.impressions import Impression, Recorder
from recloop.server.people import People
from recloop.settings import Settings
from tests.recloop.features.oracle import Event, at, random_events, store_events

pytestmark = pytest.mark.slow

DAILY = Meaning(calendar=WindowCalendar("day"))
USERS = range(1, 7)
DAYS = 30
FAMILY = family_named("retrieve_and_rank")


def key(day: int) -> str:
    return f"{at(day):%Y-%m-%d}"


@pytest.fixture
def shop(settings: Settings) -> Iterator[Settings]:
    """Users `u1` to `u6` have an event on most days; days 0 to 19 are featured."""
    events = random_events(5, count=400, days=DAYS)
    store_events(settings.database_url, events)
    with transaction(settings.database_url) as cursor:
        cursor.execute("delete from lineage.impression")
        for user in USERS:
            cursor.execute(
                "insert into behavior.account (user_key, user_id, first_seen) "
                "overriding system value values (%s, %s, now())",
                (user, f"u{user}"),
            )
    for day in range(20):
        build_features(settings, key(day), DAILY)
    return settings


def serve(settings: Settings, *names: str, times: int = 1, meaning: Meaning = DAILY) -> None:
    """A server that has just begun answers these users, as `recloop serve` does."""
    recorder, people = Recorder(100_000), People(FAMILY, meaning)
    with transaction(settings.database_url) as cursor:
        for name in (names or [f"u{user}" for user in USERS]) * times:
            person = people.of(cursor, name.strip())
            recorder.note(
                Impression(
                    settings.database_url,
                    asked_first(cursor, "select gen_random_uuid()::text"),
                    1, datetime.now(UTC), name, (1, 2), person.moment, person.features,
                )
            )  # fmt: skip
    recorder.flush()
    assert not recorder.lost


def learnt(settings: Settings, day: int, meaning: Meaning = DAILY) -> Events:
    build_features(settings, key(day), meaning)
    return read_examples([build_training_set(settings, key(day), meaning)])


def compared(settings: Settings, day: int, events: Events, meaning: Meaning = DAILY) -> Skew:
    with transaction(settings.database_url) as cursor:
        return serving_skew(cursor, events, meaning.window(key(day)), meaning, Ids())


def test_all_users_are_served_what_the_next_days_training_sets_say(shop: Settings) -> None:
    users, active = 0, 0
    for day in range(20, DAYS):
        serve(shop)
        events = learnt(shop, day)
        found = compared(shop, day, events)
        assert (found.differ, found.late, found.example) == (0, 0, ""), found
        assert found.compared == found.users == len(set(events.user_keys.tolist()))
        users, active = users + found.users, active + len(events.own.item_keys)
    assert users > 20, "the events should be of most users on most of these days"
    assert active > 100, "and the users should have own items"


def test_counts_of_each_kind_are_served_as_they_are_learnt(shop: Settings) -> None:
    kinds = replace(DAILY, learn_from=("view", "purchase", "cancel"), negatives=())
    for day in range(20):
        build_features(shop, key(day), kinds)
    counted = 0.0
    for day in range(20, DAYS):
        serve(shop, meaning=kinds)
        events = learnt(shop, day, kinds)
        found = compared(shop, day, events, kinds)
        assert (found.differ, found.late, found.example) == (0, 0, ""), found
        assert found.compared == len(set(events.user_keys.tolist()))
        counted += events.own.values[:, 6:].sum()
        np.testing.assert_array_equal(events.own.values[:, 6:].sum(axis=1), events.own.values[:, 0])
    assert counted > 100


@pytest.mark.parametrize(
    ("feature", "stale"),
    [
        ("spend_28d", "update features.user_statistics set spend_28d = spend_28d + 1"),
        ("history", "update features.user_history set history = history[2:]"),
        (
            "own decayed_28d",
            "update features.user_items set decayed_28d[1] = decayed_28d[1] * 1.001",
        ),
        ("all_days", "update features.user_items set all_days = all_days + 1"),
        (
            "own items",
            "update features.user_items set items[1] = 99 where array_length(items, 1) > 1",
        ),
    ],
)
def test_what_is_stale_while_it_is_served_is_found(
    shop: Settings, feature: str, stale: str
) -> None:
    """The tables are right again when the training set is made, as after features came late."""
    table = stale.split()[1]
    with transaction(shop.database_url) as cursor:
        cursor.execute(f"create table public.right_rows as select * from {table}")
        cursor.execute(stale)
    serve(shop, times=3)
    with transaction(shop.database_url) as cursor:
        cursor.execute(f"delete from {table}")
        cursor.execute(f"insert into {table} select * from public.right_rows")
        cursor.execute("drop table public.right_rows")
    events = learnt(shop, 20)
    found = compared(shop, 20, events)
    assert found.compared == 3 * len(events.user_keys)
    assert found.share == 1.0
    assert found.feature == feature
    assert found.example.startswith(f"{feature}: user 'u")
    assert found.to_json()["serving_skew"] == 1.0


def test_a_float_of_another_last_bit_is_equal_and_a_millionth_more_is_not() -> None:
    one = {"history": [3], "statistics": [0.3], "items": [], "values": [], "totals": [1.0, 1.0]}
    assert differing(one | {"statistics": [0.3 * (1 + 1e-7)]}, one) == {}
    assert list(differing(one | {"statistics": [0.3 * (1 + 1e-5)]}, one)) == ["purchases_7d"]


def test_own_items_have_no_order_and_each_has_its_values() -> None:
    values = [[1.0] * 6, [2.0] * 6]
    one = {"history": [], "statistics": [], "items": [7, 8], "values": values, "totals": []}
    assert differing(one | {"items": [8, 7], "values": values[::-1]}, one) == {}
    other = [[1.0] * 6, [2.0, 2.0, 5.0, 2.0, 2.0, 2.0]]
    assert differing(one | {"values": other}, one) == {"own first_age": (5.0, 2.0)}
    assert differing(one | {"items": [7]}, one) == {"own items": ([], [8])}


def test_a_kind_is_named_by_its_place_and_not_compared_where_none_was_served() -> None:
    own = {"items": [7], "values": [[2.0, 1, 5, 2, 1.5, 1.9, 2, 0]], "totals": [2.0, 1, 2, 0]}
    one = {"history": [7], "statistics": [0.3]} | own
    other = one | {"values": [[*own["values"][0][:7], 1]], "totals": [2.0, 1, 1, 0]}
    assert differing(other, one) == {
        "totals of kind 1": (1, 2), "own values of kind 2": (1, 0),
    }  # fmt: skip
    before = one | {"values": [own["values"][0][:6]], "totals": [2.0, 1]}
    assert differing(before, one) == {}
    assert list(differing(before | {"totals": [3.0, 1]}, one)) == ["all_purchases"]


def test_features_of_another_version_are_named_by_their_group() -> None:
    one = {
        "history": [],
        "statistics": [0.0] * 5,
        "items": [7],
        "values": [[0.0] * 6],
        "totals": [],
    }
    wider = one | {"statistics": [0.0] * 6, "values": [[0.0] * 7]}
    assert set(differing(wider, one)) == {"statistics", "own values"}
    assert differing({}, one | {"history": [3]}).keys() == {"history", "statistics", "own items"}


def come(settings: Settings, *events: Event) -> int:
    """Events are delivered in a file of their own, just now; returns the file's id."""
    store_events(settings.database_url, list(events))
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            "insert into behavior.source_file (dataset, path, sha256, lines, state) "
            "values ('shop', 'late.csv', '', 1, 'landed') returning file_id"
        )
        (file_id,) = cursor.fetchone()
        cursor.execute(
            "update behavior.event set file_id = %s where event_id = any(%s::uuid[])",
            (file_id, [event.event_id for event in events]),
        )
    return int(file_id)


def test_only_who_was_answered_before_its_event_came_is_a_late_case(shop: Settings) -> None:
    came = {e.user for e in random_events(5, count=400, days=DAYS) if at(20, 0) <= e.at < at(21, 0)}
    before, after, *_ = sorted(came)
    serve(shop, f"u{before}")
    come(shop, Event(before, 5, at(10, 3)), Event(after, 5, at(10, 3)))
    serve(shop, f"u{after}")
    build_features(shop, key(10), DAILY)
    found = compared(shop, 20, learnt(shop, 20))
    assert (found.compared, found.differ, found.late) == (2, 1, 1)
    assert f"user 'u{after}'" in found.example


def test_an_event_that_came_after_the_answer_is_late_and_no_skew(shop: Settings) -> None:
    serve(shop)
    first = learnt(shop, 20)
    user = int(first.user_keys[0])
    late = Event(user, 5, at(10, 3))
    file_id = come(shop, late)
    build_features(shop, key(10), DAILY)
    events = read_examples([build_training_set(shop, key(20), DAILY)])
    found = compared(shop, 20, events)
    assert (found.differ, found.late) == (0, 1)
    with transaction(shop.database_url) as cursor:
        cursor.execute(
            "update behavior.source_file set landed_at = now() - interval '1 hour' "
            "where file_id = %s",
            (file_id,),
        )
    found = compared(shop, 20, events)
    assert (found.differ, found.late) == (1, 0), "it was there, and the features lacked it"
    assert f"user 'u{user}'" in found.example
    with transaction(shop.database_url) as cursor:
        cursor.execute(
            "insert into ledger.window (window_key, starts, ends, state, acceptance) values "
            "('2010-12-01', '2010-12-01', '2010-12-02', 'featured', "
            "jsonb_build_object('at', now() + interval '1 second'))"
        )
        cursor.execute(
            "update behavior.event set window_key = '2010-12-01' where event_id = %s",
            (late.event_id,),
        )
        found = serving_skew(cursor, events, DAILY.window(key(20)), DAILY, Ids())
        cursor.execute("delete from ledger.window")
    assert (found.differ, found.late) == (0, 1), "a person let it in afterwards"


def test_ids_are_read_as_the_shop_writes_them_and_strangers_are_left_out(shop: Settings) -> None:
    serve(shop, " u1 ", "u2", "nobody", "")
    events = learnt(shop, 20)
    there = {1, 2} & set(events.user_keys.tolist())
    assert there
    assert compared(shop, 20, events).users == len(there)


def test_what_was_known_of_a_part_of_a_day_is_not_compared(
    settings: Settings, shop: Settings
) -> None:
    hourly = Meaning(calendar=WindowCalendar("hour"))
    people = People(FAMILY, hourly)
    with transaction(shop.database_url) as cursor:
        assert people.of(cursor, "u1").moment == at(20, 0)
    build_features(shop, f"{at(20, 7):%Y-%m-%dT%H%MZ}", hourly)
    with transaction(shop.database_url) as cursor:
        assert people.of(cursor, "u2").moment is None


def test_a_window_is_compared_with_the_answers_of_its_days_only(shop: Settings) -> None:
    serve(shop)
    events = learnt(shop, 20)
    moved = replace(events, query_times=events.query_times + np.timedelta64(1, "D"))
    assert compared(shop, 20, moved).compared == 0
    assert compared(shop, 20, moved).to_json() == {}
    with_nothing = Meaning(calendar=DAILY.calendar, features=False)
    assert compared(shop, 20, events, with_nothing).compared == 0
    assert compared(shop, 20, events).compared > 0


def test_what_is_written_can_be_read_as_it_was_served(shop: Settings) -> None:
    serve(shop, "u1")
    with transaction(shop.database_url) as cursor:
        cursor.execute("select features, moment from ledger.impression")
        ((features, moment),) = cursor.fetchall()
    assert set(features) == {"items", "totals", "values", "history", "statistics"}
    assert (len(features["statistics"]), len(features["totals"])) == (5, 2)
    assert moment == at(20, 0)


def test_what_is_still_to_be_compared_is_not_forgotten(shop: Settings) -> None:
    """However old: day 20 waits to be learnt. When it is closed, what was compared goes."""
    serve(shop, times=2)
    windows = [DAILY.window(key(day)) for day in range(18, 22)]

    def forget() -> forgetting.Batch:
        with transaction(shop.database_url) as cursor:
            return forgetting.forget(cursor, datetime(2100, 1, 1, tzinfo=UTC), 0, at(DAYS))

    with transaction(shop.database_url) as cursor:
        window_states.note_landed(cursor, windows)
        cursor.execute(
            "update ledger.window set state = 'featured' where starts < %s", (at(20, 0),)
        )
    events = learnt(shop, 20)
    before = compared(shop, 20, events)
    assert before.compared >= 2
    assert forget().impressions == 0
    assert compared(shop, 20, events) == before
    with transaction(shop.database_url) as cursor:
        cursor.execute(
            "update ledger.window set state = 'featured' where starts < %s", (at(21, 0),)
        )
    assert forget().impressions == 2 * len(USERS)
    assert compared(shop, 20, events).compared == 0
