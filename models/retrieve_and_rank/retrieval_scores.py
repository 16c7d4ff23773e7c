"""Retrieval's log probabilities of B queries and M items: held as a table, or found one by one.

    log p = logit - log sum over all items of exp(logit)

A pair of a query and an item is told by its place, query * M + column, as in a flat table. Belongs
here: which items retrieval finds best, and what it says of any pair. Neighbour: `candidates.py`.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from models.data.best_of_rows import reaching_kth
from models.data.checks import Float32Array, Int64Array
from models.recommenders.nearest import Nearest


@dataclass(frozen=True, eq=False)
class Hidden:
    """What may not be shown.

    Attributes:
        row, column: int64 [e], of queries and columns of the pool.
        shown: bool [M], what of the pool may be shown to anybody; None: all.
    """

    row: Int64Array
    column: Int64Array
    shown: np.ndarray | None = None

    def table(self, rows: int, width: int) -> np.ndarray:
        """Whether each place may not be shown: bool [rows * width]."""
        closed = np.zeros((rows, width), bool)
        closed[self.row, self.column] = True
        if self.shown is not None:
            closed[:, ~self.shown] = True
        return closed.reshape(-1)

    def of_query(self, row: int) -> Int64Array:
        """The columns that are hidden from one query: int64."""
        hidden = self.column[self.row == row]
        if self.shown is not None:
            hidden = np.concatenate([hidden, np.flatnonzero(~self.shown)])
        return hidden


NOTHING = Hidden(np.zeros(0, np.int64), np.zeros(0, np.int64))


class Scores(Protocol):
    """Of B queries and M items."""

    def best(self, hidden: Hidden, count: int) -> Int64Array:
        """Places of each query's `count` best that may be shown; of ties at the edge all."""
        ...

    def of(self, places: Int64Array) -> Float32Array:
        """Log probabilities: float32 [n]; of places that may be shown."""
        ...


class ScoreTable:
    """All of them, from logits float32 [B, M], of which those that are hidden are overwritten."""

    def __init__(self, logits: Float32Array) -> None:
        largest = logits.max(axis=1, keepdims=True)
        powers = np.subtract(logits, largest)
        np.exp(powers, out=powers)
        self._normaliser = (np.log(powers.sum(axis=1, keepdims=True)) + largest)[:, 0]
        self._logits = logits

    def best(self, hidden: Hidden, count: int) -> Int64Array:
        """See `Scores`. What is hidden has no log probability from then on."""
        logits = self._logits
        logits[hidden.row, hidden.column] = -np.inf
        if hidden.shown is not None:
            logits[:, ~hidden.shown] = -np.inf
        return reaching_kth(logits, count)

    def of(self, places: Int64Array) -> Float32Array:
        """See `Scores`."""
        row = places // max(self._logits.shape[1], 1)
        return self._logits.reshape(-1)[places] - self._normaliser[row]


class ScoresOfMany:
    """Those that are asked for, of a catalogue that is too large for a table. The sum over all items is
    taken over nearly exact logits (`Nearest.rough`): their errors have no side, and cancel out."""

    def __init__(self, nearest: Nearest, vectors: Float32Array, temperature: float) -> None:
        """`vectors`: float32 [B, d], of the queries."""
        self._nearest, self._vectors = nearest, vectors
        self._temperature = np.float32(temperature)
        self._normaliser: list[np.float32] = []

    def best(self, hidden: Hidden, count: int) -> Int64Array:
        """See `Scores`."""
        found = []
        for row, vector in enumerate(self._vectors):
            rough = self._nearest.rough(vector, self._temperature)
            self._normaliser.append(rough.log_sum)
            rough.products[hidden.of_query(row)] = -np.inf
            places = self._nearest.best(vector, rough, count)
            found.append(row * len(self._nearest) + places)
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def of(self, places: Int64Array) -> Float32Array:
        """See `Scores`; after `best`."""
        row, column = np.divmod(places, max(len(self._nearest), 1))
        logits = np.empty(len(places), np.float32)
        for one, vector in enumerate(self._vectors):
            mine = row == one
            products = self._nearest.exact(vector, column[mine])
            logits[mine] = products / self._temperature - self._normaliser[one]
        return logits
