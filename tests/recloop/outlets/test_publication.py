"""A publication that computes some lists anew has the rows of one that computes all."""

from __future__ import annotations

import random

import numpy as np
import pytest

from recloop.database.connection import transaction
from recloop.outlets.publication import Wanted, publish_recommendations
from recloop.settings import Settings
from tests.recloop.outlets.small_shop import Life, all_rows, life, own_schema

WANTED = Wanted(k=5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "seed"), [*(("retrieve_and_rank", n) for n in (0, 2, 3, 4, 5)), ("sessions", 0)]
)
def test_some_anew_is_all_anew_in_any_order_of_events_and_publications(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, family: str, seed: int
) -> None:
    choose, shop = random.Random(seed), life(settings, monkeypatch, family)
    shop.buy("ann", 3, 0, 60)
    shop.build(0, note=True)
    some = 0
    for _ in range(45):
        step(shop, choose)
        if choose.random() < 0.4:
            some += is_as_if_all_were_computed(settings, shop)
    assert some > 2, "hardly ever were only some computed anew: the test shows little"


def step(shop: Life, choose: random.Random) -> None:
    number, what = choose.choice([0, 1, 1, 2, 2]), choose.random()
    if what < 0.5:
        user = choose.choice("abcdefghij")
        shop.buy(user, choose.randint(1, 12), number, choose.randint(0, 7 * 1440 - 1))
    elif what < 0.8:
        shop.build(number, note=choose.random() < 0.7)
    elif what < 0.9:
        shop.close(number)
    elif what < 0.93:
        shop.promote()


def is_as_if_all_were_computed(settings: Settings, shop: Life) -> bool:
    """Whether only some lists were computed for it."""
    made = publish_recommendations(settings, WANTED)
    own_schema(settings, "check")
    whole = publish_recommendations(settings, Wanted(k=5, out="check.whole"), anew=True)
    assert all_rows(settings) == all_rows(settings, '"check".whole'), shop.steps
    assert made.sha256 == whole.sha256
    assert made.rows == whole.rows == len(all_rows(settings))
    assert made.users == whole.users == whole.computed
    similar = all_rows(settings, "published.similar_item")
    assert similar == all_rows(settings, '"check".whole_similar_item')
    assert made.similar_rows == len(similar) == 12 * 5
    return 0 < made.computed < made.users


def test_who_is_computed_anew_and_why(settings: Settings, monkeypatch) -> None:
    shop = life(settings, monkeypatch, "retrieve_and_rank")
    for user in ("ann", "bob", "cid"):
        shop.buy(user, 3, 0, 60)
    assert told(settings) == (3, "nothing is there yet")
    assert told(settings) == (3, "")  # features of none of these events are there
    shop.build(0, note=True)
    assert told(settings) == (3, "moved since: moment")
    assert told(settings) == (0, "")
    shop.close(0)
    shop.buy("bob", 4, 0, 61)
    assert told(settings) == (1, "")
    assert told(settings) == (1, "")  # they wait for their features
    shop.buy("dan", 4, 0, 61)
    assert told(settings) == (2, "")
    shop.build(0, note=True)
    assert told(settings) == (2, "")
    assert told(settings) == (0, "")
    shop.promote()
    assert told(settings) == (4, "moved since: release, files")
    assert told(settings, Wanted(k=4)) == (4, "moved since: k")
    shop.buy("eve", 9, 1, 5)
    assert told(settings, Wanted(k=4)) == (1, "")
    shop.build(1, note=True)  # a day later every age is another one
    assert told(settings, Wanted(k=4)) == (5, "moved since: moment")


def test_without_features_time_moves_nobodys_list(settings: Settings, monkeypatch) -> None:
    shop = life(settings, monkeypatch, "sessions")
    shop.buy("ann", 3, 0, 60)
    shop.buy("bob", 3, 0, 60)
    assert told(settings)[0] == 2
    shop.buy("bob", 3, 1, 60)
    shop.build(1, note=True)
    assert told(settings) == (1, "")


def test_days_of_activity_move_with_the_log(settings: Settings, monkeypatch) -> None:
    shop = life(settings, monkeypatch, "sessions")
    shop.buy("ann", 3, 0, 60)
    shop.buy("bob", 4, 1, 60)
    wanted = Wanted(k=5, active_days=3)
    assert told(settings, wanted) == (1, "nothing is there yet")
    assert {row[2] for row in all_rows(settings)} == {"", "bob"}
    shop.buy("ann", 4, 1, 61)
    assert told(settings, wanted) == (2, "")  # bob has events in the part that has grown
    assert {row[2] for row in all_rows(settings)} == {"", "bob", "ann"}
    shop.buy("cid", 4, 2, 61)
    assert told(settings, wanted) == (1, "moved since: active since")
    assert {row[2] for row in all_rows(settings)} == {"", "cid"}


def told(settings: Settings, wanted: Wanted = WANTED) -> tuple[int, str]:
    made = publish_recommendations(settings, wanted)
    return made.computed, made.why


def test_the_ledger_keeps_the_latest_and_forgets_the_parts_of_earlier_ones(
    settings: Settings, monkeypatch
) -> None:
    shop = life(settings, monkeypatch, "sessions")
    shop.buy("ann", 3, 0, 60)
    for _ in range(25):
        last = publish_recommendations(settings, WANTED)
    with transaction(settings.database_url) as cursor:
        cursor.execute("select id, state, parts is null from ledger.publication order by id")
        found = cursor.fetchall()
    assert len(found) == 20
    assert found[-1] == (last.id, "published", False)
    assert {row[1:] for row in found[:-1]} == {("replaced", True)}


def test_a_list_is_taken_out_of_a_digest_as_it_was_put_in() -> None:
    from recloop.outlets.digests import number_of, sum_of, text_of

    items = np.array([[1, 2], [3, 0]])
    scores, reasons = np.ones((2, 2), np.float32), np.ones((2, 2), np.uint8)
    both = sum_of(["a", "b"], items, scores, reasons)
    one = sum_of(["b"], items[1:], scores[1:], reasons[1:])
    assert text_of(both - one) == text_of(sum_of(["a"], items[:1], scores[:1], reasons[:1]))
    assert number_of(text_of(both)) == both
    assert text_of(0) == text_of(sum_of(["c"], items[:1] * 0, scores[:1], reasons[:1]))
    assert both != sum_of(["b", "a"], items, scores, reasons)
