"""Epochs: the order of examples, where batches end, the learning rate, and when to stop.

NumPy only, and functions of their arguments: the same seed gives the same order. The learning rate,
with t steps taken of T and the recipe's rate r, is

    constant   r
    linear     r * (1 - t / T): down to 0, which it would reach at step T
    cosine     r * (1 + cos(pi * t / T)) / 2: the same, slow at both ends (Loshchilov and Hutter,
               SGDR: stochastic gradient descent with warm restarts, ICLR 2017; each update is one
               restart)
    warmup     r * (t + 1) / W over the first W = ceil(T / 10) steps, then r (Goyal et al.,
               Accurate, large minibatch SGD, 2017)

No step has a rate of 0, which would cost as much as another and teach nothing. T counts all epochs
of the recipe, also those that early stopping (Prechelt, Early stopping, but when?, 1998) leaves out.
"""

from typing import TYPE_CHECKING

import numpy as np

from models.data.checks import Float32Array, Int32Array, Int64Array
from models.errors import NonFiniteWeights

if TYPE_CHECKING:
    from models.tables.state import ModelState

SHUFFLES = ("baskets", "events", "none")


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
    """Watches the held-out score, and remembers the state at its best.

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
