"""Replaying a stream under a policy: signals, decision, learning, outcome, window by window.

The same policies, signals and models of gain and cost as in the product (`recloop.planning`); only the
ledger is a list here. Two things differ, and are the same for all policies: an outcome's gain is
measured on the whole next window and not on a held-out slice of this one, and no gate refuses.

Quality is the champion's on each window before it learns from it. Cost is CPU seconds of learning;
ranking is not counted, and graphs are traced before the clock starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from benchmarks.cost import Meter
from benchmarks.policy_stream import Scores, Stream
from recloop.config.rules import PolicyRules
from recloop.planning.decisions import Decision, Policy, Situation, effort_of
from recloop.planning.outcomes import Outcome
from recloop.planning.signals import Observed, Signals, measure_signals

RECENT_DAYS = 28.0


@dataclass
class Run:
    """What a policy did. Each list has one entry per window."""

    quality: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Slice → (recall@20, NDCG@20), means over users; NaN without any."""
    decisions: list[Decision] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    @property
    def updates(self) -> int:
        return sum(decision.kind != "skip" for decision in self.decisions)

    @property
    def cpu_s(self) -> float:
        return float(sum(self.costs))

    def mean(self, part: str, metric: int) -> float:
        """Mean over windows; metric 0 is recall@20, 1 is NDCG@20."""
        return float(np.nanmean([values[metric] for values in self.quality[part]]))


class Replay:
    """A policy on its way through a stream, window by window."""

    def __init__(
        self,
        stream: Stream,
        policy: Policy,
        rules: PolicyRules,
        start: Any,
        seed: int,
        effort: Callable[[dict[str, Any]], str] = effort_of,
    ) -> None:
        """
        Args:
            start: a model after the warm-up; a copy of it is taught.
            effort: names a decision's recipe, for its outcome.
        """
        self.run = Run()
        self._stream, self._policy, self._rules, self._seed = stream, policy, rules, seed
        self._effort = effort
        self._model = stream.warmed(stream.copy(start), seed)
        self.outcomes: list[Outcome] = []
        self._earlier: list[Signals] = []
        self._pending: list[int] = []
        self._lineage = 0
        self._former: Scores | None = None

    def step(self, index: int) -> None:
        """The next window: score, decide, learn."""
        stream, run = self._stream, self.run
        scores = stream.measure(self._model, index)
        for part in stream.slices:
            run.quality.setdefault(part, []).append(means(scores.get(part)))
        if self._former is not None:
            gains, noise = gains_of(self._former, scores, stream.slices)
            self.outcomes[-1] = replace(self.outcomes[-1], gains=gains, noise=noise)
            self._former = None
        self._pending.append(index)
        situation = self._situation(index, scores)
        self._earlier.append(situation.signals)
        decision = self._policy(situation, self._rules)
        run.decisions.append(decision)
        run.costs.append(
            0.0 if decision.kind == "skip" else self._learn(index, decision, situation)
        )

    def _learn(self, index: int, decision: Decision, situation: Situation) -> float:
        stream, meter = self._stream, Meter()
        if index + 1 < len(stream):
            # What the old model would have done on the next window, for the outcome alone.
            self._former = stream.measure(self._model, index + 1)
        with meter.measuring():
            if decision.kind == "rebuild":
                self._model = stream.rebuild(index, self._seed)
            else:
                stream.increment(
                    self._model, self._pending, decision.recipe, self._seed, decision.rank
                )
        self.outcomes.append(
            Outcome(
                target=situation.target,
                decision=decision.kind,
                effort=self._effort(decision.recipe),
                events=situation.events,
                share=situation.events / max(situation.usual_events, 1.0),
                gains=(None, None),
                noise=(1.0, 1.0),
                cost=meter.cpu_s,
                promoted=True,
                signals=situation.signals,
                rank=decision.rank,
            )
        )
        self._lineage = 0 if decision.kind == "rebuild" else self._lineage + len(self._pending)
        self._pending = []
        return meter.cpu_s

    def _situation(self, index: int, scores: Scores) -> Situation:
        stream = self._stream
        return Situation(
            target=stream.key(index),
            pending=tuple((stream.key(n), len(stream.events(n)[0])) for n in self._pending),
            available=tuple(stream.key(n) for n in range(index + 1)),
            champion=1,
            lineage_windows=self._lineage,
            signals=signals_of(stream, self._model, index, scores),
            earlier=tuple(self._earlier),
            outcomes=tuple(self.outcomes),
            usual_events=usual_events(stream, index),
            spent=_spent(stream, self.run.costs, index),
        )


def replay(stream: Stream, policy: Policy, rules: PolicyRules, start: Any, seed: int) -> Run:
    """A policy's way through a whole stream. See `Replay`."""
    way = Replay(stream, policy, rules, start, seed)
    for index in range(len(stream)):
        way.step(index)
    return way.run


def in_hindsight(every: Replay, price: float) -> Policy:
    """The oracle: increments at those windows only where the update of `every-window` turned out to
    be worth its cost, which nobody can know before the next window has come.

    Worth it: its gain in NDCG@20 on the next window, on the slice that gained more, is above `price`
    times its cost, in units of the mean update's.
    """
    mean = every.run.cpu_s / max(every.run.updates, 1)
    worth = {
        outcome.target
        for outcome in every.outcomes
        if max((g for g in outcome.gains if g is not None), default=0.0)
        > price * outcome.cost / mean
    }

    def decide(situation: Situation, rules: PolicyRules) -> Decision:
        del rules
        kind: Literal["increment", "skip"] = "increment" if situation.target in worth else "skip"
        return Decision(kind, "oracle", "")

    return decide


def signals_of(stream: Stream, model: Any, index: int, scores: Scores) -> Signals:
    """As `recloop.planning.planning` measures them: against the windows of the 28 days before."""
    quality = [means(scores.get(part))[1] for part in stream.slices]
    quality = [*quality, quality[0]][:2]
    before = [n for n in _recent(stream, index) if n < index]
    return measure_signals(
        _observed(stream, index),
        [_observed(stream, n) for n in before],
        stream.known(model),
        (quality[0], quality[1]),
    )


def usual_events(stream: Stream, index: int) -> float:
    """Events of the windows of the last 28 days, scaled up where there are fewer days yet."""
    recent = _recent(stream, index)
    days = stream.days(index) - stream.days(recent[0]) + stream.length(index)
    return sum(len(stream.events(n)[0]) for n in recent) * max(RECENT_DAYS / days, 1.0)


def gains_of(
    before: Scores, after: Scores, slices: tuple[str, ...]
) -> tuple[tuple[float | None, ...], tuple[float, ...]]:
    """Relative gains in NDCG@20 of one model over another on the same users, and their standard
    errors: on all pairs and on new ones. A stream with one slice has it twice."""
    gains: list[float | None] = []
    errors = []
    for part in (slices * 2)[:2]:
        gain, error = None, 1.0
        if part in before and part in after:
            old, new = before[part][1][:, 1], after[part][1][:, 1]
            fine = np.isfinite(old) & np.isfinite(new)
            level = float(old[fine].mean()) if fine.sum() > 1 else 0.0
            if level > 0:
                difference = (new - old)[fine]
                gain = float(difference.mean()) / level
                error = float(difference.std(ddof=1)) / np.sqrt(len(difference)) / level
        gains.append(gain)
        errors.append(error)
    return tuple(gains), tuple(errors)


def means(scored: tuple[np.ndarray, np.ndarray] | None) -> tuple[float, float]:
    """Recall@20 and NDCG@20, means over the users who have any."""
    if scored is None or not np.isfinite(scored[1]).any():
        return float("nan"), float("nan")
    found = np.nanmean(scored[1], axis=0)
    return float(found[0]), float(found[1])


def _observed(stream: Stream, index: int) -> Observed:
    users, items = stream.events(index)
    return Observed(users, items, stream.statistics(index))


def _recent(stream: Stream, index: int) -> list[int]:
    return [n for n in range(index + 1) if stream.days(index) - stream.days(n) < RECENT_DAYS]


def _spent(stream: Stream, costs: list[float], index: int) -> float:
    return sum(costs[n] for n in _recent(stream, index) if n < index)
