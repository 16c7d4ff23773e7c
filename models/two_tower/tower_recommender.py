"""TwoTowerRecommender: the two-tower's facade, keys in, keys and scores out.

Neighbours: `recloop` builds the arrays and decides; `models.recommenders.retriever` has what all
families answer; `models.learning.training` trains, `models.learning.rehearsal` brings the past in.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from models.data.checks import Float32Array
from models.data.queries import Interactions, Queries
from models.ids.admission import admitted
from models.learning import rehearsal
from models.learning.batch_source import BatchSource
from models.learning.memory import Examples, take
from models.learning.recipes import ProgressCallback, Recipe, TrainingReport
from models.recommenders.retriever import RetrievalFacade, translate
from models.tables.backend import tf
from models.tables.state import ModelState
from models.two_tower.basket_batches import tower_batches
from models.two_tower.tower_config import ModelConfig


class TwoTowerRecommender(RetrievalFacade):
    """A recommender that grows and learns in place.

    >>> model = TwoTowerRecommender.create(ModelConfig(), seed=1)          # doctest: +SKIP
    >>> model.add_ids(user_keys, items)                               # doctest: +SKIP
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
        batches = tower_batches(self._state, queries, interactions, recipe)
        return rehearsal.learn(self._state, batches, recipe, batches_of, progress, validate)

    def remember(
        self, queries: Queries, interactions: Interactions, recipe: Recipe, day: float | np.ndarray
    ) -> int:
        """Offers what was learned to the memory that the next `fit` rehearses; returns how many
        examples it has then.

        Args:
            queries, interactions: as given to `fit`, oldest first.
            recipe: `replay`, `memory_size`, `memory_half_life`, `ewc`.
            day: when they happened, in days since a day that stays the same; one for all, or
                float64 [N].
        """
        examples = examples_of(self._state, queries, interactions)
        return rehearsal.remember(self._state, examples, recipe, vectors_of, day, batches_of)


# Past examples: events with the query that led to each, in keys.

BLOCK_QUERIES = 8192


def examples_of(state: ModelState, queries: Queries, interactions: Interactions) -> Examples:
    """One example per event: `user_keys` int64 [N], `history` int64 [N, H] item keys (H: the
    configuration's), `statistics` float32 [N, S], `item_keys` int64 [N], `weights` float32 [N].

    For the basket loss also `group` int64 [N], the basket of each event: what reservoirs keep are
    then whole baskets, which the loss looks at once for all their events.
    """
    asked = interactions.query
    baskets = {}
    if state.config.loss == "basket":
        baskets["group"] = np.unique(asked, return_inverse=True)[1].astype(np.int64)
    return baskets | {
        "user_keys": queries.user_keys[asked],
        "history": queries.latest(state.config.history_length)[asked],
        "statistics": queries.statistics[asked],
        "item_keys": interactions.item_keys,
        "weights": interactions.weights,
    }


def arrays_of(examples: Examples) -> tuple[Queries, Interactions]:
    """The examples as arrays to learn from: a query per group, or per example."""
    first = np.arange(len(examples["item_keys"]))
    query = first
    if "group" in examples:
        _, first, query = np.unique(examples["group"], return_index=True, return_inverse=True)
    asked = take(examples, first)
    return (
        Queries(asked["user_keys"], asked["history"], asked["statistics"]),
        Interactions(query.astype(np.int32), examples["item_keys"], examples["weights"]),
    )


def batches_of(state: ModelState, examples: Examples, recipe: Recipe) -> BatchSource:
    """The examples as training takes them.

    Their sampling probabilities are those of a rehearsed batch, which is of `replay_share` times
    the size of a new one.
    """
    size = max(2, round(recipe.batch_size * (recipe.replay_share or 1.0)))
    return tower_batches(state, *arrays_of(examples), dataclasses.replace(recipe, batch_size=size))


def vectors_of(state: ModelState, examples: Examples) -> Float32Array:
    """What the model makes of each example's query, nothing hidden: float32 [n, d]."""
    queries, interactions = arrays_of(examples)
    vectors = [np.zeros((0, state.config.dimension), np.float32)]
    for low in range(0, len(queries), BLOCK_QUERIES):
        block = translate(state, queries.take(slice(low, low + BLOCK_QUERIES)))
        answered = state.network.query_vectors(*(tf.constant(array) for array in block))
        # A bias is one more column of ones: it tells no query from another.
        vectors.append(answered.numpy()[:, : state.config.dimension])
    return np.concatenate(vectors)[interactions.query]
