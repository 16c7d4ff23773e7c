"""BatchSource: the examples of one family, as the training loop takes them; and what sources of
batches share.

A family writes one (`models.two_tower.event_batches` is the two-tower's); the loop knows no
other form of data. Everything before `batch` is NumPy; `batch` runs in the compiled graph.
"""

from typing import Protocol

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.errors import BadTrainingData
from models.learning.recipes import Recipe
from models.tables.backend import tf
from models.tables.vocabulary import Vocabulary


class BatchSource(Protocol):
    """N weighted examples.

    Attributes:
        kind: names what `signature` and `batch` are; the loop is compiled once per kind.
        signature: the arrays of `chunk`, by name. Shapes may have None, so that growing and the
            last, smaller chunk need no new trace.
        weights: float32 [N].
    """

    kind: str
    signature: dict[str, tf.TensorSpec]
    weights: Float32Array

    def __len__(self) -> int: ...

    def order(self, rng: np.random.Generator) -> Int64Array:
        """The order of one epoch: int64 [N], a permutation."""
        ...

    def chunk(self, examples: Int64Array) -> dict[str, np.ndarray]:
        """What the steps on these examples (int64 [n], in order) need, by the names of
        `signature`."""
        ...

    def batch(
        self, chunk: dict[str, tf.Tensor], low: tf.Tensor, high: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """In the graph: the inputs of `Network.compute_loss` for examples [low, high) of the chunk.

        Args:
            seed: int32 [2], another one at each step; the only source of chance.
        """
        ...

    def touched(self) -> dict[str, Int64Array]:
        """Rows of the ids that these examples are about: {"users": …, "items": …}, distinct."""
        ...


class Shuffled:
    """What sources of batches share whose examples belong to no group: shuffled, unless the recipe
    says not to.

    Attributes:
        weights: float32 [N].
    """

    weights: Float32Array
    _recipe: Recipe

    def __len__(self) -> int:
        return len(self.weights)

    def order(self, rng: np.random.Generator) -> Int64Array:
        if self._recipe.shuffle == "none":
            return np.arange(len(self))
        return rng.permutation(len(self))


def check_weights(weights: np.ndarray, what: str) -> None:
    """Raises BadTrainingData unless one of the examples' weights isn't 0."""
    if not len(weights) or not weights.any():
        raise BadTrainingData(
            f"There is nothing to learn from: {len(weights)} {what}, none with a positive weight. "
            "Skip the update, or widen its window."
        )


def known_rows(items: Vocabulary, item_keys: Int64Array, what: str) -> Int64Array:
    """The items' rows, int64 [N]; BadTrainingData if the model doesn't know one of them."""
    rows = items.rows(item_keys)
    if (rows == 0).any():
        unknown = np.unique(item_keys[rows == 0])
        raise BadTrainingData(
            f"{len(unknown)} item(s) of the {what} are unknown to the model, the first is "
            f"{unknown[0]}. Call add_ids() with the window's items before fit()."
        )
    return rows


def owners_of(offsets: tf.Tensor) -> tf.Tensor:
    """`models.data.ragged.owners` in the graph, from 0 wherever the offsets begin: int32 [n]."""
    lengths = offsets[1:] - offsets[:-1]
    return tf.repeat(tf.range(tf.size(lengths)), lengths)
