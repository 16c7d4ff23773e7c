"""Windows of ratings: where a new model starts, and what early stopping watches, by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from models.factors.factorisation_config import FAMILY, FactorisationConfig
from models.factors.rating_recommender import RatingLearner, ratings_of
from models.ids.starts import NewIds
from models.learning.recipes import Training
from models.recommenders.family import Widths
from tests.models.shop_weeks import end_of, week

CONFIG = FactorisationConfig(dimension=4, centre=3.0, lowest=1.0, highest=5.0)


def new() -> RatingLearner:
    return RatingLearner.new(CONFIG, Widths(), 3)


def test_a_first_training_starts_from_the_mean_of_its_ratings() -> None:
    model, events = new(), week(0)
    assert events.values is not None
    still = dataclasses.replace(FAMILY.rebuild, epochs=1, learning_rate=1e-9)
    model.make_room(events, NewIds())
    model.learn_from_nothing(events, end_of(0), end_of(0) - end_of(-1), Training(still))
    bias = model.parameters()["bias"]
    assert bias == pytest.approx(events.values.mean(), abs=1e-4)


def test_what_is_watched_is_the_error_with_a_minus() -> None:
    """An untrained model expects 3 of every pair; of the shop's ratings 3, 4 and 5."""
    model, events = new(), week(0)
    assert events.values is not None
    watch = model.validation(events)
    assert watch is not None
    assert watch() == pytest.approx(-np.sqrt(np.mean((events.values - 3.0) ** 2)))


def test_events_without_values_are_no_ratings() -> None:
    with pytest.raises(ValueError, match="Ratings need `values`"):
        ratings_of(dataclasses.replace(week(0), values=None))
