"""Matrix factorisation's feed: ratings, in batches. See `models.learning.feed.Feed`."""

import numpy as np

from models.arrays import Float32Array, Int64Array
from models.backend import tf
from models.factors.ratings import Ratings
from models.learning.feed import check_weights, known_rows
from models.learning.recipes import Recipe
from models.retrieval.sampling import event_order
from models.state import ModelState


class RatingFeed:
    """Ratings, translated into rows.

    Of the recipe: `shuffle` ("baskets" keeps a user's ratings together), `user_dropout` (the share
    of ratings from which only the item's bias is learned) and `batch_size`; there is no history
    for `dropout` to hide.

    Raises:
        BadTrainingData: there is nothing to learn from, or an item is unknown.
    """

    kind = "ratings"

    def __init__(self, state: ModelState, ratings: Ratings, recipe: Recipe) -> None:
        check_weights(ratings.weights, "ratings")
        self._items = known_rows(state.items, ratings.item_keys, "ratings")
        self._users = state.users.rows(ratings.user_keys)
        self._values = ratings.values
        self.weights: Float32Array = ratings.weights
        self._recipe = recipe
        self._catalogue = len(state.items)
        self._negatives = state.config.uniform_negatives
        spec = tf.TensorSpec
        self.signature = {
            "user_rows": spec([None], tf.int64),
            "item_rows": spec([None], tf.int64),
            "values": spec([None], tf.float32),
            "weights": spec([None], tf.float32),
            "items": spec([], tf.int64),
            "user_dropout": spec([], tf.float32),
        }

    def __len__(self) -> int:
        return len(self._users)

    def order(self, rng: np.random.Generator) -> Int64Array:
        return event_order(self._users.astype(np.int32), self._recipe.shuffle, rng)

    def chunk(self, examples: Int64Array) -> dict[str, np.ndarray]:
        return {
            "user_rows": self._users[examples],
            "item_rows": self._items[examples],
            "values": self._values[examples],
            "weights": self.weights[examples],
            "items": np.array(self._catalogue, np.int64),
            "user_dropout": np.array(self._recipe.user_dropout, np.float32),
        }

    def batch(
        self, chunk: dict[str, tf.Tensor], low: tf.Tensor, high: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        users = chunk["user_rows"][low:high]
        luck = tf.random.stateless_uniform([tf.size(users)], seed)
        return {
            "user_rows": tf.where(luck >= chunk["user_dropout"], users, 0),
            "item_rows": chunk["item_rows"][low:high],
            "values": chunk["values"][low:high],
            "weights": chunk["weights"][low:high],
            "negative_rows": tf.random.stateless_uniform(
                [self._negatives], seed, minval=1, maxval=chunk["items"] + 1, dtype=tf.int64
            ),
        }

    def touched(self) -> dict[str, Int64Array]:
        users = np.unique(self._users)
        return {"users": users[users > 0], "items": np.unique(self._items)}
