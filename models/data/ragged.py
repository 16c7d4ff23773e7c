"""Lists of different lengths, one after another in one array, and the offsets at which each begins.

`offsets` is int64 [B + 1], from 0 and not falling: the elements of list i are those at
[offsets[i], offsets[i + 1]). `models.metrics.ranking` makes such a pair of a list of arrays; the
same in the graph is `models.learning.batch_source.owners_of`. At the end, the search for numbers
among others that are in order. NumPy only.
"""

import numpy as np

from models.data.checks import Float32Array, Int64Array


def owners(offsets: Int64Array) -> Int64Array:
    """The list of each element: int64 [n]."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def without_gaps(index: np.ndarray) -> np.ndarray | slice:
    """Ascending places (integers [n]) as a slice, where there are no gaps between them: what is taken by
    it is a view, and no copy."""
    if len(index) and index[-1] - index[0] + 1 == len(index):
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def picked(offsets: Int64Array, chosen: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Some of the lists, in another order.

    Args:
        offsets: int64 [B + 1], of the B lists.
        chosen: int64 [b], which of them, in which order; repeats allowed.

    Returns:
        The offsets of the picked lists (int64 [b + 1]), and the places of their elements.
    """
    lengths = offsets[chosen + 1] - offsets[chosen]
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return ends, np.repeat(offsets[chosen] - ends[:-1], lengths) + np.arange(ends[-1])


def distinct(numbers: Int64Array, in_runs: bool = False) -> Int64Array:
    """Each of the numbers once, ascending: int64 [m] of int64 [n]. (`np.unique`, in a third of the time:
    it makes a table of them first.)

    Args:
        in_runs: whether they are a few ascending runs, one after the other; those are merged then, in a
            sixth of the time.
    """
    ordered = np.sort(numbers, kind="stable" if in_runs else None)
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def look_up(ordered: Int64Array, wanted: Int64Array) -> tuple[np.ndarray, Int64Array]:
    """Which of the wanted numbers are there, and the place of each.

    Args:
        ordered: int64 [n], ascending.
        wanted: int64 of any shape.

    Returns:
        Both of `wanted`'s shape: bool, whether it is in `ordered`; int64, its first place there,
        or where it would be inserted (n beyond the last).
    """
    place = np.asarray(np.searchsorted(ordered, wanted), np.int64)
    known = np.asarray(place < len(ordered))
    known[known] = ordered[place[known]] == wanted[known]
    return known, place


def strongest(offsets: np.ndarray, weights: Float32Array, most: int) -> np.ndarray:
    """Which are among the `most` largest weights of their row, the earlier of equal ones first: bool
    [m]. Row i is at [offsets[i], offsets[i + 1])."""
    kept = np.ones(len(weights), np.bool_)
    for row in np.flatnonzero(np.diff(offsets) > most):
        there = slice(offsets[row], offsets[row + 1])
        among = weights[there]
        edge = np.partition(among, -most)[-most]
        stays = among >= edge
        if np.count_nonzero(stays) > most:
            equal = np.flatnonzero(among == edge)
            stays[equal[most - np.count_nonzero(among > edge) :]] = False
        kept[there] = stays
    return kept
