"""The two-tower's batches: events that point to queries."""

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.queries import Interactions, Queries
from models.errors import BadTrainingData
from models.learning.batch_source import check_weights, known_rows
from models.learning.epochs import event_order
from models.learning.recipes import Recipe
from models.recommenders.query_rows import translate
from models.recommenders.softmax import sampling_probability
from models.tables.backend import tf
from models.tables.state import ModelState

Arrays = dict[str, np.ndarray]
Tensors = dict[str, tf.Tensor]


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
        config = state.config
        self._config = config
        self._table_rows = np.array(len(state.items) + 1, np.int64)
        self._counted, self._probability = sampling_probability(
            self._item_rows, len(state.items), recipe.batch_size, config.uniform_negatives
        )
        spec = tf.TensorSpec
        self.signature = {
            "user_rows": spec([None], tf.int64),
            "history_rows": spec([None, config.history_length], tf.int64),
            "statistics": spec([None, config.statistics_width], tf.float32),
            "query": spec([None], tf.int32),
            "item_rows": spec([None], tf.int64),
            "weights": spec([None], tf.float32),
            "counted": spec([None], tf.int64),
            "probability": spec([None], tf.float32),
            "table_rows": spec([], tf.int64),
            "dropout": spec([2], tf.float32),
        }

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
            "user_rows": self._users[distinct],
            "history_rows": self._history[distinct],
            "statistics": self._statistics[distinct],
            "query": query,
            "item_rows": self._item_rows[examples],
            "weights": self.weights[examples],
            "counted": self._counted,
            "probability": self._probability,
            "table_rows": self._table_rows,
            "dropout": np.array([self._recipe.dropout, self._recipe.user_dropout], np.float32),
        }

    def batch(self, chunk: Tensors, low: tf.Tensor, high: tf.Tensor, seed: tf.Tensor) -> Tensors:
        distinct, position = tf.unique(chunk["query"][low:high])
        user = tf.gather(chunk["user_rows"], distinct)
        # One seed, two streams: uniform numbers for the history, and one more column for ids.
        width = self._config.history_length + 1
        draws = tf.random.stateless_uniform([tf.size(user), width], seed)
        return {
            "user_rows": tf.where(draws[:, -1] >= chunk["dropout"][1], user, 0),
            "history_rows": tf.gather(chunk["history_rows"], distinct),
            "statistics": tf.gather(chunk["statistics"], distinct),
            "keep": draws[:, :-1] >= chunk["dropout"][0],
            "query": position,
            "item_rows": chunk["item_rows"][low:high],
            "weights": chunk["weights"][low:high],
            "negative_rows": tf.random.stateless_uniform(
                [self._config.uniform_negatives],
                seed,
                minval=1,
                maxval=chunk["table_rows"],
                dtype=tf.int64,
            ),
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
