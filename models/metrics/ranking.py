"""Ranking metrics, NumPy only: what share of the relevant was ranked first, and how high.

One value per query; take the mean with `np.nanmean`, since a query without relevant items has no
recall: it is NaN, not 0 (counting it as 0 would punish a model for the silence of its users).

In every function `ranked` is int64 [B, k'] with the best first, and only its first k columns
count; 0 is an empty place (fewer candidates than k). `relevant` is a list of B int64 arrays, or a
CSR pair (offsets int64 [B + 1], keys int64 [n]); repeats in it count once. A key that is ranked
twice counts once.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.data.checks import Int64Array
from models.data.ragged import owners

Relevant = Sequence[Int64Array] | tuple[Int64Array, Int64Array]
Float64Array = npt.NDArray[np.float64]


def to_csr(lists: Relevant, length: int) -> tuple[Int64Array, Int64Array]:
    """Per-query lists as (offsets int64 [length + 1], keys int64 [n]); a CSR pair is checked.

    Raises:
        ValueError: there are not `length` lists, or the offsets don't fit the keys.
    """
    if isinstance(lists, tuple):
        offsets, keys = (np.asarray(part, np.int64) for part in lists)
        if (
            len(offsets) != length + 1
            or offsets[0] != 0
            or offsets[-1] != len(keys)
            or (np.diff(offsets) < 0).any()
        ):
            raise ValueError(
                f"CSR offsets should rise from 0 to {len(keys)} in {length + 1} values. Received: "
                f"{len(offsets)} values, {offsets[:1]}...{offsets[-1:]}. Give one list per query."
            )
        return offsets, keys
    if len(lists) != length:
        raise ValueError(f"Give one list per query: {length}. Received: {len(lists)} lists.")
    sizes = np.fromiter((len(part) for part in lists), np.int64, count=length)
    keys = np.concatenate([np.asarray(part, np.int64) for part in lists] + [np.zeros(0, np.int64)])
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]), keys


def hits(ranked: Int64Array, relevant: Relevant, k: int) -> tuple[np.ndarray, Int64Array]:
    """Which of the first k places are hits (bool [B, min(k, k')]), and each query's relevant count.

    Raises:
        ValueError: k isn't positive, or the shapes disagree.
    """
    if k < 1:
        raise ValueError(f"`k` should be a positive integer. Received: `k` = {k}.")
    ranked = np.asarray(ranked, np.int64)
    if ranked.ndim != 2:
        raise ValueError(f"`ranked` should be [B, k]. Received: shape {ranked.shape}.")
    top = ranked[:, :k]
    offsets, keys = to_csr(relevant, len(ranked))
    pairs = np.unique(np.stack([owners(offsets), keys], axis=1), axis=0)
    counts = np.bincount(pairs[:, 0], minlength=len(ranked)).astype(np.int64)
    # One number per (query, key), from the ranks of the keys: keys themselves may be huge.
    universe = np.unique(np.concatenate([pairs[:, 1], top.ravel()]))
    width = max(len(universe), 1)
    wanted = pairs[:, 0] * width + np.searchsorted(universe, pairs[:, 1])
    shown = np.arange(len(top))[:, None] * width + np.searchsorted(universe, top)
    hit = np.isin(shown, wanted) & (top != 0)
    for column in range(1, top.shape[1]):
        hit[:, column] &= ~(top[:, :column] == top[:, column : column + 1]).any(axis=1)
    return hit, counts


def recall_at_k(ranked: Int64Array, relevant: Relevant, k: int) -> Float64Array:
    """Hits in the first k over the number of relevant items: float64 [B], NaN if none is.

    Not divided by min(k, relevant): a basket of 30 can't reach 1 at k = 20 (Herlocker et al., ACM
    TOIS 2004).
    """
    hit, counts = hits(ranked, relevant, k)
    return np.where(counts > 0, hit.sum(axis=1) / np.maximum(counts, 1), np.nan)


def ndcg_at_k(ranked: Int64Array, relevant: Relevant, k: int) -> Float64Array:
    """DCG of the first k over that of the best possible first k: float64 [B], NaN if none is.

    DCG = sum over hits at place i (from 1) of 1 / log2(i + 1); the ideal is cut at k, so that a
    basket of 30 can reach 1 (Jarvelin and Kekalainen, ACM TOIS 2002, binary gains).
    """
    hit, counts = hits(ranked, relevant, k)
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(gains)])[np.minimum(counts, k)]
    dcg = (hit * gains[: hit.shape[1]]).sum(axis=1)
    return np.where(counts > 0, dcg / np.where(counts > 0, ideal, 1.0), np.nan)
