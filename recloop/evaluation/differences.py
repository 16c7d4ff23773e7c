"""How sure a difference of two models' means is, and what several windows say of it together.

Units (ratings, clicks, users) of one user are no independent evidence, so that a mean is a ratio of two
sums over users: of their differences s and of their units n. With m the mean and C users,

    error² = C / (C - 1) · Σ (s - m n)² / (Σ n)²

(Cochran, Sampling Techniques, 3rd edition 1977, section 6.4), and the interval is Student's t with C - 1
degrees of freedom. The difference of two roots of means, such as RMSE, is linearised first (the delta
method; Wasserman, All of Statistics, 2004, theorem 5.13).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from recloop.contracts import Gap

CONFIDENCE = 0.95
"""Of the intervals that reports show; the gate's rules have their own."""


@dataclass(frozen=True)
class Difference:
    """A mean difference.

    Attributes:
        mean: NaN where nobody could be compared.
        error: its standard error; infinite for one user, who says nothing of others.
        users: how many independent users were compared.
        level: how good the opponent is by the same measure: by how much better than a model that
            knows nothing, above 0.
    """

    mean: float
    error: float
    users: int
    level: float = 0.0

    def low(self, chance: float = (1 - CONFIDENCE) / 2) -> float:
        """Below it lies the true difference with this chance at most."""
        return self.mean + _quantile(chance, self.users) * self.error

    def high(self, chance: float = (1 - CONFIDENCE) / 2) -> float:
        """Above it lies the true difference with this chance at most."""
        return self.mean - _quantile(chance, self.users) * self.error

    def times(self, sign: int) -> Difference:
        """The same, or with the other sign."""
        return Difference(sign * self.mean, self.error, self.users, self.level)

    def to_gap(self, name: str) -> Gap:
        """The same as a contract: rounded, and None for what is no number, which JSON lacks."""
        numbers = {"mean": self.mean, "low": self.low(), "high": self.high()}
        numbers |= {"error": self.error, "level": self.level}
        rounded = {key: round(v, 6) if math.isfinite(v) else None for key, v in numbers.items()}
        return Gap(name=name, users=self.users, **rounded)


def of_gap(gap: Gap) -> Difference | None:
    """A difference out of a report; None where it says too little to be put together with others."""
    if gap.mean is None or not gap.users or (gap.error is None and gap.users > 1):
        return None
    error = math.inf if gap.error is None else gap.error
    return Difference(gap.mean, error, gap.users, gap.level or 0.0)


def pooled(found: Sequence[Difference]) -> Difference:
    """What the users of several windows say together. Windows that compared nobody are left out; those
    of one user each are a sample of their own."""
    known = [one for one in found if one.users and math.isfinite(one.mean + one.error)]
    alone = [one for one in found if one.users == 1 and math.isfinite(one.mean)]
    if len(alone) > 1:
        means, levels = ([getattr(one, name) for one in alone] for name in ("mean", "level"))
        error = float(np.std(means, ddof=1)) / math.sqrt(len(means))
        known.append(Difference(fmean(means), error, len(means), fmean(levels)))
    if len(known) < 2:
        return known[0] if known else found[-1]
    users = sum(one.users for one in known)
    error = math.sqrt(sum((one.users * one.error) ** 2 for one in known)) / users
    mean, level = (
        sum(one.users * value for one, value in zip(known, values, strict=True)) / users
        for values in ([one.mean for one in known], [one.level for one in known])
    )
    return Difference(mean, error, users, level)


def paired_difference(
    ours: npt.NDArray[np.float64],
    theirs: npt.NDArray[np.float64],
    users: npt.NDArray[np.int64] | None = None,
    root: bool = False,
) -> Difference:
    """Mean of `ours - theirs` over rows where both are numbers, with its standard error.

    Args:
        ours, theirs: float64 [N], one score per row; NaN where undefined.
        users: int64 [N], who each row is about. None: each row is another user.
        root: the difference is one of roots of means, such as RMSE; the scores are squares.
    """
    kept = np.isfinite(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64))
    ours, theirs = np.asarray(ours, np.float64)[kept], np.asarray(theirs, np.float64)[kept]
    if not len(ours):
        return Difference(math.nan, math.nan, 0)
    mean = float(ours.mean() - theirs.mean())
    if root:
        roots = [max(math.sqrt(part.mean()), 1e-300) for part in (ours, theirs)]
        mean = roots[0] - roots[1]
        ours, theirs = ours / (2 * roots[0]), theirs / (2 * roots[1])
    apart = ours - theirs
    owner = np.arange(len(apart)) if users is None else np.asarray(users)[kept]
    _, cluster = np.unique(owner, return_inverse=True)
    sums = np.bincount(cluster, weights=apart - apart.mean())
    count = len(sums)
    if count < 2:
        return Difference(mean, math.inf, count)
    error = math.sqrt(count / (count - 1) * float(sums @ sums)) / len(apart)
    return Difference(mean, error, count)


def _quantile(probability: float, users: int) -> float:
    """Below 0, of a small probability: 1 less a very small one is 1."""
    from scipy.special import stdtrit

    return float(stdtrit(max(users - 1, 1), probability))
