"""What is served is what was trained: the same items, in the same order, by key."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import CorruptCheckpoint, IncompatibleCheckpoint
from models.recommenders.export import Served
from models.storage import seal
from models.two_tower.tower_recommender import TwoTowerRecommender


@pytest.fixture
def served(model: TwoTowerRecommender, tmp_path: Path) -> Served:
    model.export(tmp_path / "1")
    return Served(tmp_path / "1")


def test_answers_are_those_of_the_recommender(
    model: TwoTowerRecommender, served: Served, world
) -> None:
    nothing = np.zeros((len(world.queries), 0), np.int64)
    keys, scores = served.top_k(world.queries, 5, nothing)
    expected_keys, expected_scores = model.top_k(world.queries, 5)
    np.testing.assert_array_equal(keys, expected_keys)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5)


def test_excluded_items_are_not_shown(served: Served, world) -> None:
    nothing = np.zeros((len(world.queries), 0), np.int64)
    first, _ = served.top_k(world.queries, 3, nothing)
    second, _ = served.top_k(world.queries, 3, first)
    assert not any(set(a) & set(b) for a, b in zip(first.tolist(), second.tolist(), strict=True))


def test_a_stranger_is_answered_from_history_alone(served: Served, world) -> None:
    stranger = world.queries.take(np.array([0, 1]))
    stranger.user_keys[:] = 0
    keys, _ = served.top_k(stranger, 5, np.zeros((2, 0), np.int64))
    assert not served.knows(0)
    assert served.knows(int(world.user_keys[0]))
    assert set(keys[0]) != set(keys[1])


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptCheckpoint, match=f"sha256.json is missing in {tmp_path}"):
        Served(tmp_path)


def test_a_whole_folder_of_something_else_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_text("not one of ours")
    seal.close(tmp_path)
    with pytest.raises(IncompatibleCheckpoint, match="is not one of this recloop"):
        Served(tmp_path)
