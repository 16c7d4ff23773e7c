"""Matrix factorisation's facades, keys in, keys and ratings out; and the ratings that it learns from.

`RatingRecommender` takes arrays of ratings, `RatingLearner` windows of events, as `recloop` has them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

import numpy as np

from models.data.checks import Float32Array, Int64Array, check_all, check_amounts, check_arrays
from models.data.events import Events
from models.factors import rating_answers
from models.factors.factorisation_config import FAMILY, FactorisationConfig
from models.ids.admission import trainable
from models.learning import rehearsal
from models.learning.batch_source import check_weights, event_order, known_rows
from models.learning.memory import Examples
from models.learning.recipes import ProgressCallback, Recipe, Training, TrainingReport
from models.recommenders.export import exported_vectors
from models.recommenders.family import Widths
from models.recommenders.learner import NetworkLearner
from models.recommenders.retriever import RetrievalFacade
from models.tables.backend import tf
from models.tables.state import ModelState


@dataclass(frozen=True, eq=False)
class Ratings:
    """Who gave what to which item: one row per observation.

    Attributes:
        user_keys: int64 [N], positive; 0 is an anonymous user, from whom biases are learned.
        item_keys: int64 [N], positive.
        values: float32 [N], finite: ratings in their own scale, or 1 for an implicit choice.
        weights: float32 [N], finite and not negative: how sure the observation is; 1 is ordinary.
    """

    user_keys: Int64Array
    item_keys: Int64Array
    values: Float32Array
    weights: Float32Array

    def __post_init__(self) -> None:
        keys, numbers = (np.int64, 1), (np.float32, 1)
        check_arrays(self, user_keys=keys, item_keys=keys, values=numbers, weights=numbers)
        users = self.user_keys
        check_all("user_keys", users >= 0, users, "positive (0 is an anonymous user)")
        check_all("item_keys", self.item_keys > 0, self.item_keys, "positive")
        check_all("values", np.isfinite(self.values), self.values, "finite")
        check_amounts("weights", self.weights)

    def __len__(self) -> int:
        return len(self.user_keys)

    def take(self, index: np.ndarray | slice) -> "Ratings":
        """The observations at `index` (integers, booleans or a slice)."""
        return Ratings(
            self.user_keys[index], self.item_keys[index], self.values[index], self.weights[index]
        )


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
        """As `TwoTowerRecommender.fit`, from ratings."""
        admitted = trainable(self._state, ratings.item_keys)
        if not admitted.all():
            ratings = ratings.take(admitted)
        batches = RatingBatches(self._state, ratings, recipe)
        return rehearsal.learn(self._state, batches, recipe, batches_of, progress, validate)

    def remember(self, ratings: Ratings, recipe: Recipe, day: float | np.ndarray) -> int:
        """As `TwoTowerRecommender.remember`."""
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


class RatingLearner(NetworkLearner, RatingRecommender):
    """See `models.recommenders.family.Recommender`. An event's value is a rating."""

    family_name = FAMILY.name

    @classmethod
    def new(cls, shape: FactorisationConfig, widths: Widths, seed: int) -> Self:
        del widths
        return cls.create(replace(shape, words_per_item=0), seed)

    def taught(self, events: Events, recipe: Recipe) -> Ratings:
        del recipe
        return ratings_of(events)

    def learn_from_nothing(
        self,
        events: Events,
        end: datetime,
        recent: timedelta,
        training: Training,
        progress: ProgressCallback | None = None,
    ) -> TrainingReport:
        """All ratings at once, from their mean."""
        bias = self._state.network.tables["bias"]
        bias.assign([float(ratings_of(events).values.mean())])
        return super().learn_from_nothing(events, end, recent, training, progress)

    def held_out_score(self, held_out: Events) -> float:
        """The root mean squared error, negative."""
        errors = self.expected(held_out) - ratings_of(held_out).values
        return -float(np.sqrt(np.square(errors, dtype=np.float64).mean()))

    def answer_arrays(self) -> dict[str, np.ndarray]:
        return rating_answers.arrays_of(self._state, exported_vectors(self._state))

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
