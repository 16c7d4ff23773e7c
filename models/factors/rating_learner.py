"""Ratings as a family: windows of ratings in, the rating of any item out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Self

import numpy as np

from models.data.checks import Float32Array
from models.data.events import Events
from models.factors.factorisation_config import FAMILY, FactorisationConfig
from models.factors.rating_recommender import RatingRecommender
from models.factors.ratings import Ratings
from models.learning.recipes import ProgressCallback, Recipe, Training, TrainingReport
from models.recommenders.family import Widths
from models.recommenders.learner import NetworkLearner, days_of


class RatingLearner(NetworkLearner, RatingRecommender):
    """See `models.recommenders.family.Recommender`. An event's value is a rating."""

    family_name = FAMILY.name

    @classmethod
    def new(cls, shape: FactorisationConfig, widths: Widths, seed: int) -> Self:
        del widths
        return cls.create(replace(shape, words_per_item=0), seed)

    def learn(
        self,
        events: Events,
        training: Training,
        progress: ProgressCallback | None = None,
        held_out: Events | None = None,
    ) -> TrainingReport:
        recipe = self.patient(training.recipe, held_out)
        return self.fit(ratings_of(events), recipe, progress, self.validation(held_out))

    def learn_from_nothing(
        self,
        events: Events,
        end: datetime,
        recent: timedelta,
        training: Training,
        progress: ProgressCallback | None = None,
    ) -> TrainingReport:
        """All ratings at once, from their mean."""
        del end, recent
        ratings = ratings_of(events)
        self._state.network.tables["bias"].assign([float(ratings.values.mean())])
        return self.fit(ratings, replace(training.recipe, patience=0), progress)

    def remember_events(self, events: Events, recipe: Recipe) -> None:
        self.remember(ratings_of(events), recipe, days_of(events))

    def validation(self, held_out: Events | None) -> Callable[[], float] | None:
        """What early stopping watches: the root mean squared error, negative."""
        if held_out is None:
            return None

        def negative_error() -> float:
            if not len(held_out.item_keys):
                return 0.0
            errors = self.expected(held_out) - ratings_of(held_out).values
            return -float(np.sqrt(np.square(errors, dtype=np.float64).mean()))

        return negative_error

    def expected(self, events: Events) -> Float32Array:
        return self.predict(events.user_keys[events.query], events.item_keys)


def ratings_of(events: Events) -> Ratings:
    """The events as ratings.

    Raises:
        ValueError: they have no values.
    """
    if events.values is None:
        raise ValueError(
            "Ratings need `values`. Received: events without; read them with their values."
        )
    return Ratings(events.user_keys[events.query], events.item_keys, events.values, events.weights)
