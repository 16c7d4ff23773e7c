"""Errors of expected ratings and the ranking of likes, by hand; and differences of errors."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.events import Events
from recloop.evaluation.differences import paired_difference
from recloop.evaluation.gate import measure
from recloop.evaluation.ratings_judge import JUDGE, HeldRatings, _scores
from tests.models.shop_weeks import week


def heldout() -> HeldRatings:
    """User 1 rates 5, 6 and 7 with 5, 1 and 4; user 2 rates 5 with 2. Likes are 4 and more."""
    some = week(0).where(np.isin(np.arange(192), [0, 1, 2, 4]))
    changed = {
        "item_keys": np.array([5, 6, 7, 5]),
        "values": np.array([5, 1, 4, 2], np.float32),
    }
    events = Events(**{**vars(some), **changed})
    return HeldRatings(
        events=events,
        catalogue=np.array([5, 6, 7, 8]),
        rated=(np.array([0, 1, 1]), np.array([8])),
        users=np.array([1, 2]),
        first=np.array([0, 3]),
        likes=[np.array([5, 7]), np.array([], np.int64)],
        means=np.array([4.0, 3.0, 2.0, 5.0]),
        mean=3.5,
    )


def test_rmse_mae_and_the_ranking_of_likes() -> None:
    keys = np.zeros((2, 20), np.int64)
    keys[0, :2] = [6, 5]
    found = _scores(heldout(), np.array([4.0, 1.0, 4.0, 4.0]), keys)
    assert found.mean("rmse") == pytest.approx(np.sqrt((1 + 0 + 0 + 4) / 4))
    assert found.mean("mae") == pytest.approx(3 / 4)
    ideal = 1 + 1 / np.log2(3)
    assert found.mean("likes_ndcg@20") == pytest.approx(1 / np.log2(3) / ideal)
    assert found.count("likes_ndcg@20") == 1  # user 2 likes nothing


def test_item_means_rank_what_the_user_has_not_rated() -> None:
    """The best by their means are 8, 5, 6, 7; user 1 had rated 8."""
    found = JUDGE.baselines()["item_means"](heldout())
    assert found.values["mae"].tolist() == [1, 2, 2, 2]
    ideal = 1 + 1 / np.log2(3)
    assert found.mean("likes_ndcg@20") == pytest.approx((1 + 1 / np.log2(4)) / ideal)


def test_less_error_is_a_gain() -> None:
    keys, held = np.zeros((2, 20), np.int64), heldout()
    ours = _scores(held, np.array([5.0, 1.0, 4.0, 3.0]), keys)
    theirs = _scores(held, np.array([4.0, 2.0, 3.0, 4.0]), keys)
    measured = measure(JUDGE, held, ours, theirs)
    found = {one.name: one.found for one in measured.compared}
    assert found["rmse"].mean == pytest.approx(np.sqrt(7 / 4) - np.sqrt(1 / 4))
    assert found["mae"].mean == pytest.approx(5 / 4 - 1 / 4)
    assert found["rmse"].low() <= found["rmse"].mean <= found["rmse"].high()
    assert found["rmse"].users == 2


def test_a_difference_of_roots_is_not_the_root_of_a_difference() -> None:
    ours, theirs = np.array([4.0, 16.0]), np.array([1.0, 1.0])
    found = paired_difference(ours, theirs, root=True)
    assert found.mean == pytest.approx(np.sqrt(10) - 1)


def test_a_champion_is_as_good_as_it_beats_expecting_the_mean_always() -> None:
    """Ratings 5, 1, 5, 5 by a mean of 3 miss by 2 each; one that misses by 1 each leads by 1."""
    keys, held = np.zeros((2, 20), np.int64), heldout()
    assert held.events.values is not None
    values = held.events.values.astype(np.float64)
    apart = np.abs(values - held.mean)
    assert JUDGE.no_skill(held) == {
        "rmse": pytest.approx(np.sqrt(np.mean(apart**2))),
        "mae": pytest.approx(apart.mean()),
    }
    theirs = _scores(held, values + 0.5, keys)
    found = {one.name: one.found for one in measure(JUDGE, held, theirs, theirs).compared}
    assert found["mae"].level == pytest.approx(max(apart.mean() - 0.5, 0.1 * apart.mean()))
