"""Ratings and ranking examples, remembered and rehearsed."""

import dataclasses

import numpy as np
import pytest

from models.factors import rating_recommender
from models.factors.factorisation_config import FactorisationConfig
from models.factors.rating_recommender import RatingRecommender, Ratings
from models.learning import rehearsal
from models.learning.recipes import Recipe
from models.ranker import list_batches
from models.ranker.list_batches import RankingExamples
from models.ranker.ranker_config import RankerConfig
from models.ranker.ranking_recommender import RankingRecommender

pytestmark = pytest.mark.slow


def remembering(recipe: Recipe, **settings) -> Recipe:
    settings = {"replay": "uniform", "replay_share": 0.5, "memory_size": 60, **settings}
    return dataclasses.replace(recipe, **settings)


def test_ratings_are_remembered_and_rehearsed(world, recipe) -> None:
    rng = np.random.default_rng(0)
    ratings = Ratings(
        world.queries.user_keys[world.interactions.query],
        world.interactions.item_keys,
        rng.integers(1, 6, 120).astype(np.float32),
        np.ones(120, np.float32),
    )
    model = RatingRecommender.create(FactorisationConfig(centre=3.0), seed=1)
    model.add_ids(world.user_keys, world.items)
    for kind in ("uniform", "herding"):
        learned = remembering(recipe, replay=kind, distillation=0.5, dropout=0.0)
        model.fit(ratings, learned)
        assert model.remember(ratings, learned, day=1.0) == 60
    kept = rehearsal.remembered(model._state)
    given = dict(
        zip(zip(ratings.user_keys, ratings.item_keys, strict=True), ratings.values, strict=True)
    )
    for user, item, value in zip(kept["user_keys"], kept["item_keys"], kept["values"], strict=True):
        assert given[user, item] == value
    assert rating_recommender.vectors_of(model._state, kept).shape[0] == 60
    assert model.fit(ratings, learned).rehearsed == 24 * 8


def test_ranking_examples_are_remembered_and_rehearsed(recipe, tmp_path) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((80, 4)).astype(np.float32)
    values = np.where(rng.random(80) < 0.5, np.nan, 2.0).astype(np.float32)
    examples = RankingExamples(
        rng.integers(1, 9, 80),
        rng.integers(1, 9, 80),
        features,
        (features[:, 0] > 0).astype(np.float32),
        np.ones(80, np.float32),
        values,
    )
    model = RankingRecommender.create(
        RankerConfig(feature_width=4, loss="pointwise", second_head="value"), seed=1
    )
    learned = remembering(recipe, replay="herding", distillation=0.5, memory_size=40)
    model.fit(examples, learned)
    assert model.remember(examples, learned, day=1.0) == 40  # without a row per item, too
    kept = rehearsal.remembered(model._state)
    at = [int(np.flatnonzero((features == row).all(axis=1))[0]) for row in kept["features"]]
    assert (kept["labels"] == examples.labels[at]).all()
    again = list_batches.batches_of(model._state, kept, learned).chunk(np.arange(40))["values"]
    mean, scale = model._state.extra[list_batches.VALUE_SCALE]
    np.testing.assert_allclose(again * scale + mean, values[at], rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "ranker")
    assert RankingRecommender.restore(tmp_path / "ranker").fit(examples, learned).rehearsed > 0
