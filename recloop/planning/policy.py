"""From a situation to a plan: what a person asked for, else what the policy wants.

Pure: no clock, no database, so that a replay decides the same. Neighbours: `decisions.py` and
`adaptive.py` decide when, `planning.py` gathers the situation.
"""

from __future__ import annotations

from recloop.calendar import counted, whole
from recloop.config.rules import PolicyRules
from recloop.contracts import Strategy, UpdatePlan
from recloop.errors import BadInput
from recloop.planning.adaptive import adaptive
from recloop.planning.decisions import (
    Decision,
    Policy,
    Situation,
    every_n_windows,
    every_window,
    never,
    volume,
    waiting,
)

REQUESTS = ("auto", "skip", "increment", "rebuild")


def decide_update(
    situation: Situation,
    rules: PolicyRules,
    requested: str = "auto",
    strategy: Strategy | None = None,
) -> UpdatePlan:
    """The plan for a situation.

    Args:
        requested: one of `REQUESTS`: what a person asked for; `auto` leaves it to the policy.
        strategy: how it is to be done, beyond its kind; its recipe goes over the policy's.

    Raises:
        BadInput: an increment was asked for before any champion exists.
    """
    asked = requested != "auto"
    decision = _asked(situation, requested) if asked else _decided(situation, rules)
    strategy = strategy or Strategy()
    strategy = strategy.model_copy(
        update={
            "recipe": decision.recipe | strategy.recipe,
            "rank": decision.rank and strategy.rank,
        }
    )
    rebuild = decision.kind == "rebuild"
    covered = situation.available if rebuild else tuple(key for key, _ in situation.pending)
    return UpdatePlan(
        decision=decision.kind,
        target=whole(covered[-1]) if rebuild else situation.target,
        windows=covered,
        parent_release=situation.champion,
        strategy=strategy,
        signals={**situation.scores, **situation.signals.to_json()},
        decided_by="person" if asked else f"{rules.name}: {decision.rule}",
        reason=decision.reason,
    )


def _decided(situation: Situation, rules: PolicyRules) -> Decision:
    if situation.champion is not None and not dict(situation.pending).get(situation.target, 1):
        return Decision(
            "skip",
            "nothing to judge by",
            f"window {situation.target} has no event that is learnt from; the next one covers it",
        )
    if situation.champion is None:
        return Decision(
            "rebuild",
            "first training",
            f"there is no champion yet: first training on {counted(len(situation.available))}",
        )
    if rules.name != "never" and situation.lineage_windows >= rules.rebuild_after_windows:
        return Decision(
            "rebuild",
            "rebuild_after_windows",
            f"{counted(situation.lineage_windows)} learnt by increments since the last training "
            f"from scratch, the limit is {rules.rebuild_after_windows}",
        )
    if rules.name != "never" and situation.events < rules.minimum_events:
        return Decision(
            "skip",
            "minimum_events",
            f"{waiting(situation)}, fewer than {rules.minimum_events:,}: they wait for the next "
            "update",
        )
    return POLICIES[rules.name](situation, rules)


def _asked(situation: Situation, requested: str) -> Decision:
    if requested == "skip":
        return Decision("skip", "", f"a person asked to skip; {waiting(situation)} stay pending")
    if requested == "rebuild":
        return Decision(
            "rebuild",
            "",
            f"a person or schedule asked to rebuild from {counted(len(situation.available))}",
        )
    if situation.champion is None:
        raise BadInput(
            "an increment needs a champion to start from, and there is none; "
            "choose plan `rebuild` (or `auto`) for the first training."
        )
    return Decision("increment", "", f"a person asked for an increment on {waiting(situation)}")


POLICIES: dict[str, Policy] = {
    "every-window": every_window,
    "every-n-windows": every_n_windows,
    "volume": volume,
    "never": never,
    "adaptive": adaptive,
}
"""By the names of `PolicyRules.name`."""
