"""The adaptive policy: update when waiting would cost more than it saves, and no harder than needed.

Each new window, two numbers are compared, both learnt from what earlier updates gained and cost
(`outcomes.py`):

    what waiting loses    quality that the champion lacks on the next window, for want of what waits
    what waiting saves    the part of an update's cost that doesn't grow with its events, because one
                          update of two windows is cheaper than two of one

at the exchange rate `price`: how much of one window's quality is as dear as one update. For the first
window that waits it is the rule of the economic order quantity (Harris, How many parts to make at
once, 1913), with the loss of staleness in the place of the cost of storage; where several wait it is
more patient. Around it stand, in this order: a budget, a feed that repeats itself, refused
challengers, a measured incremental gap, a catalogue that the champion doesn't know, quality that fell.

How an update is done follows from why: the cheapest effort that has not been shown to learn less, a
standard one after a change, a deep one for an unknown catalogue, another recipe after a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from models.learning.recipes import Recipe
from recloop.calendar import whole
from recloop.config.rules import AdaptiveRules, PolicyRules
from recloop.planning.decisions import EFFORTS, Decision, Situation, recipe_of, waiting
from recloop.planning.outcomes import Cost, cost_of, gain_rates, refusals
from recloop.planning.signals import Signals, changed, usual

RANKED_SHARE = 1 / 14
"""Of a usual 28 days' events: what light updates learn before one of them teaches the ranker, which
needs some lists to learn from, and changes little from one day to the next."""
USUAL_WINDOWS = 12
CLEARLY = 2.0
"""Standard deviations of the difference between two efforts, before it is believed."""
NO_WORSE = 0.1
"""An alarm that an increment has answered rings again when its value is worse by so much."""


def adaptive(situation: Situation, rules: PolicyRules) -> Decision:
    """See the module."""
    limits, base = rules.adaptive, situation.increment
    over = _over_budget(situation, limits)
    if over:
        return Decision("skip", "budget", over)
    return (
        _frozen(situation, limits)
        or _deferred(situation, base)
        or _refused(situation, base)
        or _gap(situation, limits)
        or _unscorable(situation, limits, base)
        or _changed(situation, limits, base)
        or _worth_it(situation, limits, base)
    )


def _over_budget(situation: Situation, limits: AdaptiveRules) -> str:
    if not limits.budget_cpu_s:
        return ""
    cost = _cost(situation, "standard").of(situation.events)
    if situation.spent + cost <= limits.budget_cpu_s:
        return ""
    return (
        f"{waiting(situation)}; an update of about {cost:.0f} CPU s would pass the budget of "
        f"{limits.budget_cpu_s:,.0f} for 28 days, of which {situation.spent:,.0f} are spent"
    )


def _frozen(situation: Situation, limits: AdaptiveRules) -> Decision | None:
    repeated = situation.signals.repeated
    before = usual([s.repeated for s in _recent(situation)])
    if repeated is None or repeated < limits.frozen or repeated < 2 * (before or 0.0):
        return None
    return Decision(
        "skip",
        "frozen feed",
        f"the feed looks frozen: {repeated:.0%} of the window's user-item pairs are the window "
        f"before's (usually {before or 0:.0%}), so there is nothing new to learn; look at the source",
    )


def _deferred(situation: Situation, base: Recipe) -> Decision | None:
    """Too little evidence is no fault of a recipe. The same one again: the gate puts what this window's
    users say to what the last one's said."""
    last = situation.outcomes[-1] if situation.outcomes else None
    if last is None or last.promoted or last.judged or last.decision != "increment":
        return None
    return Decision(
        "increment",
        "more evidence",
        f"{waiting(situation)}; of the last challenger there was not enough evidence: as it was made, "
        "judged by both windows' users",
        recipe_of(last.effort, base),
        last.rank,
    )


def _refused(situation: Situation, base: Recipe) -> Decision | None:
    """Another recipe, then a rebuild, then a person: never the same again."""
    count = refusals(situation.outcomes)
    if not count:
        return None
    said = f"{waiting(situation)}; the last challenger was refused"
    if count == 1:
        return Decision(
            "increment",
            "after a refusal",
            f"{said}: at half the learning rate and with past examples this time",
            recipe_of("gentle", base),
        )
    said = f"{waiting(situation)}; the last {count} challengers were refused"
    if count == 2:
        return Decision("rebuild", "after refusals", f"{said}: from scratch this time")
    return Decision(
        "skip",
        "ask a person",
        f"{said}, a rebuild among them: read their gate reports, then choose a plan in the form",
    )


def _gap(situation: Situation, limits: AdaptiveRules) -> Decision | None:
    """What a full retraining was measured to give (`evaluation/shadow.py`): the only way to know that
    increments have lost something, where quality falls for reasons of its own."""
    if situation.gap is None or situation.gap < limits.gap:
        return None
    return Decision(
        "rebuild",
        "incremental gap",
        f"a shadow rebuild ranked better by at least {situation.gap:.1%} (the interval's lower end), "
        f"the limit is {limits.gap:.1%}: from scratch",
    )


def _unscorable(situation: Situation, limits: AdaptiveRules, base: Recipe) -> Decision | None:
    share = situation.signals.unscorable
    before = usual([s.unscorable for s in _recent(situation)]) or 0.0
    if share is None or share < limits.unscorable or share < 3 * before:
        return None
    said = f"{share:.0%} of the window's events are on items that the champion cannot score"
    if any((s.unscorable or 0.0) >= limits.unscorable for s in _answered(situation, "deep")[-1:]):
        return Decision(
            "rebuild",
            "unknown catalogue",
            f"{said}, and a deep increment has not changed that: from scratch",
        )
    return Decision(
        "increment",
        "unknown catalogue",
        f"{said} (usually {before:.0%}): they are learnt at once, and deeply",
        recipe_of("deep", base),
    )


def _changed(situation: Situation, limits: AdaptiveRules, base: Recipe) -> Decision | None:
    """Quality that fell, popularity that moved, a surge: beyond what is usual, and worse than what was
    answered already: what is left of an answered alarm is not the champion's age."""
    now = situation.signals
    every = (*situation.earlier, now)
    quality, drift = [_quality(s) for s in every], [s.popularity_drift for s in every]
    level, moved = usual(quality[:-1]), usual(drift[:-1])
    volume = usual([s.events for s in _recent(situation)])
    answered = _answered(situation, "standard", "deep")
    why = ""
    if (
        changed(quality, "down")
        and (quality[-1] or 0.0) < (level or 0.0)
        and not _settled(quality[-1], [_quality(s) for s in answered], min)
    ):
        why = f"the champion's quality fell to {quality[-1]:.3f} (usually {level:.3f})"
    elif (
        changed(drift, "up")
        and (drift[-1] or 0.0) > (moved or 0.0)
        and not _settled(drift[-1], [s.popularity_drift for s in answered], max)
    ):
        why = (
            f"what is popular moved: {drift[-1]:.2f} from the windows before (usually {moved:.2f})"
        )
    elif (
        volume
        and now.events > limits.surge * volume
        and not _settled(now.events, [s.events for s in answered], max)
    ):
        why = f"{now.events:,} events in one window, where {volume:,.0f} are usual"
    if not why:
        return None
    return Decision(
        "increment",
        "a change",
        f"{why}: learnt at once, standard effort",
        recipe_of("standard", base),
    )


def _answered(situation: Situation, *efforts: str) -> list[Signals]:
    """The signals that recent increments of these efforts answered, oldest first."""
    recent = {whole(key) for key in situation.available[-USUAL_WINDOWS:]}
    return [o.signals for o in situation.outcomes if o.effort in efforts and o.target in recent]


def _settled(
    now: float | None, then: Sequence[float | None], worst: Callable[[list[float]], float]
) -> bool:
    """Whether an answer was given to a value that this one is not worse than by more than a tenth."""
    known = [value for value in then if value is not None]
    if now is None or not known:
        return False
    tenth = NO_WORSE * abs(worst(known))
    return now >= worst(known) - tenth if worst is min else now <= worst(known) + tenth


def _worth_it(situation: Situation, limits: AdaptiveRules, base: Recipe) -> Decision:
    effort = _effort(situation, limits)
    rates = [belief.mean for belief in gain_rates(situation.outcomes)]
    rate = max(rates)
    share = situation.events / max(situation.usual_events, 1.0)
    loss = rate * share * _urgency(situation)
    cost = _cost(situation, effort)
    typical = usual([s.events for s in _recent(situation)]) or situation.signals.events or 1
    saved = cost.fixed / max(cost.of(typical), 1e-9)
    sums = (
        f"waiting one window more would lose about {loss:.1%} of "
        f"{situation.qualities[rates.index(rate)]} and save {saved:.0%} of an update"
    )
    late = len(situation.pending) >= limits.longest_wait
    if not late and situation.usual_events and loss < limits.price * saved:
        return Decision("skip", "not worth it", f"{waiting(situation)}; {sums}: they wait")
    rank = effort != "light" or _unranked(situation) + share >= RANKED_SHARE or not situation.ranks
    return Decision(
        "increment",
        "longest wait" if late else "worth it",
        f"{waiting(situation)}; {sums}: learnt now, {effort} effort"
        + ("" if rank else ", while the ranker rests"),
        recipe_of(effort, base),
        rank,
    )


def _unranked(situation: Situation) -> float:
    """What was learnt since the ranker last was taught, as a share of a usual 28 days' events."""
    share = 0.0
    for outcome in reversed(situation.outcomes):
        if outcome.promoted and outcome.rank:
            break
        share += outcome.share if outcome.promoted else 0.0
    return share


def _effort(situation: Situation, limits: AdaptiveRules) -> str:
    """ "light", unless it has been shown to learn less; every `explore`-th update is a standard one,
    so that there is something to compare with."""
    done = [o for o in situation.outcomes if o.decision == "increment" and o.promoted]
    since = next((n for n, o in enumerate(reversed(done)) if o.effort == "standard"), len(done))
    if since >= limits.explore:
        return "standard"
    beliefs = [
        gain_rates([o for o in done if o.effort == effort]) for effort in ("light", "standard")
    ]
    for light, standard in zip(*beliefs, strict=True):
        if light.mean < standard.mean - CLEARLY * (light.spread**2 + standard.spread**2) ** 0.5:
            return "standard"
    return "light"


def _cost(situation: Situation, effort: str) -> Cost:
    """The effort's cost, or what is known of any, in proportion to the epochs; 1 before any."""
    own = cost_of(situation.outcomes, effort)
    if own is not None:
        return own
    for other in EFFORTS:
        known = cost_of(situation.outcomes, other)
        if known is not None:
            ratio = EFFORTS[effort][0] / EFFORTS[other][0]
            return Cost(known.fixed, known.per_event * ratio)
    return Cost(0.5, 0.5 / max(situation.signals.events, 1))


def _urgency(situation: Situation) -> float:
    """How fast the world moves now, against what is usual: from 1/2 to 2. Now: the middle of three
    windows, because one of a day has few events to tell by."""
    latest = (*situation.earlier, situation.signals)[-3:]
    now = usual([s.popularity_drift for s in latest])
    before = usual([s.popularity_drift for s in _recent(situation)])
    if now is None or not before:
        return 1.0
    return min(max(now / before, 0.5), 2.0)


def _recent(situation: Situation) -> tuple[Signals, ...]:
    """The windows that what is usual is taken from."""
    return situation.earlier[-USUAL_WINDOWS:]


def _quality(signals: Signals) -> float | None:
    parts = [q for q in (signals.quality_all, signals.quality_new) if q is not None]
    return sum(parts) / len(parts) if parts else None
