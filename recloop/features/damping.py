"""Robots and bursts: what they say is weighed down in learning, and left out of judging.

Two rules, each within one window, that need no history:

    robot   a user with more events than any of a shop's own is likely to have: beyond the far fence
            q3 + 3 (q3 - q1) of the logarithms of users' counts (Tukey, Exploratory Data Analysis,
            1977; users differ by a factor of four at least, so that not all but robots come once),
            and with at least 1 % of all events
    burst   an item that comers of one event choose more than ten times as often as others do, with at
            least 1 % of all events: many names and one mind

Their events count as much as they would at the fence. Where there are fewer than `FEW` users nothing
can be told, and nothing is weighed down.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
FEW = 20
SHARE = 0.01
LEAST_SPREAD = float(np.log(4))
RATIO = 10.0


def damping(users: Int64, items: Int64) -> Float64:
    """float64 [N] in (0, 1]: how much each event of a window counts, 1 where nothing is wrong.

    Args:
        users, items: int64 [N], who chose what.
    """
    found = np.ones(len(users))
    owners, owner, counts = np.unique(users, return_inverse=True, return_counts=True)
    if len(owners) < FEW:
        return found
    low, high = np.quantile(np.log(counts), [0.25, 0.75])
    fence = np.exp(high + 3 * max(high - low, LEAST_SPREAD))
    robots = (counts > fence) & (counts >= SHARE * len(users))
    found[robots[owner]] = (fence / counts)[owner][robots[owner]]
    return found * _bursts(items, counts[owner] == 1, robots[owner])


def _bursts(items: Int64, once: npt.NDArray[np.bool_], robots: npt.NDArray[np.bool_]) -> Float64:
    """How much events of users that came once count; others are no bursts."""
    found = np.ones(len(items))
    _, item = np.unique(items, return_inverse=True)
    theirs = np.bincount(item[once]).astype(np.float64)
    others = np.bincount(item[~once & ~robots], minlength=len(theirs)).astype(np.float64)
    theirs = np.pad(theirs, (0, len(others) - len(theirs)))
    if others.sum() < FEW or theirs.sum() < FEW:
        return found
    # One more among the others: an item that nobody else chose has some share, too.
    usual = (others + 1) / (others.sum() + 1) * theirs.sum() * RATIO
    bursts = (theirs > usual) & (theirs >= SHARE * len(items))
    found[once] = np.where(bursts, usual / np.maximum(theirs, 1), 1.0)[item[once]]
    return found
