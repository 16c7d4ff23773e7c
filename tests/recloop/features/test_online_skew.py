"""The online store against the tables that it is filled from."""

from __future__ import annotations

import pytest

from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.features.daily import build_features
from recloop.features.online import materialize
from recloop.features.online_skew import Online, online_skew
from recloop.settings import Settings
from tests.recloop.features.oracle import WEEKS, Event, at, random_events, store_events

pytestmark = pytest.mark.slow


def test_the_store_says_what_the_tables_say_until_one_of_them_changes(
    settings: Settings, shop: Meaning
) -> None:
    assert online_skew(settings, shop) == Online(0)
    store_events(
        settings.database_url, [*random_events(21, count=200, days=21), Event(7, 1, at(20))]
    )
    for week in WEEKS[:3]:
        build_features(settings, week, shop)
        materialize(settings, shop)
    assert online_skew(settings, shop) == Online(7)
    assert online_skew(settings, shop, most=2) == Online(2)
    with transaction(settings.database_url) as cursor:
        cursor.execute("update features.user_statistics set cancels_28d = 40 where user_key = 7")
    found = online_skew(settings, shop)
    assert (found.users, found.differ) == (7, 1)
    # log(1 + 0) online, log(41) in the tables
    assert found.example.startswith("cancels_28d of user_key 7 is 0.0 online and 3.713")


def test_a_window_that_was_not_materialised_is_found(settings: Settings, shop: Meaning) -> None:
    store_events(
        settings.database_url, [Event(1, 5, at(1)), Event(1, 6, at(8)), Event(2, 6, at(2))]
    )
    build_features(settings, WEEKS[0], shop)
    materialize(settings, shop)
    build_features(settings, WEEKS[1], shop)
    found = online_skew(settings, shop)
    assert (found.users, found.differ) == (2, 2)
    assert found.example == "history of user_key 1 is [5] online and [6, 5] in the tables"
