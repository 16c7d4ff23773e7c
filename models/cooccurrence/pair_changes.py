"""What a worker counted of pairs, in keys, as a part that others can add: sums of differences.

Counts are sums over queries, so what several workers counted side by side, from one start, adds up to
what one would have counted of all; but for neighbours that a worker's full rows had no room for.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csr_array

from models.cooccurrence.pair_memory import RATE, PairMemory
from models.data.checks import Int64Array
from models.tables.vocabulary import Vocabulary

PairChange = Mapping[str, np.ndarray]
"""sources, items: int64 [p], keys of i and j; weights: float32 [p], added to C[i, j]; keys: int64 [c]
and counts: float32 [c, 4], added to the counts of each; days: float64 [2], origin and clock; width:
int64 [1], K. Empty: nothing was counted."""


def change_of(before: PairMemory | None, after: PairMemory | None, items: Vocabulary) -> PairChange:
    """What was counted between the two.

    Args:
        items: whose rows both are by; not changed in between, but by growth.
    """
    if after is None:
        return {}
    start = (before or PairMemory.empty(after.neighbours.shape[1])).longer(len(after))
    if len(start.days) and start.days[0] != after.days[0]:
        start = start.since(after.days[0])
    size = len(after)
    codes, weights = _entries(after, size)
    known, then = _entries(start, size)
    both, mine, theirs = np.intersect1d(codes, known, assume_unique=True, return_indices=True)
    del both
    weights[mine] -= then[theirs]
    more = weights > 0
    counts = after.counts - start.counts
    touched = np.flatnonzero(counts.any(axis=1))
    return {
        "sources": items.keys_of(codes[more] // size),
        "items": items.keys_of(codes[more] % size),
        "weights": weights[more],
        "keys": items.keys_of(touched),
        "counts": counts[touched],
        "days": after.days,
        "width": np.array([after.neighbours.shape[1]], np.int64),
    }


def _entries(memory: PairMemory, size: int) -> tuple[Int64Array, np.ndarray]:
    """Row * size + neighbour, and the weight, of each entry."""
    rows, place = np.nonzero(memory.weights)
    codes = rows * np.int64(size) + memory.neighbours[rows, place]
    return codes, memory.weights[rows, place]


def with_changes(
    memory: PairMemory | None, changes: Sequence[PairChange], items: Vocabulary
) -> PairMemory | None:
    """The memory with all of them added; keys that `items` doesn't know are passed over."""
    given = [one for one in changes if one]
    if not given:
        return memory
    rows = len(items) + 1
    memory = memory or PairMemory.empty(int(given[0]["width"][0]))
    for one in given:
        memory = memory.at(one["days"][1:])
    sources, targets, weights, counts = [], [], [], np.zeros((rows, 4))
    for one in given:
        scale = 1.0
        if len(one["days"]) and len(memory.days):
            scale = float(np.exp(RATE * (one["days"][0] - memory.days[0])))
        source, target = items.rows(one["sources"]), items.rows(one["items"])
        known = (source > 0) & (target > 0)
        sources.append(source[known])
        targets.append(target[known])
        weights.append(one["weights"][known] * scale)
        np.add.at(counts, items.rows(one["keys"]), one["counts"] * scale)
    counts[0] = 0.0
    touched, number = np.unique(np.concatenate(sources), return_inverse=True)
    pairs = csr_array(
        (np.concatenate(weights), (number, np.concatenate(targets))), (len(touched), rows)
    )
    counted = [
        (column, np.flatnonzero(added), added[added > 0]) for column, added in enumerate(counts.T)
    ]
    return memory.plus(rows, pairs, touched, counted)
