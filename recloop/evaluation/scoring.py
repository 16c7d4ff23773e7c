"""Scores of one recommender on held-out events, one row per user.

Two rankings per user: over the whole catalogue (`all`), and with what the user had chosen before
masked (`new`: pairs never seen before). Metrics are those of `models/metrics/ranking.py` at k = 20.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from models.data.queries import OWN_COLUMNS
from models.metrics.ranking import ndcg_at_k, recall_at_k
from recloop.contracts import Gap, Metrics
from recloop.features.heldout import CSR, HeldOut

K = 20
POPULARITY_SHARE = 0.2
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Rank = Callable[[HeldOut, int, CSR | None], Int64]
"""(held-out, k, excluded per user) → item keys int64 [U, k], best first, 0 where none is left."""


@dataclass(frozen=True, eq=False)
class Scores:
    """float64 [U] each, NaN where the user has nothing relevant; `shown` is the number of distinct
    items in the top K of all users."""

    recall: Float64
    ndcg: Float64
    recall_new: Float64
    ndcg_new: Float64
    recall_new_items: Float64
    shown: int

    def metrics(self, new: bool = True, where: npt.NDArray[np.bool_] | None = None) -> Metrics:
        """Means over users (of `where`), on new pairs or on all; 0 when there are none."""
        recall, ndcg = (self.recall_new, self.ndcg_new) if new else (self.recall, self.ndcg)
        mask = np.isfinite(recall) if where is None else np.isfinite(recall) & where
        if not mask.any():
            return Metrics(recall=0.0, ndcg=0.0, users=0)
        return Metrics(
            recall=float(recall[mask].mean()), ndcg=float(ndcg[mask].mean()), users=int(mask.sum())
        )


def score(rank: Rank, heldout: HeldOut) -> Scores:
    """Rank the same candidates for each user, then measure."""
    everything = rank(heldout, K, None)
    fresh = rank(heldout, K, heldout.known)
    relevant_new = _minus(heldout.relevant, heldout.known)
    relevant_new_items = _only(relevant_new, heldout.new_items)
    return Scores(
        recall=recall_at_k(everything, heldout.relevant, K),
        ndcg=ndcg_at_k(everything, heldout.relevant, K),
        recall_new=recall_at_k(fresh, relevant_new, K),
        ndcg_new=ndcg_at_k(fresh, relevant_new, K),
        recall_new_items=recall_at_k(fresh, relevant_new_items, K),
        shown=len(np.setdiff1d(np.unique(fresh), [0])),
    )


def by_model(recommender: object) -> Rank:
    """Ranks with a model: anything that has `top_k`."""

    def rank(heldout: HeldOut, k: int, exclude: CSR | None) -> Int64:
        keys, _ = recommender.top_k(  # type: ignore[attr-defined]
            heldout.queries, k, candidates=heldout.catalogue, exclude=exclude
        )
        return np.asarray(keys, np.int64)

    return rank


def by_popularity(heldout: HeldOut, k: int, exclude: CSR | None) -> Int64:
    """Ranks everybody's items alike: most events in the days before the cut first."""
    ranked = np.zeros((len(heldout), k), np.int64)
    for user in range(len(heldout)):
        pool = heldout.popular
        if exclude is not None:
            offsets, keys = exclude
            mine = keys[offsets[user] : offsets[user + 1]]
            pool = pool[: k + len(mine)]
            pool = pool[~np.isin(pool, mine)]
        chosen = pool[:k]
        ranked[user, : len(chosen)] = chosen
    return ranked


def by_own_counts(heldout: HeldOut, k: int, exclude: CSR | None) -> Int64:
    """Ranks what a user has purchased, decayed over 112 days, plus a fifth of recent popularity.

    What a shop can do with two SQL queries, and hard to beat where people buy the same again
    (Dacrema, Cremonesi and Jannach, Are we really making much progress?, RecSys 2019).
    """
    assert heldout.queries.own is not None
    own = heldout.queries.own
    decayed = own.values[:, OWN_COLUMNS.index("decayed_112d")]
    share = POPULARITY_SHARE / max(1, heldout.popular_events.max(initial=0))
    ranked = np.zeros((len(heldout), k), np.int64)
    for user, (low, high) in enumerate(pairwise(own.offsets)):
        mine = own.item_keys[low:high]
        banned = heldout.known[1][:0]
        if exclude is not None:
            banned = exclude[1][exclude[0][user] : exclude[0][user + 1]]
        # No item beyond the k + n most popular can be among the best k of n own items and these.
        near = k + len(mine) + len(banned)
        keys = np.concatenate([mine, heldout.popular[:near]])
        values = np.concatenate([decayed[low:high], share * heldout.popular_events[:near]])
        keys, place = np.unique(keys, return_inverse=True)
        total = np.bincount(place, weights=values)
        fit = np.isin(keys, heldout.catalogue) & ~np.isin(keys, banned)
        best = np.lexsort((keys[fit], -total[fit]))[:k]
        ranked[user, : len(best)] = keys[fit][best]
    return ranked


def _minus(left: CSR, right: CSR) -> list[Int64]:
    return [np.setdiff1d(a, b) for a, b in zip(_rows(left), _rows(right), strict=True)]


def _only(rows: list[Int64], keys: Int64) -> list[Int64]:
    return [row[np.isin(row, keys)] for row in rows]


def _rows(csr: CSR) -> list[Int64]:
    offsets, keys = csr
    return [keys[low:high] for low, high in pairwise(offsets)]


# Paired bootstrap over users: how sure is a difference of two models' means?
#
# Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval);
# users are the resampled unit, because a user's events are not independent.


@dataclass(frozen=True)
class Difference:
    """A mean difference with its percentile interval; NaN where nobody could be compared."""

    mean: float
    low: float
    high: float
    users: int

    def to_gap(self, name: str) -> Gap:
        """The same as a contract: rounded, and None for NaN, which JSON lacks."""
        numbers = (
            round(value, 6) if math.isfinite(value) else None
            for value in (self.mean, self.low, self.high)
        )
        mean, low, high = numbers
        return Gap(name=name, mean=mean, low=low, high=high, users=self.users)


def paired_difference(
    ours: npt.NDArray[np.float64],
    theirs: npt.NDArray[np.float64],
    samples: int,
    confidence: float,
    seed: int,
    users: npt.NDArray[np.int64] | None = None,
) -> Difference:
    """Mean of `ours - theirs` over rows where both are numbers, with its interval.

    Args:
        ours, theirs: float64 [N], one score per row; NaN where undefined.
        samples: how many resamples.
        confidence: e.g. 0.95.
        seed: of the resampling.
        users: int64 [N], who each row is about; rows of one user are resampled together. None: each
            row is another user.
    """
    delta = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    kept = np.isfinite(delta)
    delta = delta[kept]
    if not len(delta):
        return Difference(float("nan"), float("nan"), float("nan"), 0)
    owner = np.arange(len(delta)) if users is None else np.asarray(users)[kept]
    _, cluster = np.unique(owner, return_inverse=True)
    sums = np.bincount(cluster, weights=delta)
    sizes = np.bincount(cluster).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = np.empty(samples)
    for index in range(samples):
        drawn = rng.integers(0, len(sums), len(sums))
        means[index] = sums[drawn].sum() / sizes[drawn].sum()
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Difference(float(delta.mean()), float(low), float(high), len(sums))
