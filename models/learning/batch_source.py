"""BatchSource: the examples of one family, as the training loop takes them; and what all sources
share: the order of an epoch, where batches end, the learning rate, and when to stop.

A family writes one (`models.two_tower.basket_batches` is the two-tower's); the loop knows no
other form of data. Everything before `batch` is NumPy; `batch` runs in the compiled graph.
"""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from models.data.checks import Float32Array, Int32Array, Int64Array
from models.errors import BadTrainingData, NonFiniteWeights
from models.learning.recipes import SHUFFLES, Recipe
from models.tables.backend import tf
from models.tables.vocabulary import Vocabulary

if TYPE_CHECKING:
    from models.tables.state import ModelState


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


def event_order(query: Int32Array, shuffle: str, rng: np.random.Generator) -> Int64Array:
    """The order in which one epoch sees its events.

    Args:
        query: int32 [N], the query of each event.
        shuffle: "baskets" shuffles the queries and keeps the events of each together, so that the
            query tower is computed once per basket; "events" shuffles the events; "none" keeps
            the order given (chronological, if the caller sorted by time).
        rng: the source of the order.

    Returns:
        int64 [N], a permutation.
    """
    if shuffle == "none":
        return np.arange(len(query))
    if shuffle == "events":
        return rng.permutation(len(query))
    if shuffle == "baskets":
        place = rng.permutation(int(query.max()) + 1 if len(query) else 0)
        return np.argsort(place[query], kind="stable")
    raise ValueError(f"`shuffle` should be one of {', '.join(SHUFFLES)}. Received: {shuffle!r}.")


def batch_bounds(events: int, batch_size: int) -> Int64Array:
    """Bounds [steps + 1] of the fewest batches of at most `batch_size`, equal to within one.

    Equal, because a last batch of three events would have two negatives.
    """
    steps = -(-events // batch_size)
    return np.linspace(0, events, steps + 1).round().astype(np.int64)


WARM_SHARE = 10
"""One step in so many warms up."""


def rates(schedule: str, learning_rate: float, start: int, stop: int, total: int) -> Float32Array:
    """Learning rates of the steps [start, stop) of `total`: float32 [stop - start].

    With t steps taken of T, those that early stopping leaves out counted, and the recipe's rate r:

        constant   r
        linear     r * (1 - t / T)
        cosine     r * (1 + cos(pi * t / T)) / 2 (Loshchilov and Hutter, SGDR, ICLR 2017; each
                   update is one restart)
        warmup     r * (t + 1) / W over the first W = ceil(T / 10) steps, then r (Goyal et al.,
                   Accurate, large minibatch SGD, 2017)

    No step has a rate of 0, which would cost as much as another and teach nothing.

    Raises:
        ValueError: there is no such schedule.
    """
    done = np.arange(start, stop) / total
    if schedule == "constant":
        factor = np.ones(stop - start)
    elif schedule == "linear":
        factor = 1 - done
    elif schedule == "cosine":
        factor = (1 + np.cos(np.pi * done)) / 2
    elif schedule == "warmup":
        warm = -(-total // WARM_SHARE)
        factor = np.minimum(1, np.arange(start + 1, stop + 1) / warm)
    else:
        raise ValueError(
            f"`schedule` should be one of constant, linear, cosine, warmup. Received: {schedule!r}."
        )
    return (learning_rate * factor).astype(np.float32)


class EarlyStopping:
    """Watches the held-out score, and remembers the state at its best (Prechelt, Early stopping, but
    when?, 1998).

    Tables *and* optimizer slots are of the best epoch: slots of a later one would make the next
    update go on from where this one was given up.
    """

    def __init__(self, state: "ModelState", patience: int) -> None:
        """`patience` is how many epochs in a row may fail to be better."""
        self._state = state
        self._patience = patience
        self._tables: dict[str, np.ndarray] = {}
        self._slots: dict[str, np.ndarray] = {}
        self.scores: list[float] = []

    def judge(self, score: float) -> bool:
        """Whether to stop, after an epoch with this score (higher is better; a tie is not better).

        Raises:
            NonFiniteWeights: the score is NaN or infinite.
        """
        if not np.isfinite(score):
            raise NonFiniteWeights(
                f"The held-out score became {score} after epoch {len(self.scores) + 1}. Check that "
                "the held-out slice isn't empty; if it isn't, lower the learning rate or set "
                "clip_norm, and start again from the last saved model."
            )
        if not self.scores or score > max(self.scores):
            self._tables, self._slots = self._state.parameters(), self._state.slots()
        self.scores.append(score)
        return len(self.scores) - 1 - self.best_epoch >= self._patience

    @property
    def best_epoch(self) -> int:
        """The first epoch with the best score, counted from 0."""
        return int(np.argmax(self.scores))

    def restore_best(self) -> None:
        """Puts the best epoch's tables and slots back. Its steps stay counted: they were taken."""
        if not self.scores or self.best_epoch == len(self.scores) - 1:
            return
        for name, table in self._state.network.tables.items():
            table.assign(self._tables[name])
        for name, slot in self._state.optimizer.slots.items():
            slot.assign(self._slots[name])
