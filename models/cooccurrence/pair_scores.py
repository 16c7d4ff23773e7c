"""What a `PairMemory` says of queries: which items go with what each user has, and features of pairs.

    votes of j    sum over the user's items i of exp(-age of i / 60 days) * share(i, j)
    lifted        votes / sqrt(1 + times that j was chosen)
    gap           log(1 + days since the user's last j) - log(1 + mean days between the user's j's),
                  times intervals / (intervals + GAP_PRIOR): nothing after a single day with j;
                  and times the memory's 1 - novelty
    rebuy         log of the share of j's users who chose j again when they chose anything, pulled to the
                  share of all items as if that had been seen AGAIN_PRIOR / (1 - novelty) times

The ranker cannot form a gap from logs of ages. Both priors weigh down what is known of a short
history by the intervals and choices that were seen; and where hardly a pair came again (`novelty`),
nothing is known of either.

The same in a graph: `models.cooccurrence.served_pairs`; a test holds one against the other. Sums are
made in float64: in another order they give the same float32.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from models.cooccurrence.pair_config import PAIR_MEMORY_FEATURES
from models.cooccurrence.pair_memory import AGAIN, CHOSEN, OWNED, PairMemory
from models.cooccurrence.window_pairs import AGE_DAYS, LAST_AGE
from models.data.best_of_rows import kth_of_lists
from models.data.checks import Float32Array, Int64Array
from models.data.queries import OWN_COLUMNS, OwnItems
from models.data.ragged import look_up, owners

LEAST_VOTES = 1e-4
DENSE = 4_000_000
"""Cells of queries and items up to which a table finds entries; beyond, a search does."""
AGAIN_PRIOR = 20.0
FEW = 64
"""A memory of more than so many rows for each vote is summed by the rows that are met."""
GAP_PRIOR = 2.0
FIRST_AGE, DAYS = (OWN_COLUMNS.index(name) for name in ("first_age", "days"))


@dataclass(frozen=True, eq=False)
class Together:
    """What a memory says of B queries, as entries in order of the queries.

    Attributes:
        memory: that says it.
        row, item: int64 [e], query and row of the item.
        votes, lifted: float32 [e], positive.
        count: how many of the best by either are candidates.
    """

    memory: PairMemory
    row: Int64Array
    item: Int64Array
    votes: Float32Array
    lifted: Float32Array
    count: int

    @classmethod
    def of(cls, memory: PairMemory, own: OwnItems, source: Int64Array, count: int) -> "Together":
        """Of these queries.

        Args:
            own: what each of the B users has.
            source: int64 [N], the rows of those items; 0: unknown.
        """
        if len(own) == 1:
            item, votes = _votes_of_one(memory, own, source)
            row = np.zeros(len(item), np.int64)
        else:
            found = _votes(memory, own, source)
            item, votes, row = found.indices.astype(np.int64), found.data, owners(found.indptr)
        lifted = (votes / _of_rows(memory, popularity_root, item)).astype(np.float32)
        return cls(memory, row, item, votes.astype(np.float32), lifted, count)

    def best(self, allowed: np.ndarray) -> np.ndarray:
        """Which entries are among the `count` best of their query by either score; of equal ones at the
        edge all. bool [e].

        Args:
            allowed: bool [e], which may be counted at all.
        """
        best = np.zeros(len(self.row), bool)
        if not self.count:
            return best
        lengths = np.bincount(self.row)
        for scores in (self.votes, self.lifted):
            counted = np.where(allowed, scores, np.float32(-np.inf))
            edges = kth_of_lists(lengths, counted, self.count)
            best |= counted >= np.repeat(edges, lengths)
        return best & allowed

    def features(
        self, own: OwnItems, row: Int64Array, item: Int64Array, position: np.ndarray
    ) -> Float32Array:
        """`PAIR_MEMORY_FEATURES` of pairs of a query and an item's row: float32 [p, 4].

        Args:
            row, item: int64 [p].
            position: int [p], where the pair stands in `own`; -1: nowhere.
        """
        width = max(int(item.max(initial=0)), int(self.item.max(initial=0))) + 1
        codes, asked = self.row * width + self.item, row * width + item
        if len(own) * width <= DENSE:
            entry = np.zeros(len(own) * width, np.int32)
            entry[codes] = np.arange(1, len(codes) + 1)
            at = entry[asked]
        else:
            order = np.argsort(codes)
            there, place = look_up(codes[order], asked)
            at = np.where(there, np.append(order, 0)[place] + 1, 0)
        least = _of_rows(self.memory, least_votes, item)
        found = np.empty((len(row), len(PAIR_MEMORY_FEATURES)), np.float32)
        for column, scores in enumerate((self.votes, self.lifted)):
            voted = np.concatenate([np.zeros(1, np.float32), scores])[at]
            found[:, column] = np.log(np.maximum(voted, least))
        gap = np.float32(1.0 - self.memory.usual_novelty) * gaps(own)
        found[:, 2] = np.append(gap, np.float32(0.0))[position]  # last: of a pair not known
        found[:, 3] = _of_rows(self.memory, log_rebuy, item)
        return found


def least_votes(memory: PairMemory, item: Int64Array) -> Float32Array:
    """What votes count at least, of rows that may lie beyond the memory's: float32. That nothing goes
    with an item which nobody has chosen yet says nothing: it has as many as what goes with an item
    usually has."""
    chosen = (item < len(memory)) & (
        memory.counts[np.where(item < len(memory), item, 0), CHOSEN] > 0
    )
    usual = np.float32(max(LEAST_VOTES, memory.usual_share))
    return np.where(chosen, np.float32(LEAST_VOTES), usual)


def _votes(memory: PairMemory, own: OwnItems, source: Int64Array) -> csr_array:
    """float64 [B, rows of the memory], sparse."""
    size = len(memory)
    known = np.flatnonzero((source > 0) & (source < size))
    strength = np.exp(-own.values[known, LAST_AGE].astype(np.float64) / AGE_DAYS)
    owner = own.owners()[known]
    if memory.kept_open:
        order = np.lexsort((source[known], owner))
        ends = np.searchsorted(owner, np.arange(len(own) + 1))
        kind = memory.all_shares.indices.dtype  # one that differs would have all of them converted
        rows = source[known][order].astype(kind)
        asked = csr_array((strength[order], rows, ends.astype(kind)), (len(own), size))
        return csr_array(asked @ memory.all_shares)
    rows, place = np.unique(source[known], return_inverse=True)
    asked = csr_array((strength, (owner, place)), (len(own), len(rows)))
    return csr_array(asked @ memory.sparse_shares(rows))


def _of_rows(
    memory: PairMemory, say: Callable[[PairMemory, Int64Array], Float32Array], item: Int64Array
) -> Float32Array:
    """What `say` says of these rows; of a memory that is kept open, looked up among what it said of all.
    A row beyond the memory's is one that nobody has chosen yet, as row 0."""
    if not memory.kept_open:
        return say(memory, item)
    if say not in memory.looked_up:
        memory.looked_up[say] = say(memory, np.arange(len(memory)))
    beyond = int(item.max(initial=0)) >= len(memory)
    return memory.looked_up[say][np.where(item < len(memory), item, 0) if beyond else item]


def _votes_of_one(
    memory: PairMemory, own: OwnItems, source: Int64Array
) -> tuple[Int64Array, np.ndarray]:
    """The same of one query, int64 [e] and float64 [e], in a fifth of the time: sums are made in the
    order in which a sparse product makes them, by source rows."""
    size = len(memory)
    known = np.flatnonzero((source > 0) & (source < size))
    known = known[np.argsort(source[known], kind="stable")]
    rows = source[known]
    there = memory.neighbour_there(rows)
    strength = np.exp(-own.values[known, LAST_AGE].astype(np.float64) / AGE_DAYS)
    neighbours = memory.neighbours[rows][there]
    votes = (strength[:, None] * memory.shares(rows))[there]
    if size > FEW * len(neighbours):
        met, place = np.unique(neighbours, return_inverse=True)
        return met.astype(np.int64), np.bincount(place, votes, len(met))
    sums = np.bincount(neighbours, votes, size)
    item = np.asarray(np.flatnonzero(sums), np.int64)
    return item, sums[item]


def popularity_root(memory: PairMemory, item: Int64Array) -> Float32Array:
    """sqrt(1 + times that each was chosen): float32, of rows of the memory."""
    return np.sqrt(np.float32(1.0) + memory.counts[item, CHOSEN] / np.float32(memory.growth))


def gaps(own: OwnItems) -> Float32Array:
    """float32 [N], of each item that a user has."""
    intervals = np.maximum(own.values[:, DAYS] - 1.0, 0.0)
    first, last = own.values[:, FIRST_AGE], own.values[:, LAST_AGE]
    mean = np.maximum(first - last, 0.0) / np.maximum(intervals, 1.0)
    share = intervals / (intervals + GAP_PRIOR)
    return np.asarray(share * (np.log1p(last) - np.log1p(mean)), np.float32)


def log_rebuy(memory: PairMemory, item: Int64Array) -> Float32Array:
    """float32, of rows that may lie beyond the memory's, as items without counts."""
    mean = memory.usual_rebuy
    counts = memory.counts[np.where(item < len(memory), item, 0)]
    prior = AGAIN_PRIOR * memory.growth / max(1.0 - memory.usual_novelty, 1e-3)
    return np.log((counts[:, AGAIN] + prior * mean) / (counts[:, OWNED] + prior)).astype(np.float32)
