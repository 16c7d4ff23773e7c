"""Next items of two sessions, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.events import Events
from recloop.evaluation.next_item_judge import JUDGE, next_items, scores_of
from tests.models.shop_weeks import week


def sessions(*items: list[int]) -> Events:
    """Sessions of users 1, 2, … from the shop's first events, with these items."""
    some = week(0).where(np.arange(192) < 4 * len(items))
    keep = np.concatenate([np.arange(4) < len(one) for one in items])
    some = some.where(keep)
    return Events(**{**vars(some), "item_keys": np.concatenate(items).astype(np.int64)})


def test_every_item_but_the_first_is_predicted_from_those_before_it_among_the_known() -> None:
    """9 was not seen before the cut: it is taken out; then 7 alone is no session."""
    heldout = next_items(sessions([5, 9, 6, 5], [7, 9]), np.array([5, 6, 7]), np.array([6, 5]))
    assert heldout.targets.tolist() == [6, 5]
    assert heldout.history[:, :3].tolist() == [[5, 0, 0], [6, 5, 0]]
    assert heldout.owners.tolist() == [1, 1]
    assert JUDGE.counts(heldout) == {"users": 1.0, "predictions": 2.0}


def test_with_a_goal_its_items_alone_are_predicted_from_all_before_them() -> None:
    events = sessions([5, 6, 5], [7, 6])
    kinds = np.array([0, 0, 1, 1, 0], np.int32)
    told = Events(**{**vars(events), "kinds": kinds, "kind_names": ("click", "purchase")})
    heldout = next_items(told, np.array([5, 6, 7]), np.array([6, 5]), ("purchase",))
    assert heldout.targets.tolist() == [5]
    assert heldout.history[:, :3].tolist() == [[6, 5, 0]]
    assert heldout.owners.tolist() == [1]


def test_recall_and_reciprocal_rank_of_a_list() -> None:
    keys = np.zeros((3, 20), np.int64)
    keys[0, :3], keys[1, :2] = [8, 6, 5], [5, 6]
    found = scores_of(keys, np.array([6, 5, 4]))
    assert found.values["recall@20"].tolist() == [1, 1, 0]
    assert found.values["mrr@20"].tolist() == [1 / 2, 1, 0]
    assert found.mean("mrr@20") == pytest.approx(0.5)
    assert found.shown == 3


def test_popularity_shows_the_same_to_everybody() -> None:
    heldout = next_items(sessions([5, 6, 5]), np.array([5, 6, 7]), np.array([6, 7]))
    found = JUDGE.baselines()["popularity"](heldout)
    assert found.values["mrr@20"].tolist() == [1, 0]
