"""Paired bootstrap over users: how sure is a difference of two models' means?

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval); users
are the resampled unit, because a user's events are not independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recloop.contracts import Gap


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
