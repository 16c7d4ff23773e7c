"""A release that answers: what `recommend` says, item for item, and what is taken over by the next."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from recloop.config.recommenders import chosen
from recloop.database.connection import transaction
from recloop.errors import ReleaseDamaged
from recloop.ledger import releases
from recloop.release.recommend import recommend
from recloop.server.serving import Asked, Serving, feature_names
from recloop.settings import Settings
from tests.integration import shop_life
from tests.recloop.behavior.shop import WEEKS
from tests.recloop.server.conftest import RELEASES, ledger_of

STRANGER = "never seen"


def serving(settings: Settings, version: int = RELEASES, before: Serving | None = None) -> Serving:
    with transaction(settings.database_url) as cursor:
        release = releases.release_of(cursor, version)
        return Serving(chosen(settings), release, cursor, before)


def said(one: Serving, settings: Settings, user: str = "", **asked: Any) -> list[tuple[str, float]]:
    with transaction(settings.database_url) as cursor:
        person = one.person(cursor, user)
    body = one.answer(person, Asked(**asked)).body
    assert body["release"] == one.release.version
    return [(row["item"], row["score"]) for row in body["items"]]


def expected(settings: Settings, *arguments: Any, **more: Any) -> list[tuple[str, float]]:
    found = recommend(chosen(settings), *arguments, **more)
    return [(one.item_id, one.score) for one in found.items]


@pytest.mark.parametrize("version", range(1, RELEASES + 1))
def test_answers_are_those_of_recommend(version: int, shop: Settings) -> None:
    one = serving(shop, version)
    users = [row[0] for row in ledger_of(shop, "select user_id from behavior.account order by 1")]
    assert len(users) > 50
    for user in [*users[:20], STRANGER, " 12000.0 "]:
        assert said(one, shop, user) == expected(shop, user, version=version)
        assert said(one, shop, user, include_known=True, count=3) == expected(
            shop, user, 3, version, include_known=True
        )
    session = ("20003", "20041", "20003")
    assert said(one, shop, session=session) == expected(shop, version=version, session=session)


def test_where_an_answer_comes_from_is_told(shop: Settings) -> None:
    one = serving(shop)
    with transaction(shop.database_url) as cursor:
        known, stranger = one.person(cursor, "12000"), one.person(cursor, STRANGER)
    told = [
        one.answer(person, Asked(session=session)).body["answered_from"]
        for person in (known, stranger)
        for session in ((), ("20003",), ("nothing",))
    ]
    assert told == ["user", "user and session", "user", "popularity", "session", "popularity"]


def test_each_click_of_a_session_changes_the_list(shop: Settings) -> None:
    one, clicks = serving(shop), ("20003", "20041", "20017")
    lists = [said(one, shop, session=clicks[:n]) for n in range(4)]
    assert len({tuple(item for item, _ in found) for found in lists}) == 4
    for n, found in enumerate(lists):
        assert not {item for item, _ in found} & set(clicks[:n])


def test_unknown_items_are_ignored_and_told(shop: Settings) -> None:
    one = serving(shop)
    asked = Asked(
        session=("20003", "no 1"), exclude=("no 2", "no 1"), items=("20004", "no 3"), count=5
    )
    body = one.answer(one.stranger, asked).body
    assert [row["item"] for row in body["items"]] == ["20004"]
    assert body["ignored"] == ["no 1", "no 2", "no 3"]
    assert "ignored" not in one.answer(one.stranger, Asked()).body


def test_given_items_and_excluded_ones(shop: Settings) -> None:
    one = serving(shop)
    best = [item for item, _ in said(one, shop)]
    others = [item for item, _ in said(one, shop, exclude=tuple(best[:3]))]
    assert others[:7] == best[3:]
    some = said(one, shop, items=tuple(best[4:6]))
    assert [item for item, _ in some] == best[4:6]
    assert said(one, shop, items=()) == []


def test_explained_are_the_features_that_were_scored(shop: Settings) -> None:
    one = serving(shop)
    body = one.answer(one.stranger, Asked(explain=True, count=4)).body
    plain = one.answer(one.stranger, Asked(count=4)).body
    keys = one.answer(one.stranger, Asked(count=4)).keys
    features = one.opened.answerer.features(one.stranger.queries, keys)
    assert features.shape[1] > 10
    for row, same, values in zip(body["items"], plain["items"], features, strict=True):
        names = list(row["features"])
        assert len(set(names)) == features.shape[1]
        assert names[0] == "retrieval"
        assert list(row.pop("features").values()) == pytest.approx(values.tolist(), abs=1e-6)
        assert row == same
        assert row["stage"] in ("own", "together", "popular", "retrieval")
        assert row["reason"]


def test_features_of_each_kind_have_its_name() -> None:
    names = feature_names(("click", "cart"), 2)
    assert names[9:17] == [
        "own_latest", "own_click", "own_cart", "user_purchases", "user_days", "user_last_age",
        "user_click", "user_cart",
    ]  # fmt: skip
    assert names[26:29] == ["item_cancels_28d", "item_click_28d", "item_cart_28d"]
    before = feature_names(("click", "cart"), 0)
    assert before == feature_names((), 0)
    assert len(names) == len(before) + 3 * 2
    assert [name for name in feature_names(("click",), 2) if "kind" in name] == [
        "own_kind_2", "user_kind_2", "item_kind_2_28d",
    ]  # fmt: skip


def test_of_nothing_nothing_is_explained(shop: Settings) -> None:
    one = serving(shop)
    assert one.answer(one.stranger, Asked(items=(), explain=True)).body["items"] == []


def test_similar_items_are_the_nearest_vectors(shop: Settings) -> None:
    one = serving(shop)
    answerer = one.opened.answerer
    vectors = np.asarray(answerer.item_vectors(), np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = dict(ledger_of(shop, "select item_key, item_id from behavior.item"))
    ids = [keys[key] for key in answerer.items.keys.tolist()]
    cosines = vectors @ vectors[ids.index("20003")]
    nearest = [ids[row] for row in np.argsort(-cosines)[1:6]]
    found = one.similar("20003", Asked(count=5))
    assert found is not None
    assert [row["item"] for row in found["items"]] == nearest
    without = one.similar(" 20003.0", Asked(count=4, exclude=(nearest[0], "no")))
    assert without is not None
    assert [row["item"] for row in without["items"]] == nearest[1:]
    assert without["ignored"] == ["no"]
    assert one.similar("nothing", Asked()) is None


def test_the_next_release_knows_the_same_people_and_items(shop: Settings) -> None:
    before = serving(shop, 2)
    said(before, shop, "12001")
    after = serving(shop, 3, before)
    assert after._people is before._people
    assert after._shelf.catalogue is before._shelf.catalogue
    assert after._shelf is not before._shelf
    assert after.known("12001") is before.known("12001") is not None


def test_new_data_are_another_object_and_the_release_is_opened_once(shop: Settings) -> None:
    one = serving(shop)
    said(one, shop, "12001")
    with transaction(shop.database_url) as cursor:
        assert one.on_data_of(cursor) is one
    shop_life.deliver(shop, "late", shop_life.late(WEEKS[2]))
    with transaction(shop.database_url) as cursor:
        newer = one.on_data_of(cursor)
    assert newer is not one
    assert newer.opened is one.opened
    assert newer.known("12001") is None
    assert said(newer, shop, "12001") == expected(shop, "12001")
    later = serving(shop, 2, one)  # which was not told of the new data
    assert later._people is not one._people


def test_an_old_release_is_freed(shop: Settings) -> None:
    one = serving(shop, 2)
    said(one, shop, "12001")
    two = serving(shop, 3, one)
    old = weakref.ref(one), weakref.ref(one.opened.answerer)
    del one
    gc.collect()
    assert [ref() for ref in old] == [None, None]
    assert said(two, shop, "12001")


def test_scores_that_cannot_be_right_are_refused(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.retrieve_and_rank.two_stage_answers import TwoStageAnswers

    real = TwoStageAnswers.top_k

    def infinite(self: Any, *given: Any) -> Any:
        keys, scores = real(self, *given)
        return keys, np.full_like(scores, np.nan)

    def twice(self: Any, *given: Any) -> Any:
        keys, scores = real(self, *given)
        return np.full_like(keys, keys[0, 0]), scores

    def other_alone(self: Any, queries: Any, *given: Any) -> Any:
        keys, scores = real(self, queries, *given)
        return keys, scores + np.float32(len(queries) * 1e-3)

    for wrong, words in (
        (infinite, "finite scores of distinct items"),
        (twice, "finite scores of distinct items"),
        (other_alone, "the same to one alone as to many"),
    ):
        monkeypatch.setattr(TwoStageAnswers, "top_k", wrong)
        with pytest.raises(ReleaseDamaged, match=f"release 3 does not answer with {words}"):
            serving(shop)


def test_a_release_without_arrays_is_refused_with_the_remedy(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recloop.release import answering

    real = answering._opened
    monkeypatch.setattr(
        answering, "_opened", lambda *given, **how: (*real(*given, **how)[:2], False)
    )
    with pytest.raises(
        ReleaseDamaged, match=r"`recloop publish --release 3` writes the export anew"
    ):
        serving(shop)
