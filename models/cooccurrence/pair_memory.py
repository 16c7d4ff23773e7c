"""PairMemory: which items are newly chosen after which, and beside which; decayed, sparse, bounded.

    C[i, j]   of a query, adds exp(-age of i / 60 days) for each item i that the user has and each j
              that is new to it and chosen; a quarter for each i that is chosen beside j and as new
    n[i]      the same, added once for each query that had an i to follow
    share     C[i, j] / (n[i] + PRIOR): an estimate of P(j is chosen | i), pulled to 0 where n is small

Each row keeps K neighbours: those with the largest (C[i, j] - DOUBT * sqrt(C[i, j])) / (1 + times that j
was chosen). By C[i, j] itself the same few popular items would stay in every row, which popularity knows
already (on UCI Online Retail, weeks 20 to 25, NDCG@20 of new pairs is then .178 in place of .190, and
.174 without a memory). Half of a count's standard error off it, a pair that was met often stays before
one that was met once by chance; without, rows fill with those, and new items find no way into lists.

Where nearly all pairs were met once only, a short history or a catalogue that is large for it, counts do
not say yet which of them is more than chance. The share of what was counted that is of pairs met once
estimates how probably the next pair is one never met (Good, The population frequencies of species,
Biometrika 1953). Above `NEW_FROM` it is trusted less and less that a rare item beside another says more
than a popular one: those stay with the largest C[i, j] / (1 + times chosen)^p, with p from 1 down to -1
and no doubt in the end; and what is chosen beside j comes to count as much as what the user had before.

What is older decays by `RATE` a day, and nothing is
multiplied for it: a count of day t is added as exp(RATE * (t - origin)) and what is read is divided
by exp(RATE * (clock - origin)), so that an update costs its own pairs (forward decay: Cormode et al.,
Forward decay: a practical time decay model for streaming systems, ICDE 2009). Arrays are by the rows
of the state that keeps them in its `extra`; they may be shorter than its tables, where rows came
since. NumPy and SciPy only.

Neighbours: `models.cooccurrence.window_pairs` counts a window, `models.cooccurrence.pair_scores`
reads, `models.cooccurrence.served_pairs` is the same in a graph.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from models.data.checks import Float32Array, Int32Array, Int64Array
from models.data.ragged import owners, strongest

PREFIX = "pairs/"
NAMES = ("neighbours", "weights", "counts", "days")
SOURCE, CHOSEN, OWNED, AGAIN = range(4)
"""Columns of `PairMemory.counts`: n; times that the item was chosen as new; pairs of a user and an
item that the user has, counted at each query of the user; those of them that were chosen again."""
RATE = -float(np.log(0.97)) / 7
"""Per day: what is a week older weighs .97 as much."""
PRIOR = 5.0
DOUBT = np.float32(0.5)
NEW_FROM = 0.8
ONCE = 1.001
"""The most that a pair counts that was met once."""
SOME = 4096
Counted = tuple[int, Int64Array, np.ndarray]
"""A column of `PairMemory.counts`, distinct rows int64 [c], and what is added there, float64 [c]."""
LARGEST_OPENED = 8_000_000
"""Neighbours of a memory of which all is computed at once: 96 MB."""
LARGEST_GROWTH = 2.0**40
"""Beyond this, the origin is moved: float32 has room for 2^127."""


@dataclass(frozen=True, eq=False)
class PairMemory:
    """Counts of n - 1 items, by row; row 0 is nobody's.

    Attributes:
        neighbours: int32 [n, K], item rows, each once in a row; 0 is none.
        weights: float32 [n, K], positive; 0 where there is no neighbour.
        counts: float32 [n, 4]; see `SOURCE`.
        days: float64 [2], origin and clock, in days since 1970-01-01; [0] before any day was told.
    """

    neighbours: Int32Array
    weights: Float32Array
    counts: Float32Array
    days: np.ndarray

    @classmethod
    def empty(cls, neighbours: int) -> "PairMemory":
        """Of no items, with room for so many neighbours of each."""
        return cls(
            np.zeros((1, neighbours), np.int32),
            np.zeros((1, neighbours), np.float32),
            np.zeros((1, 4), np.float32),
            np.zeros(0),
        )

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "PairMemory | None":
        """The one among these arrays (a state's `extra`), or None."""
        if f"{PREFIX}counts" not in arrays:
            return None
        return cls(*(arrays[PREFIX + name] for name in NAMES))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All of it, by names that begin with `pairs/`; what `of` reads."""
        return {PREFIX + name: getattr(self, name) for name in NAMES}

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def growth(self) -> float:
        """What a count of the clock's day is added as; what is read is divided by it."""
        return float(self.growth_at(self.days[1])) if len(self.days) else 1.0

    def growth_at(self, day: np.ndarray | float) -> np.ndarray | float:
        """The same of other days; 1 before any was told."""
        return np.exp(RATE * (day - self.days[0])) if len(self.days) else np.ones_like(day)

    def at(self, days: np.ndarray | None) -> "PairMemory":
        """With the clock set on to the latest of these days; it never goes back. None: as it is."""
        if days is None or not len(days):
            return self
        first, last = float(np.min(days)), float(np.max(days))
        origin, clock = self.days if len(self.days) else (first, last)
        moved = PairMemory(
            self.neighbours, self.weights, self.counts, np.array([origin, max(clock, last)])
        )
        return moved if moved.growth < LARGEST_GROWTH else moved.since(moved.days[1])

    def since(self, origin: float) -> "PairMemory":
        """The same counts, told from another origin."""
        # By its inverse, which is 0 where everything is forgotten, and never too large.
        scale = np.float32(np.exp(-RATE * (origin - self.days[0])))
        weights = self.weights * scale
        neighbours = np.where(weights > 0, self.neighbours, np.int32(0))
        days = np.array([origin, self.days[1]])
        return PairMemory(neighbours, weights, self.counts * scale, days)

    def longer(self, rows: int) -> "PairMemory":
        """With zeros for rows that came since; a copy."""
        more = max(0, rows - len(self))
        space = ((0, more), (0, 0))
        return PairMemory(
            np.pad(self.neighbours, space),
            np.pad(self.weights, space),
            np.pad(self.counts, space),
            self.days,
        )

    def shares(self, rows: Int64Array) -> Float32Array:
        """C[i, j] / (n[i] + PRIOR) of these rows and their neighbours: float32 [r, K]."""
        source = self.counts[rows, SOURCE] + np.float32(PRIOR * self.growth)
        return self.weights[rows] / source[:, None]

    def neighbour_there(self, rows: Int64Array) -> np.ndarray:
        """Which places of these rows hold a neighbour: bool [r, K]."""
        return np.asarray((self.weights[rows] > 0) & (self.neighbours[rows] > 0))

    def sparse_shares(self, rows: Int64Array) -> csr_array:
        """The same, sparse: [r, n]."""
        there = self.neighbour_there(rows)
        ends = np.concatenate([[0], np.cumsum(np.count_nonzero(there, axis=1))])
        shares, neighbours = self.shares(rows)[there], self.neighbours[rows][there]
        return csr_array((shares, neighbours, ends), (len(rows), len(self)))

    @property
    def kept_open(self) -> bool:
        """Whether what is asked of it again and again is kept; see `opened`."""
        return "all_shares" in vars(self)

    def opened(self) -> "PairMemory":
        """For somebody who asks much: what all rows say is computed once, if that is not too much to
        hold (12 bytes a neighbour)."""
        if self.weights.size <= LARGEST_OPENED:
            _ = self.all_shares
        return self

    @cached_property
    def all_shares(self) -> csr_array:
        """Of all rows: [n, n], float64, which a product of float32 would be made of each time."""
        shares = self.sparse_shares(np.arange(len(self))).astype(np.float64)
        if shares.nnz < np.iinfo(np.int32).max:
            shares.indices = shares.indices.astype(np.int32)
            shares.indptr = shares.indptr.astype(np.int32)
        return shares

    @cached_property
    def looked_up(self) -> dict[Callable[..., Float32Array], Float32Array]:
        """What functions of rows said of all rows: see `pair_scores`."""
        return {}

    @cached_property
    def usual_share(self) -> float:
        """The mean share of neighbours, of some thousand items spread over all; 0 without any."""
        known = np.flatnonzero(self.counts[:, SOURCE] > 0)
        some = known[:: max(1, len(known) // SOME)]
        there = self.weights[some] > 0
        return float(self.shares(some)[there].mean()) if there.any() else 0.0

    @cached_property
    def usual_rebuy(self) -> float:
        """The share of pairs that were chosen again, of all items."""
        total = self.counts[:, [OWNED, AGAIN]].sum(axis=0, dtype=np.float64)
        return float((total[1] + 1e-9) / (total[0] + 1e-6))

    def kept(self, rows: Int64Array) -> "PairMemory":
        """With these rows only (ascending, 0 first), which are numbered anew."""
        rows = rows[rows < len(self)]
        number = np.zeros(len(self), np.int32)
        number[rows] = np.arange(len(rows), dtype=np.int32)
        neighbours = number[self.neighbours[rows]]
        weights = np.where(neighbours > 0, self.weights[rows], np.float32(0))
        order = np.argsort(neighbours, axis=1, kind="stable")
        return PairMemory(
            np.take_along_axis(neighbours, order, axis=1),
            np.take_along_axis(weights, order, axis=1),
            self.counts[rows],
            self.days,
        )

    def novelty(self, rows: int, pairs: csr_array, sources: Int64Array) -> float:
        """How little is known yet of which pairs come again: 0 if at most `NEW_FROM` of what was
        counted, with these added, is of pairs met once; 1 if all is; in between evenly.

        Args:
            rows, pairs, sources: see `plus`; of some rows, to know it nearly.
        """
        return _novelty((self._of_sources(rows, sources) + pairs).data / self.growth)

    @cached_property
    def usual_novelty(self) -> float:
        """The same of what is remembered, of some thousand items spread over all."""
        known = np.flatnonzero(self.counts[:, SOURCE] > 0)
        weights = self.weights[known[:: max(1, len(known) // SOME)]]
        return _novelty(weights[weights > 0] / np.float32(self.growth))

    def _of_sources(self, rows: int, sources: Int64Array) -> csr_array:
        """C of these rows, those that came since empty: [s, rows]."""
        known = np.flatnonzero(sources < len(self))
        weights, neighbours = self.weights[sources[known]], self.neighbours[sources[known]]
        there = weights > 0
        lengths = np.zeros(len(sources), np.int64)
        lengths[known] = np.count_nonzero(there, axis=1)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        return csr_array((weights[there], neighbours[there], ends), (len(sources), rows))

    def plus(
        self,
        rows: int,
        pairs: csr_array,
        sources: Int64Array,
        counted: Sequence[Counted],
        novelty: float | None = None,
    ) -> "PairMemory":
        """With these added; K neighbours of each row stay.

        Args:
            rows: how many there are by now.
            pairs: [s, rows], what is added to C, told from the origin.
            sources: int64 [s], ascending, whose rows these are.
            counted: what is added to `counts`.
            novelty: see there; None: it is found out.
        """
        longer = self.longer(rows)
        for column, touched, sums in counted:
            longer.counts[touched, column] += sums.astype(np.float32)
        most = self.neighbours.shape[1]
        if len(sources) and most:
            total = self._of_sources(rows, sources) + pairs.astype(np.float32)
            total.sort_indices()
            growth = np.float32(self.growth)
            popular = longer.counts[total.indices, CHOSEN] + growth
            if novelty is None:
                novelty = self.novelty(rows, pairs, sources)
            known = np.float32(1.0 - novelty)
            sure = total.data - known * DOUBT * np.sqrt(total.data * growth)
            stays = strongest(total.indptr, sure / popular ** (2 * known - 1), most)
            row, column = owners(total.indptr)[stays], total.indices[stays]
            lengths = np.bincount(row, minlength=len(sources))
            starts = np.cumsum(lengths) - lengths
            place = most - lengths[row] + np.arange(len(row)) - starts[row]
            longer.neighbours[sources], longer.weights[sources] = 0, 0
            longer.neighbours[sources[row], place] = column
            longer.weights[sources[row], place] = total.data[stays]
        return longer


def _novelty(counts: np.ndarray) -> float:
    share = counts[counts <= ONCE].sum() / max(counts.sum(), 1e-12)
    return float(np.clip((share - NEW_FROM) / (1.0 - NEW_FROM), 0.0, 1.0))
