"""What a user would write instead: the tutorial's two towers, and towers tuned within Keras.

Peers only; ours are in `speed_throughput`. TensorFlow is imported when a peer is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from models.recommenders.softmax import sampling_probability

if TYPE_CHECKING:
    from benchmarks.speed_data import Ratings

TUTORIAL_BATCH = 8192
STEPS_PER_CALL = 32
"""Steps that the tuned peer takes in one compiled call, as many as ours does."""


def tutorial(ratings: Ratings, dimension: int, metrics: bool) -> Callable[[Ratings], None]:
    """The retrieval tutorial of tensorflow-recommenders: string look-ups in the model, in-batch
    softmax, Adagrad, `fit` on a cached dataset of batches of 8,192.

    Args:
        ratings: whose users and items the vocabularies are of.
        metrics: FactorizedTopK during training, which the tutorial has and warns of.

    Returns:
        A function that trains one epoch on ratings.
    """
    from models.tables.backend import tf, tfrs

    def tower(count: int) -> Any:
        names = np.arange(1, count + 1).astype(str)
        return tf.keras.Sequential(
            [
                tf.keras.layers.StringLookup(vocabulary=names, mask_token=None),
                tf.keras.layers.Embedding(count + 1, dimension),
            ]
        )

    class Tutorial(tfrs.Model):
        def __init__(self) -> None:
            super().__init__()
            self.query_model = tower(ratings.users)
            self.candidate_model = tower(ratings.items)
            names = np.arange(1, ratings.items + 1).astype(str)
            candidates = tf.data.Dataset.from_tensor_slices(names).batch(128)
            self.task = tfrs.tasks.Retrieval(
                metrics=tfrs.metrics.FactorizedTopK(candidates.map(self.candidate_model))
                if metrics
                else None
            )

        def compute_loss(self, inputs: dict[str, Any], training: bool = False) -> Any:
            del training
            return self.task(
                self.query_model(inputs["user"]),
                self.candidate_model(inputs["item"]),
                compute_metrics=metrics,
            )

    model = Tutorial()
    model.compile(optimizer=tf.keras.optimizers.Adagrad(learning_rate=0.1))

    def train(part: Ratings) -> None:
        columns = {"user": part.user_keys.astype(str), "item": part.item_keys.astype(str)}
        batches = tf.data.Dataset.from_tensor_slices(columns).batch(TUTORIAL_BATCH).cache()
        model.fit(batches, epochs=1, verbose=0)

    return train


def tuned(
    ratings: Ratings, dimension: int, batch: int, optimizer: Any = None
) -> Callable[[Ratings], None]:
    """Keras as fast as it goes with the model and the loss that are ours: integer ids, unit
    vectors and item biases, logQ, accidental hits removed, many steps per call.

    Args:
        optimizer: of Keras; None: its Adagrad.

    Returns:
        A function that trains one epoch on ratings.
    """
    from models.tables.backend import tf, tfrs

    layers = tf.keras.layers
    counted, found = sampling_probability(ratings.item_keys, ratings.items, batch)
    table = np.full(ratings.items + 1, found[-1])
    table[counted] = found[:-1]
    probability = tf.constant(table)

    class Tuned(tfrs.Model):
        def __init__(self) -> None:
            super().__init__()
            self.user = layers.Embedding(ratings.users + 1, dimension)
            self.item = layers.Embedding(ratings.items + 1, dimension)
            self.bias = layers.Embedding(ratings.items + 1, 1, embeddings_initializer="zeros")
            self.task = tfrs.tasks.Retrieval(temperature=0.2, remove_accidental_hits=True)

        def compute_loss(self, inputs: dict[str, Any], training: bool = False) -> Any:
            del training
            users = tf.math.l2_normalize(self.user(inputs["user"]), axis=-1)
            items = tf.math.l2_normalize(self.item(inputs["item"]), axis=-1)
            return self.task(
                tf.concat([users, tf.ones_like(users[:, :1])], axis=1),
                tf.concat([items, 0.2 * self.bias(inputs["item"])], axis=1),
                candidate_sampling_probability=tf.gather(probability, inputs["item"]),
                candidate_ids=inputs["item"],
                compute_metrics=False,
                compute_batch_metrics=False,
            )

    model = Tuned()
    model.compile(
        optimizer=optimizer or tf.keras.optimizers.Adagrad(learning_rate=0.1),
        steps_per_execution=min(STEPS_PER_CALL, max(1, len(ratings) // batch)),
    )
    rng = np.random.default_rng(0)

    def train(part: Ratings) -> None:
        order = rng.permutation(len(part))
        columns = {"user": part.user_keys[order], "item": part.item_keys[order]}
        batches = tf.data.Dataset.from_tensor_slices(columns).batch(batch, drop_remainder=True)
        model.fit(batches.prefetch(2), epochs=1, verbose=0)

    return train
