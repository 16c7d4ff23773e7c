"""ASMG's protocol: equal-count periods, one training per period, tested on the next.

A rating of 4 or more is a click. Ratings are sorted by time and cut into periods of as many each (what
is left over at the end is dropped); a model learns the first `warm_up` periods at once, and then, for
each period in turn: it is asked for the chance of each click, and learns the period. The means are over
the last `tested` periods. ASMG's values: 31 periods, 10 and 7, on MovieLens-25M of 2014 to 2018.

Two protocols differ in what a prediction may know beside the model:

frozen   nothing of the tested period: features, like models, are those of the period's start. So are
         ASMG's systems, and figures of papers are comparable with this one alone.
online   every label up to the second before, those of the tested period too, as a feature store that
         is never behind would have them. Half of what seems to be the model is this freshness.

Reference: Peng et al., Learning an adaptive meta model-generator for incrementally updating recommender
systems, RecSys 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from benchmarks.cost import Meter
from benchmarks.ctr_features import features_of
from benchmarks.ctr_ratings import RatingLog
from models.metrics.classification import auc, log_loss, threshold_metrics
from recloop.errors import BadInput

if TYPE_CHECKING:
    from models.data.queries import Items

LIKED = 4.0
PROTOCOLS = ("frozen", "online")
METRICS = ("auc", "log_loss", "precision", "recall", "f1", "accuracy")


@dataclass(frozen=True, eq=False)
class Clicks:
    """N ratings as clicks, oldest first.

    Attributes:
        user_keys, item_keys: int64 [N].
        features: float32 [N, F], what was known at each one's moment (`ctr_features.NAMES`).
        labels: float32 [N], 1 where it was a click. `System.predict` may look at those of earlier
            moments than the click in question, and no others.
        moments: int64 [N], seconds: the click's time online, its period's start where all is frozen.
    """

    user_keys: np.ndarray
    item_keys: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    moments: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, low: int, high: int) -> Clicks:
        """Those in [low, high)."""
        return Clicks(*(array[low:high] for array in vars(self).values()))

    @classmethod
    def of(cls, log: RatingLog, bounds: np.ndarray | None = None) -> Clicks:
        """Labels and features of a log, online; with `bounds` of periods (int64 [P + 1]), frozen:
        those of the ratings in periods."""
        moments = log.times
        if bounds is not None:
            log = log.first(int(bounds[-1]))
            moments = np.repeat(log.times[bounds[:-1]], np.diff(bounds))
        labels = (log.ratings >= LIKED).astype(np.float32)
        features = features_of(log, labels, moments)
        return cls(log.user_keys, log.item_keys, features, labels, moments)

    @classmethod
    def joined(cls, parts: Sequence[Clicks]) -> Clicks:
        """Those of several periods, in order."""
        names = vars(parts[0])
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def with_features(self, *columns: np.ndarray) -> Clicks:
        """The same, with more features: float32 [N] each."""
        return replace(self, features=np.column_stack([self.features, *columns]))


def distinct(keys: np.ndarray) -> np.ndarray:
    """The keys, ascending, once each. By sorting: `np.unique` alone hashes, at many times the cost."""
    return np.unique(keys, return_index=True)[0]


def items_of(item_keys: np.ndarray) -> Items:
    """Items without content: the file has none."""
    from models.data.queries import Items

    keys = distinct(item_keys)
    return Items(keys, np.zeros((len(keys), 0), np.int32))


@dataclass(frozen=True)
class Periods:
    """How a log is cut. All three are counts of periods."""

    count: int = 31
    warm_up: int = 10
    tested: int = 7

    def __post_init__(self) -> None:
        if not (
            self.warm_up >= 1 and self.tested >= 1 and self.warm_up + self.tested <= self.count
        ):
            raise BadInput(
                f"{self.warm_up} periods to warm up and {self.tested} to test should be 1 or more "
                f"each, and fit into {self.count}. Ask for more periods, or fewer of the others."
            )

    def bounds(self, ratings: int) -> np.ndarray:
        """int64 [count + 1]: period p is [bounds[p], bounds[p + 1]).

        Raises:
            BadInput: there are too few ratings for periods of 10.
        """
        size = ratings // self.count
        if size < 10:
            raise BadInput(
                f"{ratings} ratings don't fill {self.count} periods of at least 10. Give a larger "
                "file, a longer span of years, or ask for fewer periods."
            )
        return np.arange(self.count + 1) * size


class System(Protocol):
    """What is compared."""

    def warm_up(self, periods: Sequence[Clicks]) -> None:
        """Learns the first periods."""
        ...

    def predict(self, clicks: Clicks) -> np.ndarray:
        """The chance of each click, from 0 to 1: float [N]."""
        ...

    def learn(self, clicks: Clicks) -> None:
        """Learns one period more."""
        ...


@dataclass
class Result:
    """What a system did in one run. Costs are of `learn` alone, and of the rest beside."""

    periods: list[int] = field(default_factory=list)
    """Tested periods, from 1."""
    metrics: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in METRICS})
    """One value per tested period."""
    learning: Meter = field(default_factory=Meter)
    warming_up: Meter = field(default_factory=Meter)
    predicting: Meter = field(default_factory=Meter)


def run(
    system: System,
    clicks: Clicks,
    periods: Periods,
    progress: Callable[[int, float], None] | None = None,
) -> Result:
    """Takes a system through all periods.

    Args:
        progress: called with the period (from 1) and its AUC after each test.

    Raises:
        BadInput: see `Periods.bounds`.
    """
    bounds = periods.bounds(len(clicks))
    parts = [clicks.part(low, high) for low, high in pairwise(bounds)]
    result = Result()
    with result.warming_up.measuring():
        system.warm_up(parts[: periods.warm_up])
    for period in range(periods.warm_up, periods.count):
        part = parts[period]
        if period >= periods.count - periods.tested:
            with result.predicting.measuring():
                chances = system.predict(part)
            values = evaluated(part.labels, chances)
            result.periods.append(period + 1)
            for name in METRICS:
                result.metrics[name].append(values[name])
            if progress is not None:
                progress(period + 1, values["auc"])
        if period + 1 < periods.count:
            with result.learning.measuring():
                system.learn(part)
    return result


def evaluated(labels: np.ndarray, chances: np.ndarray) -> dict[str, float]:
    """auc, log_loss, precision, recall, f1 and accuracy (the last four at .5), by name."""
    scores = {"auc": auc(labels, chances), "log_loss": log_loss(labels, chances)}
    return {**scores, **threshold_metrics(labels, chances)}
