"""A plan's recipes: the family's defaults, the plan's overrides, seeds of their own."""

from __future__ import annotations

from typing import Any

import pytest

from models.recommenders.family import family_named
from recloop.contracts import UpdatePlan
from recloop.training.fitting import Recipes, seed_of


def recipes(family: str, purpose: str = "", **strategy: Any) -> Recipes:
    plan = UpdatePlan(
        decision="increment",
        target="2024-01-08",
        windows=("2024-01-08",),
        parent_release=1,
        strategy=strategy,
        reason="",
    )
    return Recipes(family_named(family), plan, 7, purpose)


def test_a_plan_overrides_its_family_and_no_more() -> None:
    family = family_named("ratings")
    made = recipes("ratings", recipe={"epochs": 9}).increment()
    assert made.recipe.epochs == 9
    assert made.recipe.learning_rate == family.increment.learning_rate
    assert made.ranker is None


def test_the_second_stage_rests_if_the_plan_says_so() -> None:
    assert recipes("retrieve_and_rank").increment().ranker is not None
    assert recipes("retrieve_and_rank", rank=False).increment().ranker is None


def test_a_rebuild_ends_with_what_is_recent_by_other_random_numbers() -> None:
    made = recipes("retrieve_and_rank").rebuild()
    assert made.recent is not None
    assert made.recent.seed != made.recipe.seed == seed_of(7, "2024-01-08")
    assert recipes("retrieve_and_rank", "/shadow").rebuild().recipe.seed != made.recipe.seed


def test_seeds_are_of_their_window_and_their_setting() -> None:
    seeds = {seed_of(seed, window) for seed in (0, 1) for window in ("2024-01-01", "2024-01-08")}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**24 for seed in seeds)


def test_a_field_that_no_recipe_has_is_told() -> None:
    with pytest.raises(TypeError, match="epoch_count"):
        recipes("ratings", recipe={"epoch_count": 9}).increment()
