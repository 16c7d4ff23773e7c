"""The two-tower's batches for the basket loss: an example is a query with all that it chose.

Neighbours: `models.two_tower.event_batches` is the batches for the in-batch loss, where an example
is an event; `models.two_tower.two_tower` has both losses.
"""

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.queries import Interactions, Queries
from models.data.ragged import picked
from models.learning.batch_source import BatchSource, Shuffled, owners_of
from models.learning.recipes import Recipe
from models.recommenders.query_rows import translate
from models.recommenders.softmax import log_probability, sampling_probability
from models.tables.backend import tf
from models.tables.state import ModelState
from models.two_tower.event_batches import EventBatches, check_interactions

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
        self._users, self._history, self._statistics = translate(state, queries.take(distinct))
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
        self._counted, self._probability = sampling_probability(
            item_rows, self._items, round(per_batch), config.uniform_negatives
        )
        spec = tf.TensorSpec
        self.signature = {
            "user_rows": spec([None], tf.int64),
            "history_rows": spec([None, config.history_length], tf.int64),
            "statistics": spec([None, config.statistics_width], tf.float32),
            "offsets": spec([None], tf.int64),
            "item_rows": spec([None], tf.int64),
            "event_weights": spec([None], tf.float32),
            "weights": spec([None], tf.float32),
            "counted": spec([None], tf.int64),
            "probability": spec([None], tf.float32),
            "table_rows": spec([], tf.int64),
            "dropout": spec([2], tf.float32),
        }

    def chunk(self, examples: Int64Array) -> dict[str, np.ndarray]:
        offsets, places = picked(self._offsets, examples)
        return {
            "user_rows": self._users[examples],
            "history_rows": self._history[examples],
            "statistics": self._statistics[examples],
            "offsets": offsets,
            "item_rows": self._item_rows[places],
            "event_weights": self._event_weights[places],
            "weights": self.weights[examples],
            "counted": self._counted,
            "probability": self._probability,
            "table_rows": np.array(self._items + 1, np.int64),
            "dropout": np.array([self._recipe.dropout, self._recipe.user_dropout], np.float32),
        }

    def batch(self, chunk: Tensors, low: tf.Tensor, high: tf.Tensor, seed: tf.Tensor) -> Tensors:
        offsets = chunk["offsets"][low : high + 1]
        user = chunk["user_rows"][low:high]
        width = self._config.history_length + 1
        draws = tf.random.stateless_uniform([tf.size(user), width], seed)
        batch = {
            "user_rows": tf.where(draws[:, -1] >= chunk["dropout"][1], user, 0),
            "history_rows": chunk["history_rows"][low:high],
            "statistics": chunk["statistics"][low:high],
            "keep": draws[:, :-1] >= chunk["dropout"][0],
            "query": owners_of(offsets),
            "item_rows": chunk["item_rows"][offsets[0] : offsets[-1]],
            "event_weights": chunk["event_weights"][offsets[0] : offsets[-1]],
            "weights": chunk["weights"][low:high],
        }
        if self._whole:
            position = tf.cast(batch["item_rows"] - 1, tf.int32)
            return {
                **batch,
                "candidate_rows": tf.range(1, chunk["table_rows"]),
                "position": position,
            }
        drawn = tf.random.stateless_uniform(
            [self._config.uniform_negatives],
            seed,
            minval=1,
            maxval=chunk["table_rows"],
            dtype=tf.int64,
        )
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
