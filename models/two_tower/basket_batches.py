"""The two-tower's batches: for the basket loss an example is a query with all that it chose, for the
in-batch loss an event.

Neighbour: `models.two_tower.two_tower` has both losses.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.queries import Interactions, Queries
from models.data.ragged import picked, without_gaps
from models.errors import BadTrainingData
from models.learning.batch_source import (
    BatchSource,
    Shuffled,
    check_weights,
    event_order,
    known_rows,
    owners_of,
)
from models.learning.recipes import Recipe
from models.recommenders.retriever import translate
from models.recommenders.softmax import log_probability, sampling_probability
from models.tables.backend import tf
from models.tables.state import ModelState
from models.two_tower.tower_config import ModelConfig

Arrays = dict[str, np.ndarray]
Tensors = dict[str, tf.Tensor]


def tower_batches(
    state: ModelState, queries: Queries, interactions: Interactions, recipe: Recipe
) -> BatchSource:
    """The batches for the loss that the model's configuration names."""
    batches = BasketBatches if state.config.loss == "basket" else EventBatches
    return batches(state, queries, interactions, recipe)


class BasketBatches(Shuffled):
    """Queries and their baskets. See `models.learning.batch_source.BatchSource`.

    Queries without interactions are left out. The catalogue is looked at whole while it is small
    (`ModelConfig.whole_catalogue`); beyond, at each batch's items and `uniform_negatives` others.

    Raises:
        BadTrainingData: as `EventBatches`.
    """

    def __init__(
        self, state: ModelState, queries: Queries, interactions: Interactions, recipe: Recipe
    ) -> None:
        item_rows = check_interactions(state, queries, interactions)
        distinct, query = np.unique(interactions.query, return_inverse=True)
        asked = replace(queries, own=None).take(without_gaps(distinct))
        self._users, self._history, self._statistics = translate(state, asked)
        order = np.argsort(query, kind="stable")
        self._offsets = np.searchsorted(query[order], np.arange(len(distinct) + 1))
        self._item_rows = item_rows[order]
        self._event_weights = interactions.weights[order]
        self.weights: Float32Array = np.bincount(query, interactions.weights).astype(np.float32)
        self._recipe = recipe
        self._config = config = state.config
        self._items = len(state.items)
        self._whole = self._items <= config.whole_catalogue
        self.kind = "baskets/whole" if self._whole else "baskets/sampled"
        per_batch = recipe.batch_size * len(item_rows) / len(distinct)
        self._sampled = _sampled(item_rows, self._items, round(per_batch), config, recipe)
        self.signature = {
            **_signature(config),
            "offsets": tf.TensorSpec([None], tf.int64),
            "event_weights": tf.TensorSpec([None], tf.float32),
        }

    def chunk(self, examples: Int64Array) -> Arrays:
        offsets, places = picked(self._offsets, examples)
        return {
            **self._sampled,
            "user_rows": self._users[examples],
            "history_rows": self._history[examples],
            "statistics": self._statistics[examples],
            "offsets": offsets,
            "item_rows": self._item_rows[places],
            "event_weights": self._event_weights[places],
            "weights": self.weights[examples],
        }

    def batch(self, chunk: Tensors, low: tf.Tensor, high: tf.Tensor, seed: tf.Tensor) -> Tensors:
        offsets = chunk["offsets"][low : high + 1]
        asked = {name: chunk[name][low:high] for name in QUERY}
        batch = _hidden(asked, chunk, self._config, seed) | {
            "query": owners_of(offsets),
            "item_rows": chunk["item_rows"][offsets[0] : offsets[-1]],
            "event_weights": chunk["event_weights"][offsets[0] : offsets[-1]],
            "weights": chunk["weights"][low:high],
        }
        if self._whole:
            batch["candidate_rows"] = tf.range(1, chunk["table_rows"])
            batch["position"] = tf.cast(batch["item_rows"] - 1, tf.int32)
            return batch
        drawn = _drawn(chunk, self._config, seed)
        candidates, position = tf.unique(tf.concat([batch["item_rows"], drawn], axis=0))
        return {
            **batch,
            "candidate_rows": candidates,
            "position": position[: tf.size(batch["item_rows"])],
            "log_q": log_probability(candidates, chunk["counted"], chunk["probability"]),
        }

    def touched(self) -> dict[str, Int64Array]:
        users = np.unique(self._users)
        return {"users": users[users > 0], "items": np.unique(self._item_rows)}


class EventBatches:
    """Events on queries, translated into rows. See `models.learning.batch_source.BatchSource`.

    Raises:
        BadTrainingData: there is nothing to learn from, an item is unknown, an index is beyond
            the queries, or the statistics are of another width.
    """

    kind = "interactions"

    def __init__(
        self, state: ModelState, queries: Queries, interactions: Interactions, recipe: Recipe
    ) -> None:
        self._item_rows = check_interactions(state, queries, interactions)
        self._users, self._history, self._statistics = translate(state, queries)
        self._query = interactions.query
        self._place = np.zeros(len(queries), np.int32)
        self.weights: Float32Array = interactions.weights
        self._recipe = recipe
        self._config = config = state.config
        self._sampled = _sampled(
            self._item_rows, len(state.items), recipe.batch_size, config, recipe
        )
        self.signature = {**_signature(config), "query": tf.TensorSpec([None], tf.int32)}

    def __len__(self) -> int:
        return len(self._query)

    def order(self, rng: np.random.Generator) -> Int64Array:
        return event_order(self._query, self._recipe.shuffle, rng)

    def chunk(self, examples: Int64Array) -> Arrays:
        # As np.unique with return_inverse does, but in order of appearance and without sorting.
        every = self._query[examples]
        here = np.arange(len(every), dtype=np.int32)
        self._place[every] = here
        last = self._place[every]
        number = np.cumsum(last == here, dtype=np.int32) - 1
        distinct, query = every[last == here], number[last]
        return {
            **self._sampled,
            "user_rows": self._users[distinct],
            "history_rows": self._history[distinct],
            "statistics": self._statistics[distinct],
            "query": query,
            "item_rows": self._item_rows[examples],
            "weights": self.weights[examples],
        }

    def batch(self, chunk: Tensors, low: tf.Tensor, high: tf.Tensor, seed: tf.Tensor) -> Tensors:
        distinct, position = tf.unique(chunk["query"][low:high])
        asked = {name: tf.gather(chunk[name], distinct) for name in QUERY}
        return _hidden(asked, chunk, self._config, seed) | {
            "query": position,
            "item_rows": chunk["item_rows"][low:high],
            "weights": chunk["weights"][low:high],
            "negative_rows": _drawn(chunk, self._config, seed),
            "counted": chunk["counted"],
            "probability": chunk["probability"],
        }

    def touched(self) -> dict[str, Int64Array]:
        users = np.unique(self._users[self._query])
        return {"users": users[users > 0], "items": np.unique(self._item_rows)}


def check_interactions(
    state: ModelState, queries: Queries, interactions: Interactions
) -> Int64Array:
    """The items' rows, int64 [N]; BadTrainingData if these arrays can't be learned from."""
    check_weights(interactions.weights, "interactions")
    if interactions.query.max() >= len(queries):
        raise BadTrainingData(
            f"Interaction {int(interactions.query.argmax())} points to query "
            f"{interactions.query.max()}, of {len(queries)}. Build `query` against these queries."
        )
    if queries.statistics.shape[1] != state.config.statistics_width:
        raise BadTrainingData(
            f"The model takes {state.config.statistics_width} statistics per query. Received: "
            f"{queries.statistics.shape[1]}. Select the same features, or rebuild the model."
        )
    return known_rows(state.items, interactions.item_keys, "interactions")


QUERY = ("user_rows", "history_rows", "statistics")
"""What a query is, in rows."""


def _signature(config: ModelConfig) -> dict[str, tf.TensorSpec]:
    """What chunks of both kinds have."""
    spec = tf.TensorSpec
    return {
        "user_rows": spec([None], tf.int64),
        "history_rows": spec([None, config.history_length], tf.int64),
        "statistics": spec([None, config.statistics_width], tf.float32),
        "item_rows": spec([None], tf.int64),
        "weights": spec([None], tf.float32),
        "counted": spec([None], tf.int64),
        "probability": spec([None], tf.float32),
        "table_rows": spec([], tf.int64),
        "dropout": spec([2], tf.float32),
    }


def _sampled(
    item_rows: Int64Array, items: int, per_batch: int, config: ModelConfig, recipe: Recipe
) -> dict[str, Any]:
    """What every chunk says alike: how probable items are in a batch, and how much is hidden."""
    counted, probability = sampling_probability(
        item_rows, items, per_batch, config.uniform_negatives
    )
    return {
        "counted": counted,
        "probability": probability,
        "table_rows": np.array(items + 1, np.int64),
        "dropout": np.array([recipe.dropout, recipe.user_dropout], np.float32),
    }


def _hidden(asked: Tensors, chunk: Tensors, config: ModelConfig, seed: tf.Tensor) -> Tensors:
    """A batch's queries, with the users and the items of their histories that this step hides."""
    # One seed, two streams: uniform numbers for the history, and one more column for ids.
    width = config.history_length + 1
    draws = tf.random.stateless_uniform([tf.size(asked["user_rows"]), width], seed)
    user_rows = tf.where(draws[:, -1] >= chunk["dropout"][1], asked["user_rows"], 0)
    return {**asked, "user_rows": user_rows, "keep": draws[:, :-1] >= chunk["dropout"][0]}


def _drawn(chunk: Tensors, config: ModelConfig, seed: tf.Tensor) -> tf.Tensor:
    """Rows of items drawn uniformly from the catalogue: int64 [uniform_negatives]."""
    shape = [config.uniform_negatives]
    return tf.random.stateless_uniform(
        shape, seed, minval=1, maxval=chunk["table_rows"], dtype=tf.int64
    )
