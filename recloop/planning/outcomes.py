"""What earlier updates gained and cost, and what that says of the next one. Pure.

Two small models, refitted from the ledger at every decision, so that nothing has to be stored:

    relative gain of an update = rate * share of usual events that it learnt     (`gain_rates`)
    CPU seconds                = fixed + per event * events                      (`Cost.of`)

The rate is also what waiting loses: a champion that lacks `share` of 28 days' events is expected to
rank worse by rate * share. It is told apart for all pairs and for new ones: repeat purchases hardly
need fresh weights, new ones do. One outcome says little (a hundred users' difference is mostly
noise), so they are weighed against a prior: the conjugate update of a normal mean with a known
variance (Gelman et al., Bayesian data analysis, 3rd ed. 2013, section 2.5), which is the median of
theirs. Each by its own would be biased: an update that changed nothing has no gain, and no variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from recloop.planning.signals import Signals

SLICES = ("all pairs", "new pairs")
PRIOR_RATE, PRIOR_SPREAD = 0.35, 0.20
"""A model that lacks all of 28 days' events loses so much of its quality; how unsure that is."""
LEAST_NOISE = 0.005
USUAL_FIXED = 0.5
"""Share of an update's cost that doesn't depend on its events, until the ledger can tell."""


@dataclass(frozen=True)
class Outcome:
    """What became of one update.

    Attributes:
        target: key of its newest window.
        decision: "increment" or "rebuild".
        effort: how it was done: a name of `decisions.EFFORTS`, or "custom".
        events: how many it learnt.
        share: these, as a share of the usual events of 28 days.
        gains: challenger minus champion on events that neither had seen, in what the judge calls
            quality, relative to the champion's, by slice of `SLICES`; None: not judged.
        noise: standard errors of the gains.
        cost: CPU seconds of training.
        promoted: whether the challenger became champion.
        signals: of its target, which it was decided by.
        rank: whether it taught the ranker, too.
        judged: False if the gate had too little evidence: that says nothing against the recipe.
    """

    target: str
    decision: str
    effort: str
    events: int
    share: float
    gains: tuple[float | None, ...]
    noise: tuple[float, ...]
    cost: float
    promoted: bool
    signals: Signals = field(default_factory=Signals)
    rank: bool = True
    judged: bool = True


@dataclass(frozen=True)
class Belief:
    """A normal distribution."""

    mean: float
    spread: float


@dataclass(frozen=True)
class Cost:
    """CPU seconds of an update: `fixed`, and `per_event` more for each event."""

    fixed: float
    per_event: float

    def of(self, events: float) -> float:
        return self.fixed + self.per_event * events


def gain_rates(outcomes: Sequence[Outcome]) -> tuple[Belief, ...]:
    """How much of its quality a model gains by learning all of 28 days' events, by slice."""
    return tuple(_gain_rate(outcomes, part) for part in range(len(SLICES)))


def _gain_rate(outcomes: Sequence[Outcome], part: int) -> Belief:
    judged = [
        (o.share, o.gains[part], o.noise[part])
        for o in outcomes
        if o.decision == "increment" and o.gains[part] is not None and o.share > 0
    ]
    share, gain, noise = np.array(judged, np.float64).reshape(-1, 3).T
    variance = max(float(np.median(noise)), LEAST_NOISE) ** 2 if judged else 1.0
    precision = PRIOR_SPREAD**-2 + float(share @ share) / variance
    total = PRIOR_RATE * PRIOR_SPREAD**-2 + float(share @ gain) / variance
    return Belief(max(total / precision, 0.0), precision**-0.5)


def cost_of(outcomes: Sequence[Outcome], effort: str) -> Cost | None:
    """The cost of increments of this effort; None until one was paid for.

    With increments of clearly different sizes, least squares, with at least a tenth of the mean cost
    on either side; else `USUAL_FIXED` of it is taken to be fixed: a line through costs of one size is
    a line through their noise.
    """
    paid = [o for o in outcomes if o.decision == "increment" and o.effort == effort and o.cost > 0]
    if not paid:
        return None
    events = np.array([o.events for o in paid], np.float64)
    cost = np.array([o.cost for o in paid], np.float64)
    mean = float(np.median(cost))
    if len(paid) >= 4 and events.std() > 0.3 * events.mean():
        slope = float(np.cov(events, cost, bias=True)[0, 1] / events.var())
        whole = float(cost.mean() / events.mean())
        slope = min(max(slope, 0.1 * whole), 0.9 * whole)
        return Cost(float(cost.mean() - slope * events.mean()), slope)
    middle = max(float(np.median(events)), 1.0)
    return Cost(USUAL_FIXED * mean, (1 - USUAL_FIXED) * mean / middle)


def refusals(outcomes: Sequence[Outcome]) -> int:
    """How many challengers were refused since the last promotion; deferred ones were not."""
    count = 0
    for outcome in reversed(outcomes):
        if outcome.promoted:
            break
        count += outcome.judged
    return count
