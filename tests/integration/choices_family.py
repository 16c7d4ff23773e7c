"""A family of a stranger's: matrix factorisation of what was chosen, against films drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

import numpy as np

from models.data.events import Events
from models.factors.factorisation_config import FactorisationConfig
from models.factors.rating_recommender import RatingRecommender, Ratings
from models.learning.recipes import ProgressCallback, Recipe, Training, TrainingReport
from models.recommenders.family import Family, Widths
from models.recommenders.learner import NetworkLearner, days_of


@dataclass(frozen=True)
class Shape:
    """What the dataset file may set."""

    dimension: int = 8


class Choices(NetworkLearner, RatingRecommender):
    """See `models.recommenders.family.Recommender`."""

    family_name = f"{__name__}:FAMILY"

    @classmethod
    def new(cls, shape: Shape, widths: Widths, seed: int) -> Self:
        config = FactorisationConfig(shape.dimension, uniform_negatives=8, words_per_item=0)
        return cls.create(config, seed)

    def learn(
        self,
        events: Events,
        training: Training,
        progress: ProgressCallback | None = None,
        held_out: Events | None = None,
    ) -> TrainingReport:
        return self.fit(chosen(events), replace(training.recipe, patience=0), progress)

    def learn_from_nothing(
        self,
        events: Events,
        end: datetime,
        recent: timedelta,
        training: Training,
        progress: Any = None,
    ) -> TrainingReport:
        return self.learn(events, training, progress)

    def remember_events(self, events: Events, recipe: Recipe) -> None:
        self.remember(chosen(events), recipe, days_of(events))


def chosen(events: Events) -> Ratings:
    """Every event as a choice."""
    ones = np.ones(len(events.item_keys), np.float32)
    return Ratings(events.user_keys[events.query], events.item_keys, ones, ones)


FAMILY = Family(
    name="choices",
    summary="matrix factorisation of what was chosen",
    recommender=f"{__name__}:Choices",
    shape=f"{__name__}:Shape",
    inputs=(),
    judged_by="ranking",
    increment=Recipe(epochs=3, learning_rate=0.05, batch_size=128),
    rebuild=Recipe(epochs=10, learning_rate=0.1, batch_size=128),
    repeats=True,
)
