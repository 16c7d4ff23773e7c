"""The best of many scores, row by row. NumPy only.

Scores are met in groups of columns M / `GROUPS` apart: k groups have a maximum that reaches the k-th
largest maximum, so that at least k scores reach it, and few others. That is one pass of vector
instructions and a partition of a sixteenth of the row; what is left to sort is short.
"""

import numpy as np

from models.data.checks import Float32Array, Int64Array

GROUPS = 16
LOWEST = np.finfo(np.float32).min
"""What all numbers above -inf reach."""


def best(scores: Float32Array, k: int) -> tuple[Int64Array, Int64Array, Float32Array]:
    """The k best of each row that are above -inf, in order, ties by the earlier column: row int64 [n],
    ascending, column int64 [n], score float32 [n].

    Args:
        scores: float32 [B, M].
    """
    flat = _few_with_the_best(scores, k)
    row, column = np.divmod(flat, max(scores.shape[1], 1))
    values = scores.reshape(-1)[flat]
    order = np.lexsort((-values, row))
    rank = np.arange(len(order)) - np.searchsorted(row, row)
    order = order[rank < k]
    return row[order], column[order], values[order]


def kth_best(scores: Float32Array, k: int) -> Float32Array:
    """The k-th largest of each row, k >= 1: float32 [B]; -inf where fewer are above that."""
    flat = _few_with_the_best(scores, k)
    row = flat // max(scores.shape[1], 1)
    return _kth_by_partition(np.bincount(row, minlength=len(scores)), scores.reshape(-1)[flat], k)


def reaching_kth(scores: Float32Array, k: int) -> Int64Array:
    """Places of all that reach the k-th largest of their row and are above -inf, in `scores` as one row,
    ascending: int64 [n]."""
    flat = _few_with_the_best(scores, k)
    row, values = flat // max(scores.shape[1], 1), scores.reshape(-1)[flat]
    edges = _kth_by_partition(np.bincount(row, minlength=len(scores)), values, k)
    return flat[values >= edges[row]]


def kth_of_lists(lengths: Int64Array, values: Float32Array, k: int) -> Float32Array:
    """The k-th largest of each of B lists of numbers, k >= 1: float32 [B]; -inf of a list that has fewer
    above that.

    Args:
        lengths: int64 [B], of the lists, which stand one after the other in `values`.
    """
    if int(lengths.max(initial=0)) < 2 * GROUPS * k:
        return _kth_by_partition(lengths, values, k)
    return kth_best(filled_up(lengths, values), k)


def _kth_by_partition(lengths: Int64Array, values: Float32Array, k: int) -> Float32Array:
    width = int(lengths.max(initial=0))
    if width < k:
        return np.full(len(lengths), -np.inf, np.float32)
    filled = filled_up(lengths, values)
    filled.partition(width - k, axis=1)
    return np.ascontiguousarray(filled[:, width - k])


def filled_up(lengths: Int64Array, values: Float32Array) -> Float32Array:
    """Lists as rows, each with -inf after its end: float32 [B, longest]."""
    filled = np.full((len(lengths), int(lengths.max(initial=0))), -np.inf, np.float32)
    filled[np.arange(filled.shape[1]) < lengths[:, None]] = values
    return filled


def _few_with_the_best(scores: Float32Array, k: int) -> Int64Array:
    """Places of some scores above -inf, the k best of each row among them, in `scores` as one row,
    ascending: int64 [n]."""
    least = np.maximum(_reached_by_k(scores, k), LOWEST)
    return np.flatnonzero(scores >= least[:, None])


def _reached_by_k(scores: Float32Array, k: int) -> Float32Array:
    """A number that at least k of each row reach: float32 [B]."""
    width = scores.shape[1]
    groups = width // GROUPS
    if k >= width:
        return np.full(len(scores), -np.inf, np.float32)
    if groups < 2 * k:
        return np.asarray(np.partition(scores, width - k, axis=1)[:, width - k])
    grouped = scores[:, : groups * GROUPS].reshape(len(scores), GROUPS, groups)
    maxima = np.maximum.reduce(grouped, axis=1)
    return np.asarray(np.partition(maxima, groups - k, axis=1)[:, groups - k])
