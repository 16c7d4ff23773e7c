"""RatingRecommender: matrix factorisation's facade, keys in, keys and ratings out."""

from collections.abc import Callable

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.factors.factorisation_config import FactorisationConfig
from models.factors.ratings import Ratings
from models.ids.admission import trainable
from models.learning import rehearsal
from models.learning.batch_source import check_weights, known_rows
from models.learning.epochs import event_order
from models.learning.memory import Examples
from models.learning.recipes import ProgressCallback, Recipe, TrainingReport
from models.recommenders.retriever import RetrievalFacade
from models.tables.backend import tf
from models.tables.state import ModelState


class RatingRecommender(RetrievalFacade):
    """A matrix factorisation that grows and learns in place.

    `score` and `top_k` take the same queries as the other families', and look at their users only;
    their scores are not cut to the scale's ends, where they would tie.

    >>> model = RatingRecommender.create(FactorisationConfig(centre=3.5), 1)   # doctest: +SKIP
    >>> model.add_ids(user_keys, items)                                           # doctest: +SKIP
    >>> model.fit(ratings, Recipe(epochs=5, learning_rate=0.1, batch_size=512))   # doctest: +SKIP
    >>> model.predict(user_keys, item_keys)                                    # doctest: +SKIP
    """

    config_class = FactorisationConfig

    def fit(
        self,
        ratings: Ratings,
        recipe: Recipe,
        progress: ProgressCallback | None = None,
        validate: Callable[[], float] | None = None,
    ) -> TrainingReport:
        """Learns from the ratings, and rehearses what it remembers if the recipe says so, in place.
        Ratings of items that wait for admission are left out. See `training.fit`."""
        admitted = trainable(self._state, ratings.item_keys)
        if not admitted.all():
            ratings = ratings.take(admitted)
        batches = RatingBatches(self._state, ratings, recipe)
        return rehearsal.learn(self._state, batches, recipe, batches_of, progress, validate)

    def remember(self, ratings: Ratings, recipe: Recipe, day: float | np.ndarray) -> int:
        """Offers what was learned to the memory that the next `fit` rehearses. See
        `TwoTowerRecommender.remember`."""
        examples = examples_of(ratings)
        return rehearsal.remember(self._state, examples, recipe, vectors_of, day, batches_of)

    def predict(self, user_keys: Int64Array, item_keys: Int64Array) -> Float32Array:
        """The rating that each user would give to the item beside it, in the rating's scale:
        float32 [N], from `lowest` to `highest`.

        An unknown user is predicted the item's mean, an unknown item the user's mean, and both the
        mean of all.

        Raises:
            ValueError: there isn't one item per user.
        """
        if np.shape(user_keys) != np.shape(item_keys):
            raise ValueError(
                f"`item_keys` should be as long as `user_keys`. Received: {np.shape(item_keys)} "
                f"for {np.shape(user_keys)}."
            )
        network, config = self._state.network, self.config
        users = tf.constant(self._state.users.rows(user_keys), tf.int64)
        items = tf.constant(self._state.items.rows(item_keys), tf.int64)
        vectors = network.query_vectors(users, users, users)
        rated = tf.reduce_sum(vectors * network.item_vectors(items), axis=1)
        predictions = rated.numpy()
        if config.lowest is not None or config.highest is not None:
            np.clip(predictions, config.lowest, config.highest, out=predictions)
        return predictions


class RatingBatches:
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
        draws = tf.random.stateless_uniform([tf.size(users)], seed)
        return {
            "user_rows": tf.where(draws >= chunk["user_dropout"], users, 0),
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


# Past examples: ratings, in keys.


def examples_of(ratings: Ratings) -> Examples:
    """One example per rating, by the names of `Ratings`."""
    return {
        "user_keys": ratings.user_keys,
        "item_keys": ratings.item_keys,
        "values": ratings.values,
        "weights": ratings.weights,
    }


def batches_of(state: ModelState, examples: Examples, recipe: Recipe) -> RatingBatches:
    """The examples as training takes them."""
    return RatingBatches(state, Ratings(**examples), recipe)


def vectors_of(state: ModelState, examples: Examples) -> Float32Array:
    """What herding compares among the ratings of an item: the users' vectors, float32 [n, d]."""
    users = state.network.tables["user"].numpy()
    return np.asarray(users[state.users.rows(examples["user_keys"])], np.float32)
