"""What was known of a user and an item when a rating was asked about: features from the file alone.

Each rating has a moment, and its features are a function of ratings of the file with earlier moments.

- Online, the moment is the rating's time: what an online feature store would have answered. Ratings of
  the tested period count, too, as soon as they are a second old.
- Frozen, the moment is the start of the rating's period: nothing of the tested period is known.

Ratings of one moment are not known to one another. Keep out: anything learned (`ctr_systems`).

Means are pulled towards what is expected by a few pseudo-ratings, so that one rating doesn't decide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.ctr_ratings import RatingLog

DAY = 86_400.0
LATEST = 20
"""How many of a user's or an item's latest ratings say what is recent."""
PULL = {"user": 5.0, "item": 20.0}
"""Pseudo-ratings of the expected value."""
NAMES = (
    "user_count", "user_likes", "user_latest", "user_offset", "user_mean", "user_recency",
    "item_count", "item_likes", "item_latest", "item_offset", "item_mean", "item_recency",
    "item_age", "expected", "all_likes",
)  # fmt: skip


@dataclass(frozen=True)
class Past:
    """Each rating's place among those of its user (or of its item), for sums over the past.

    Attributes:
        order: int64 [N], ratings by group, oldest first.
        begin: int64 [N], in that order: where the rating's group begins.
        known: int64 [N], in that order: where the ratings of the same moment begin; what is before
            is known.
    """

    order: np.ndarray
    begin: np.ndarray
    known: np.ndarray

    @classmethod
    def of(cls, keys: np.ndarray, moments: np.ndarray) -> Past:
        """`moments` ascending."""
        order = np.argsort(keys, kind="stable")
        sorted_keys, sorted_times = keys[order], moments[order]
        place = np.arange(len(keys))
        starts = np.r_[True, sorted_keys[1:] != sorted_keys[:-1]]
        later = starts | np.r_[True, sorted_times[1:] != sorted_times[:-1]]
        return cls(
            order,
            np.maximum.accumulate(np.where(starts, place, 0)),
            np.maximum.accumulate(np.where(later, place, 0)),
        )

    def back(self, values: np.ndarray) -> np.ndarray:
        """Values in this order, as the ratings are ordered."""
        result = np.empty_like(values)
        result[self.order] = values
        return result

    def counts(self) -> np.ndarray:
        """How many ratings are known of the group: float64 [N]."""
        return self.back((self.known - self.begin).astype(np.float64))

    def sums(self, values: np.ndarray, latest: int | None = None) -> np.ndarray:
        """Sum of the group's known values, or of the latest so many: float64 [N]."""
        total = np.r_[0.0, np.cumsum(values[self.order], dtype=np.float64)]
        begin = self.begin if latest is None else np.maximum(self.begin, self.known - latest)
        return self.back(total[self.known] - total[begin])

    def since(self, moments: np.ndarray, times: np.ndarray, first: bool = False) -> np.ndarray:
        """Seconds from the group's latest (or first) known rating to the moment: float64 [N], NaN:
        none yet."""
        at = self.begin if first else self.known - 1
        seen = self.known > self.begin
        gap = (moments[self.order] - times[self.order][np.maximum(at, 0)]).astype(np.float64)
        return self.back(np.where(seen, gap, np.nan))


def features_of(log: RatingLog, labels: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Features by `NAMES`: float32 [N, 15].

    Args:
        labels: [N], 1 where the rating is a like.
        moments: int64 [N], seconds, ascending, none later than the rating's time: what came earlier
            is known.
    """
    labels = labels.astype(np.float64)
    everyone = Past.of(np.zeros(len(log), np.int64), moments)
    all_likes = (everyone.sums(labels) + 0.5) / (everyone.counts() + 1.0)
    all_mean = (everyone.sums(log.ratings) + 3.5) / (everyone.counts() + 1.0)
    columns: dict[str, np.ndarray] = {"all_likes": all_likes}
    past = {"user": Past.of(log.user_keys, moments), "item": Past.of(log.item_keys, moments)}
    for side, group in past.items():
        count, pull = group.counts(), PULL[side]
        likes = (group.sums(labels) + pull * all_likes) / (count + pull)
        columns[f"{side}_count"] = np.log1p(count)
        columns[f"{side}_likes"] = likes
        columns[f"{side}_latest"] = (group.sums(labels, LATEST) + pull * likes) / (
            np.minimum(count, LATEST) + pull
        )
        columns[f"{side}_mean"] = (group.sums(log.ratings) + pull * all_mean) / (count + pull)
        columns[f"{side}_recency"] = _days(group.since(moments, log.times))
    columns["item_age"] = _days(past["item"].since(moments, log.times, first=True))
    # How much more a user likes than others do the same items, and an item than the same users do
    # others: each rating's surprise is against what was known when it was given.
    for side, other in (("user", "item"), ("item", "user")):
        surprise = labels - columns[f"{other}_likes"]
        columns[f"{side}_offset"] = past[side].sums(surprise) / (past[side].counts() + PULL[side])
    columns["expected"] = columns["item_likes"] + columns["user_offset"]
    return np.stack([columns[name].astype(np.float32) for name in NAMES], axis=1)


def _days(seconds: np.ndarray) -> np.ndarray:
    """log1p of days; what was never seen is as far as 30 years."""
    return np.log1p(np.where(np.isnan(seconds), 30 * 365 * DAY, seconds) / DAY)
