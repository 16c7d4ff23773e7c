"""What the recommenders of all families do alike: ids in order, copies, steps, saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.queries import Items
from models.errors import IncompatibleCheckpoint
from models.recommenders.facade import Facade, KnowsIds
from models.two_tower.tower_config import ModelConfig
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.conftest import CONFIG, World
from tests.models.tiny import TinyConfig, tiny_state


class TinyFacade(Facade, KnowsIds):
    config_class = TinyConfig


def array(*keys: int) -> np.ndarray:
    return np.array(keys, np.int64)


def items(*keys: int) -> Items:
    return Items(array(*keys), np.ones((len(keys), 3), np.int32))


def test_ids_are_known_in_the_order_in_which_they_came_and_counted_once() -> None:
    model = TwoTowerRecommender.create(CONFIG, seed=1)
    assert (len(model.user_keys), len(model.item_keys), model.steps) == (0, 0, 0)
    assert model.add_ids(array(7, 3), items(50)) == (2, 1)
    assert model.add_ids(array(3, 9, 9), items(50, 20)) == (1, 1)
    assert model.user_keys.tolist() == [7, 3, 9]
    assert model.item_keys.tolist() == [50, 20]
    with pytest.raises(ValueError, match="read-only"):
        model.user_keys[0] = 1


def test_an_id_seen_on_the_first_day_kept_stays_and_one_seen_before_it_goes() -> None:
    model = TwoTowerRecommender.create(CONFIG, seed=1)
    model.add_ids(array(1, 2, 3), items(50, 20))
    model.note_seen(array(1), array(20), day=99)
    model.note_seen(array(2), array(50), day=100)
    assert model.expire(before_day=100) == (1, 1)
    assert model.user_keys.tolist() == [2, 3], "of user 3 no day is known"
    assert model.item_keys.tolist() == [50]


def test_parameters_are_copies() -> None:
    model = TinyFacade(tiny_state())
    taken = model.parameters()
    before = taken["user"].copy()
    taken["user"][:] = 99.0
    np.testing.assert_array_equal(model.parameters()["user"], before)
    assert model.parameters().keys() == {"user", "item", "base", "head"}


def test_a_second_save_on_the_first_is_a_delta_and_restores_all_of_it(
    model: TwoTowerRecommender, world: World, tmp_path: Path
) -> None:
    steps = model.steps
    assert model.save(str(tmp_path / "first")) == "whole"
    model.add_ids(array(2001), world.items)
    assert model.save(str(tmp_path / "second"), base=str(tmp_path / "first")) == "delta"
    again = TwoTowerRecommender.restore(str(tmp_path / "second"))
    assert again.user_keys.tolist() == [*range(1001, 1021), 2001]
    assert (again.steps, again.config) == (steps, model.config)
    for name, table in model.parameters().items():
        np.testing.assert_array_equal(again.parameters()[name], table)


def test_a_state_of_another_family_is_refused_by_name() -> None:
    with pytest.raises(
        IncompatibleCheckpoint, match=r"TinyFacade .* family 'tiny'. Received: 'two_tower'"
    ):
        TinyFacade.create(ModelConfig(), seed=1)
