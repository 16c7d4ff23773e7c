"""A shard of events that nothing can be learnt from: the others are enough."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from models.errors import BadTrainingData
from recloop.contracts import Strategy, UpdatePlan
from recloop.settings import Settings
from recloop.training.fitting import Recipes
from recloop.training.material import Material
from recloop.training.recommender import family_of
from recloop.training.sharding import _learn_own, shard_numbers
from tests.models.shop_weeks import end_of, week


class Unteachable:
    """Of these events, as of sessions of one click, or of items that wait for admission."""

    def learn(self, *_: Any) -> Any:
        raise BadTrainingData("nothing to learn from")


def test_a_shard_without_anything_to_learn_is_an_empty_one() -> None:
    strategy = Strategy(shards=2)
    plan = UpdatePlan(
        decision="increment",
        target="w",
        windows=("w",),
        strategy=strategy,
        parent_release=1,
        reason="x",
    )
    recipes = Recipes(family_of(Settings()), plan, 1)
    material = Material(seen=week(1), held_out=week(2), cut=end_of(1))
    assert np.bincount(shard_numbers(week(1).user_keys, 2), minlength=2).min() > 0
    for number in (0, 1):
        assert _learn_own(cast(Any, Unteachable()), recipes, material, number, None) == 0
