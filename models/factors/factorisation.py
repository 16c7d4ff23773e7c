"""Matrix factorisation: a rating is a global mean, two biases, and a dot product of factors.

    prediction = b + b_user + b_item + p_user . q_item

    loss = sum over observations of
           weight * (prediction - value)^2
           + zero_weight * mean over the drawn items of prediction^2      (implicit choices)
           + l2 * (b_user^2 + b_item^2 + |p_user|^2 + |q_item|^2)

A user or an item that isn't known (row 0) has neither bias nor factors: a stranger is predicted
each item's mean, and nobody knows more of a new item than the user's own mean.

The drawn items stand for the zeros of the whole matrix, over which Hu, Koren and Volinsky sum in
closed form; their cost here doesn't depend on the catalogue.

References:
    Koren, Bell and Volinsky, Matrix factorization techniques for recommender systems, IEEE
    Computer 2009 (biases, L2). Hu, Koren and Volinsky, Collaborative filtering for implicit
    feedback datasets, ICDM 2008 (confidence weights, zeros).
"""

import numpy as np

from models.factors.factorisation_config import FactorisationConfig
from models.tables.backend import tf
from models.tables.network import Entity, Network
from models.tables.packing import rows_of


class Factorisation(Network):
    """Factors, biases and the squared error.

    Attributes:
        tables: `user` [users + 1, d], `item` [items + 1, d], `user_bias` [users + 1, 1],
            `item_bias` [items + 1, 1], `bias` [1].
        content: `item_words` int64 [items + 1, W]; only growing reads them.
    """

    temperature = 1.0
    teaching = "value"
    query_tables = ("user", "user_bias", "bias")

    def __init__(self, config: FactorisationConfig, seed: int) -> None:
        """Makes a model that knows no user and no item; `models.ids.growth` adds them."""
        super().__init__(name="factorisation")
        self.config = config
        self.seed = seed
        sides: tuple[tuple[str, Entity], ...] = (("user", "users"), ("item", "items"))
        for name, keyed in sides:
            self.table(name, np.zeros((1, config.dimension)), keyed=keyed, spread=config.spread)
            self.table(f"{name}_bias", np.zeros((1, 1)), keyed=keyed, spread=0.0)
        self.table("bias", np.full(1, config.centre))
        self.know_words(config.words_per_item)

    def query_vectors(
        self, user_rows: tf.Tensor, history_rows: tf.Tensor, statistics: tf.Tensor
    ) -> tf.Tensor:
        """Factors, 1, and the user's own mean: int64 [B] to float32 [B, d + 2].

        Their product with `item_vectors` is the prediction. `history_rows` and `statistics` are
        what other families look at.
        """
        del history_rows, statistics
        factors, bias = self._side("user", user_rows)
        return tf.concat([factors, tf.ones_like(bias), bias + self.weight("bias")], axis=1)

    def item_vectors(self, item_rows: tf.Tensor) -> tf.Tensor:
        """Factors, bias, and 1: int64 [M] to float32 [M, d + 2]."""
        factors, bias = self._side("item", item_rows)
        return tf.concat([factors, bias, tf.ones_like(bias)], axis=1)

    def _side(self, name: str, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Factors [n, d] and bias [n, 1] of these users or items; zero where row 0 is."""
        known = tf.cast(rows > 0, tf.float32)[:, None]
        factors = rows_of(self.weight(name), rows) * known
        return factors, tf.gather(self.weight(f"{name}_bias"), rows) * known

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Sum over the batch of the weighted squared errors, and of the L2 terms in training.

        Args:
            inputs: one batch of B observations: user_rows int64 [B] (0: hidden or unknown),
                item_rows int64 [B], values float32 [B], weights float32 [B], negative_rows int64
                [K], items drawn uniformly (K may be 0). One that is the observed item itself is
                left out of that observation's mean.
            training: whether to add the L2 terms.

        Returns:
            float32 scalar.
        """
        users = self.query_vectors(inputs["user_rows"], inputs["user_rows"], inputs["weights"])
        items = self.item_vectors(inputs["item_rows"])
        weights = inputs["weights"]
        error = tf.reduce_sum(users * items, axis=1) - inputs["values"]
        loss = tf.reduce_sum(weights * tf.square(error))
        counted = tf.cast(weights > 0, tf.float32)
        if self.config.uniform_negatives:
            drawn = inputs["negative_rows"]
            zeros = tf.square(tf.linalg.matmul(users, self.item_vectors(drawn), transpose_b=True))
            other = tf.cast(drawn[None, :] != inputs["item_rows"][:, None], tf.float32)
            mean = tf.math.divide_no_nan(
                tf.reduce_sum(zeros * other, axis=1), tf.reduce_sum(other, axis=1)
            )
            loss += self.config.zero_weight * tf.reduce_sum(counted * mean)
        if training and self.config.l2:
            loss += self.config.l2 * tf.reduce_sum(
                counted * (self._squares("user", inputs) + self._squares("item", inputs))
            )
        return loss

    def _squares(self, name: str, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        factors, bias = self._side(name, inputs[f"{name}_rows"])
        return tf.reduce_sum(tf.square(factors), axis=1) + tf.square(bias[:, 0])

    def scores(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Predictions for each observation's user of the batch's items and the drawn ones:
        float32 [B, B + K]."""
        users = self.query_vectors(inputs["user_rows"], inputs["user_rows"], inputs["weights"])
        items = self.item_vectors(self.columns(inputs))
        return tf.linalg.matmul(users, items, transpose_b=True)

    def columns(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Rows of the items of `scores`' columns: int64 [B + K]."""
        return tf.concat([inputs["item_rows"], inputs["negative_rows"]], axis=0)
