"""What a judge measures: scores, one row per unit.

A judge (`JUDGES`) holds events out, scores a model on them and says by which measures the gate and
the policy go. A unit is what is scored once: a user, the next click of a session, a rating. Units
of one user are resampled together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from psycopg2.extensions import cursor as Cursor

from models.data.events import Events
from models.data.queries import Queries
from models.recommenders.family import Recommender
from recloop.contracts import Metrics
from recloop.features.heldout import CSR, Past

K = 20
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """What one model scored.

    Attributes:
        values: float64 [U] by metric, one row per unit; NaN where the unit says nothing of it.
        shown: how many distinct items were shown to all.
        scorable: how many of the catalogue's items the system can score; None: all.
        totals: metrics that are no mean over units.
        roots: metrics that are the root of a mean: their values are squares.
    """

    values: Mapping[str, Float64]
    shown: int = 0
    scorable: int | None = None
    totals: Mapping[str, float] = field(default_factory=dict)
    roots: tuple[str, ...] = ()

    def mean(self, name: str) -> float:
        """The mean over units that say something of the metric; 0 when none does."""
        known = self.values[name][np.isfinite(self.values[name])]
        mean = float(known.mean()) if len(known) else 0.0
        return math.sqrt(mean) if name in self.roots else mean

    def count(self, name: str) -> int:
        """How many units say something of the metric."""
        return int(np.isfinite(self.values[name]).sum())

    def said(self, names: tuple[str, ...]) -> dict[str, float | None]:
        """The means of these metrics, None where no unit says anything, and the totals, rounded."""
        means = {name: self.mean(name) if self.count(name) else None for name in names}
        every = {**means, **self.totals}
        return {name: None if one is None else round(one, 6) for name, one in every.items()}

    def metrics(self, names: tuple[str, ...]) -> Metrics:
        """The means of these metrics, those that some unit says something of, and the totals; the
        first says how many units there were."""
        means = {name: self.mean(name) for name in names if self.count(name)}
        return Metrics(values={**means, **self.totals}, users=self.count(names[0]))


@dataclass(frozen=True)
class Measure:
    """One of the metrics that a gate goes by.

    Attributes:
        name: of the metric, `ndcg@20`.
        what: in sentences, `NDCG@20 on new pairs`.
        sign: 1 where more is better; -1 where less is.
    """

    name: str
    what: str
    sign: int = 1


@dataclass(frozen=True)
class Slice:
    """Some of the units, judged by themselves. `where`, bool [U]: which; None: those with the metric."""

    name: str
    what: str
    metric: str
    where: npt.NDArray[np.bool_] | None = None


class HeldOutEvents(Protocol):
    """Events that a model must predict without having seen them, arranged by a judge."""

    @property
    def queries(self) -> Queries:
        """Some of what is asked: what latency is measured on."""

    @property
    def catalogue(self) -> Int64:
        """int64, the candidates of every model, ascending."""


class Judge(Protocol):
    """How a kind of recommender is evaluated.

    Attributes:
        name: as families name it.
        unit: what a unit is, in the plural; `held_out` the same, with what makes it one.
        measures: what the gate goes by; the first says how many units there are.
        metrics: what is reported and recorded of every window.
        headline: the two that tables show.
        quality: the two that a policy learns from, the broader one first, which the gate decides by;
            one may stand twice.
        baseline: what stands in for a champion before there is one.
    """

    name: str
    unit: str
    held_out: str
    measures: tuple[Measure, ...]
    metrics: tuple[str, ...]
    headline: tuple[str, str]
    quality: tuple[str, str]
    baseline: str

    def hold_out(self, cursor: Cursor, events: Events, past: Past) -> HeldOutEvents:
        """Arrange these events (all at or after the cut), with what was known before it."""

    def score(self, model: Recommender, heldout: Any) -> Scores:
        """A model's scores."""

    def owners(self, heldout: Any) -> Int64:
        """int64 [U], whose each unit is."""

    def slices(self, heldout: Any) -> tuple[Slice, ...]:  # noqa: ARG002
        """What the gate judges by itself, beside the whole; nothing, unless a judge says so."""
        return ()

    def no_skill(self, heldout: Any) -> Mapping[str, float]:  # noqa: ARG002
        """What a model that knows nothing would get by these metrics, where that is not 0."""
        return {}

    def counts(self, heldout: Any) -> dict[str, float]:
        """What a window's signals say of the units."""

    def baselines(self) -> Mapping[str, Callable[[Any], Scores]]:
        """What any model must be better than, by name."""


JUDGES = {
    "ranking": "recloop.evaluation.ranking_judge:JUDGE",
    "next_item": "recloop.evaluation.next_item_judge:JUDGE",
    "clicks": "recloop.evaluation.clicks_judge:JUDGE",
    "ratings": "recloop.evaluation.ratings_judge:JUDGE",
}
"""The evaluations that families may name, and where each is."""


def judge_named(name: str) -> Judge:
    """The evaluation of this name, or the one at `package.module:NAME`."""
    module, _, attribute = JUDGES.get(name, name).partition(":")
    return getattr(import_module(module), attribute)  # type: ignore[no-any-return]


def best_of(best: Int64, k: int, exclude: CSR | None = None, users: int = 0) -> Int64:
    """One ranking (int64, best first) for everybody, without what each had before: int64 [U, k], 0 where
    none is left. `users` says how many, where nothing is excluded."""
    if exclude is None:
        exclude = np.zeros(users + 1, np.int64), best[:0]
    offsets, keys = exclude
    ranked = np.zeros((len(offsets) - 1, k), np.int64)
    for user, (low, high) in enumerate(pairwise(offsets)):
        near = best[: k + high - low]
        chosen = near[~np.isin(near, keys[low:high])][:k]
        ranked[user, : len(chosen)] = chosen
    return ranked


def distinct(keys: Int64) -> int:
    """How many items there are in rankings that are padded with 0."""
    return int(np.count_nonzero(np.unique(keys)))
