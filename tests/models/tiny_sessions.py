"""Short sessions over 30 items, and a small sequential Transformer that has met them."""

from __future__ import annotations

import numpy as np

from models.data.sessions import Sessions
from models.learning.recipes import Recipe
from models.sessions.session_batches import SessionBatches, batches_of_sessions
from models.sessions.session_recommender import SessionRecommender
from models.sessions.transformer import SequentialTransformer
from models.sessions.transformer_config import TransformerConfig
from models.tables.backend import tf

CONFIG = TransformerConfig(
    dimension=8, history_length=5, heads=2, uniform_negatives=4, coordinate_dropout=0.2,
    row_length=1.0,
)  # fmt: skip
RECIPE = Recipe(epochs=2, learning_rate=0.01, batch_size=4, optimizer="adam", seed=3)
SEED = tf.constant([1, 2], tf.int32)


def sessions(*lists: list[int]) -> Sessions:
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    return Sessions(offsets, np.array([item for one in lists for item in one], np.int64))


WORLD = sessions(*[[n, n + 1, n + 2, n][: 2 + n % 3] for n in range(101, 131)])


def grown(config: TransformerConfig = CONFIG, seed: int = 7) -> SessionRecommender:
    model = SessionRecommender.create(config, seed)
    model.meet(WORLD)
    return model


def trained(config: TransformerConfig = CONFIG, recipe: Recipe = RECIPE) -> SessionRecommender:
    model = grown(config)
    model.fit(WORLD, recipe)
    return model


def network_of(model: SessionRecommender) -> SequentialTransformer:
    network = model._state.network
    assert isinstance(network, SequentialTransformer)
    return network


def vectors(model: SessionRecommender, *rows: list[int]) -> np.ndarray:
    return network_of(model).session_vectors(tf.constant(rows, tf.int64)).numpy()


def batch_of(
    made: SessionRecommender, data: Sessions = WORLD, recipe: Recipe = RECIPE
) -> tuple[SessionBatches, dict[str, tf.Tensor]]:
    """The batches, and all of it as one batch."""
    batches = batches_of_sessions(made._state, data, recipe)
    chunk = batches.chunk(np.arange(len(batches)))
    tensors = {name: tf.constant(array) for name, array in chunk.items()}
    return batches, batches.batch(
        tensors, tf.constant(0, tf.int64), tf.constant(len(batches), tf.int64), SEED
    )
