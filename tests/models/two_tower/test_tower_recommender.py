import numpy as np
import pytest

from models.data.queries import Interactions, Items, Queries
from models.recommenders import top_k
from models.two_tower import tower_recommender
from tests.models.scoring import scored


def oracle(scores: np.ndarray, keys: np.ndarray, k: int, banned: list[set[int]]):
    """Top k by sorting everything."""
    rows = []
    for row, out in zip(scores, banned, strict=True):
        left = [(-s, i, key) for i, (s, key) in enumerate(zip(row, keys, strict=True))
                if key not in out]  # fmt: skip
        best = [key for _, _, key in sorted(left)[:k]]
        rows.append(best + [0] * (k - len(best)))
    return rows


def test_top_k_is_the_sort_of_the_scores(model, world) -> None:
    keys, scores = model.top_k(world.queries, 5)
    everything = scored(model, world.queries, model.item_keys)
    assert keys.tolist() == oracle(everything, model.item_keys, 5, [set()] * 20)
    assert scores == pytest.approx(-np.sort(-everything)[:, :5], rel=1e-5, abs=1e-5)
    assert (keys.dtype, scores.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("as_csr", [False, True])
@pytest.mark.parametrize("block", [1, 40, 10**6])
def test_candidates_and_exclusions(model, world, monkeypatch, as_csr, block) -> None:
    monkeypatch.setattr(top_k, "BLOCK_SCORES", block)
    candidates = np.array([520, 503, 99_999, 501, 529, 510])
    lists = [np.array([501, 77_777, 501]) if i % 3 else np.zeros(0, np.int64) for i in range(20)]
    lists[4] = candidates
    exclude = lists
    if as_csr:
        exclude = (np.cumsum([0] + [len(part) for part in lists]), np.concatenate(lists))
    keys, scores = model.top_k(world.queries, 5, candidates, exclude)
    known = np.array([520, 503, 501, 529, 510])
    expected = oracle(
        scored(model, world.queries, known), known, 5, [set(part.tolist()) for part in lists]
    )
    assert keys.tolist() == expected
    assert (np.isneginf(scores) == (keys == 0)).all()
    assert keys[4].tolist() == [0] * 5


def test_fewer_items_than_k_leaves_empty_places(model, world) -> None:
    keys, scores = model.top_k(world.queries, 4, np.array([501, 777]))
    assert (keys == [501, 0, 0, 0]).all()
    assert np.isneginf(scores[:, 1:]).all()
    assert (model.top_k(world.queries, 2, np.array([777]))[0] == 0).all()


def test_blocks_give_what_one_block_gives(model, world, monkeypatch) -> None:
    whole = scored(model, world.queries, model.item_keys)
    monkeypatch.setattr(top_k, "BLOCK_SCORES", 70)
    assert scored(model, world.queries, model.item_keys) == pytest.approx(whole, rel=1e-5, abs=1e-5)


def test_unknown_items_score_minus_infinity(model, world) -> None:
    scores = scored(model, world.queries, np.array([501, 424242, 0]))
    assert np.isneginf(scores).tolist() == [[False, True, True]] * 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "Received: `k` = 0"),
        ({"k": 2, "candidates": np.array([501, 501])}, "`candidates` should be unique"),
        ({"k": 2, "exclude": [np.array([501])]}, "one list per query: 20. Received: 1"),
    ],
)
def test_wrong_arguments_are_refused(model, world, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        model.top_k(world.queries, **arguments)


def stranger(history: list[int], user: int = 0) -> Queries:
    return Queries(
        np.array([user], np.int64), np.array([history], np.int64), np.zeros((1, 2), np.float32)
    )


@pytest.mark.parametrize("user", [0, 31337])
def test_an_unknown_user_is_served_by_their_history(model, user) -> None:
    first, second = (
        model.top_k(stranger(history, user), 5)[0][0]
        for history in ([502, 503, 504, 505, 506], [522, 523, 524, 525, 526])
    )
    assert (first <= 515).mean() >= 0.8
    assert (second > 515).mean() >= 0.8


def test_nothing_known_at_all_is_served_by_the_bias(model) -> None:
    keys, scores = model.top_k(stranger([0, 0, 0, 0, 0]), 5)
    bias = model.parameters()["item_bias"][1:, 0]
    assert keys[0].tolist() == (501 + np.argsort(-bias, kind="stable")[:5]).tolist()
    assert scores[0] == pytest.approx(np.sort(bias)[::-1][:5], rel=1e-5)


def test_unknown_history_items_are_as_if_absent(model) -> None:
    known = scored(model, stranger([502, 503, 0, 0, 0]), model.item_keys)
    mixed = scored(model, stranger([502, 4242, 503, 0, 4343]), model.item_keys)
    assert mixed == pytest.approx(known, rel=1e-6, abs=1e-6)


def test_a_new_item_is_recommended_to_those_who_like_its_kind(model, world) -> None:
    model.add_ids(np.zeros(0, np.int64), Items(np.array([901]), np.array([[2, 0, 0]], np.int32)))
    scores = scored(model, world.queries, np.array([901]))[:, 0]
    assert scores[1::2].mean() > scores[::2].mean() + 0.5


def test_an_increment_teaches_a_grown_user(model, world, recipe) -> None:
    model.add_ids(np.array([2001]), world.items)
    queries = stranger([0] * 5, user=2001)
    before = scored(model, queries, np.array([501, 502]))[0]
    keys = np.array([501, 502, 520, 521], np.int64)
    more = Queries(
        np.array([2001, 1002], np.int64), np.zeros((2, 5), np.int64), np.zeros((2, 2), np.float32)
    )
    events = Interactions(np.array([0, 0, 1, 1], np.int32), keys, np.ones(4, np.float32))
    model.fit(more, events, recipe)
    assert (scored(model, queries, np.array([501, 502]))[0] > before).all()


def test_a_model_that_knows_nothing_answers_with_nothing(make_model, world) -> None:
    fresh = tower_recommender.TwoTowerRecommender.create(make_model(trained=False).config, seed=0)
    assert (fresh.top_k(world.queries, 3)[0] == 0).all()
    assert np.isneginf(scored(fresh, world.queries, np.array([501]))).all()
