"""Recommender: the two-tower's facade, keys in, keys and scores out.

Neighbours: `recloop` builds the arrays and decides; `models.retriever` has what all families
answer; `models.learning.training` trains, `models.learning.rehearsal` brings the past in.
"""

from collections.abc import Callable

import numpy as np

from models.arrays import Interactions, Queries
from models.ids.admission import admitted
from models.learning import rehearsal
from models.learning.recipes import ProgressCallback, Recipe, TrainingReport
from models.retrieval import interaction_memory
from models.retrieval.basket_feed import tower_feed
from models.retrieval.config import ModelConfig
from models.retriever import RetrievalFacade


class Recommender(RetrievalFacade):
    """A recommender that grows and learns in place.

    >>> model = Recommender.create(ModelConfig(), seed=1)          # doctest: +SKIP
    >>> model.grow(user_keys, items)                               # doctest: +SKIP
    >>> model.fit(queries, interactions, REBUILD)                  # doctest: +SKIP
    >>> keys, scores = model.top_k(queries, k=20)                  # doctest: +SKIP
    """

    config_class = ModelConfig

    def fit(
        self,
        queries: Queries,
        interactions: Interactions,
        recipe: Recipe,
        progress: ProgressCallback | None = None,
        validate: Callable[[], float] | None = None,
    ) -> TrainingReport:
        """Learns from the interactions, and rehearses what it remembers if the recipe says so, in
        place. Events on items that wait for admission are left out. See `training.fit`."""
        interactions = admitted(self._state, interactions)
        feed = tower_feed(self._state, queries, interactions, recipe)
        return rehearsal.learn(
            self._state, feed, recipe, interaction_memory.feed_of, progress, validate
        )

    def remember(
        self,
        queries: Queries,
        interactions: Interactions,
        recipe: Recipe,
        day: float | np.ndarray,
    ) -> int:
        """Offers what was learned to the memory that the next `fit` rehearses; returns how many
        examples it has then.

        Args:
            queries, interactions: as given to `fit`, oldest first.
            recipe: `replay`, `memory_size`, `memory_half_life`, `ewc`.
            day: when they happened, in days since a day that stays the same; one for all, or
                float64 [N].
        """
        examples = interaction_memory.examples_of(self._state, queries, interactions)
        return rehearsal.remember(
            self._state,
            examples,
            recipe,
            interaction_memory.vectors_of,
            day,
            interaction_memory.feed_of,
        )
