"""RatingRecommender: matrix factorisation's facade, keys in, keys and ratings out."""

import numpy as np

from models.arrays import Float32Array, Int64Array
from models.backend import tf
from models.factors import rating_memory
from models.factors.factorisation_config import FactorisationConfig
from models.factors.rating_feed import RatingFeed
from models.factors.ratings import Ratings
from models.ids.admission import trainable
from models.learning import rehearsal
from models.learning.recipes import ProgressCallback, Recipe, TrainingReport
from models.retriever import RetrievalFacade


class RatingRecommender(RetrievalFacade):
    """A matrix factorisation that grows and learns in place.

    `score` and `top_k` take the same queries as the other families', and look at their users only;
    their scores are not cut to the scale's ends, where they would tie.

    >>> model = RatingRecommender.create(FactorisationConfig(centre=3.5), 1)   # doctest: +SKIP
    >>> model.grow(user_keys, items)                                           # doctest: +SKIP
    >>> model.fit(ratings, Recipe(epochs=5, learning_rate=0.1, batch_size=512))   # doctest: +SKIP
    >>> model.predict(user_keys, item_keys)                                    # doctest: +SKIP
    """

    config_class = FactorisationConfig

    def fit(
        self, ratings: Ratings, recipe: Recipe, progress: ProgressCallback | None = None
    ) -> TrainingReport:
        """Learns from the ratings, and rehearses what it remembers if the recipe says so, in place.
        Ratings of items that wait for admission are left out. See `training.fit`."""
        admitted = trainable(self._state, ratings.item_keys)
        if not admitted.all():
            ratings = ratings.take(admitted)
        feed = RatingFeed(self._state, ratings, recipe)
        return rehearsal.learn(self._state, feed, recipe, rating_memory.feed_of, progress)

    def remember(self, ratings: Ratings, recipe: Recipe, day: float | np.ndarray) -> int:
        """Offers what was learned to the memory that the next `fit` rehearses. See
        `Recommender.remember`."""
        examples = rating_memory.examples_of(ratings)
        memory = rating_memory
        return rehearsal.remember(
            self._state, examples, recipe, memory.vectors_of, day, memory.feed_of
        )

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
