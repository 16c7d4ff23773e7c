"""What is kept of users: until the data change, for the latest alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from models.recommenders.family import family_named
from recloop.config.learnable import meaning_of
from recloop.database.connection import transaction
from recloop.features.daily import build_features
from recloop.server import people
from recloop.server.people import People, version_of
from recloop.settings import Settings
from tests.integration import shop_life
from tests.recloop.behavior.shop import WEEKS
from tests.recloop.server.conftest import ledger_of

FAMILY = family_named("retrieve_and_rank")


def version(settings: Settings) -> tuple[object, ...]:
    with transaction(settings.database_url) as cursor:
        return version_of(cursor)


def test_features_that_are_built_again_and_late_events_are_other_data(shop: Settings) -> None:
    before = version(shop)
    assert version(shop) == before
    build_features(shop, WEEKS[2])  # as after late events of it: no newer day, no new window
    built = version(shop)
    assert built != before
    shop_life.deliver(shop, "late", shop_life.late(WEEKS[2]))
    assert version(shop) != built


def test_a_person_is_read_once_and_by_its_id(shop: Settings) -> None:
    kept = People(FAMILY, meaning_of(shop))
    (user, key) = ledger_of(shop, "select user_id, user_key from behavior.account limit 1")[0]
    with transaction(shop.database_url) as cursor:
        person = kept.of(cursor, user)
        cursor.execute("delete from behavior.account where user_id = %s", (user,))
        assert kept.of(cursor, user) is person is kept.known(user)
        cursor.connection.rollback()
        assert (person.key, kept.of(cursor, "nobody").key, kept.of(cursor, "").key) == (key, 0, 0)
    assert kept.known("another") is None


def test_the_latest_are_kept(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "MOST", 3)
    kept = People(FAMILY, meaning_of(shop))
    with transaction(shop.database_url) as cursor:
        found = {name: kept.of(cursor, name) for name in "abc"}
        kept.of(cursor, "a")
        kept.of(cursor, "d")
    assert [kept.known(name) is not None for name in "abcd"] == [True, False, True, True]
    assert kept.latest(2) == [kept.known("d"), kept.known("c")]
    assert kept.known("a") is found["a"]


def test_who_is_asked_alike_is_known_to_the_next_release(shop: Settings) -> None:
    kept = People(FAMILY, meaning_of(shop))
    assert kept.asked_by(FAMILY) is kept
    others = kept.asked_by(family_named("sessions"))
    assert others is not kept
    assert others.latest(1) == []


def test_many_threads_find_each_the_person_that_they_ask_for(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "MOST", 5)
    kept = People(FAMILY, meaning_of(shop))
    keys = dict(ledger_of(shop, "select user_id, user_key from behavior.account"))

    def ask(user: str) -> bool:
        with transaction(shop.database_url) as cursor:
            return kept.of(cursor, user).key == keys[user]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, [*keys] * 4))
    assert len(kept.latest(100)) == 5
