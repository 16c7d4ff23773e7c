"""Policies: when to update. Pure functions of a situation; the adaptive one is in `adaptive.py`.

    every-window      each window, as soon as it is validated
    every-n-windows   when `every` windows wait
    volume            when `volume` events wait
    never             only what a person asks for
    adaptive          by what waiting loses and updating costs

`config/update.toml` chooses one, and the form of `incremental_update` another for its run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from models.learning.recipes import INCREMENT, Recipe
from recloop.calendar import counted
from recloop.config.rules import PolicyRules
from recloop.planning.outcomes import Outcome
from recloop.planning.signals import Signals


@dataclass(frozen=True)
class Situation:
    """What is known when a plan is made: all that a decision may depend on.

    Attributes:
        target: key of the newest window that the plan may cover.
        pending: (key, learnable events) of the pending windows up to `target`, oldest first.
        available: keys of all windows with a training set up to the newest that the champion knows
            or `target`, oldest first: what a rebuild learns from.
        champion: version of the reigning release, None before the first.
        lineage_windows: windows learnt by increments since the last training from scratch.
        signals: measured on the target before anything learnt from it.
        earlier: the signals of the windows before it, oldest first.
        outcomes: what became of earlier updates, oldest first.
        usual_events: events of a usual 28 days; 0: unknown.
        gap: by how much, relatively, the latest shadow rebuild since the last training from scratch
            ranked better than the champion: lower end of its interval; None: there was none.
        spent: CPU seconds of training in the last 28 days.
        qualities: what the two qualities of signals and outcomes are, in words.
        increment: the family's default recipe; ranks: whether it has a second stage.
        scores: paths and baselines that the signals were measured with, for the ledger.
    """

    target: str
    pending: tuple[tuple[str, int], ...]
    available: tuple[str, ...]
    champion: int | None
    lineage_windows: int
    signals: Signals = field(default_factory=Signals)
    earlier: tuple[Signals, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    usual_events: float = 0.0
    spent: float = 0.0
    gap: float | None = None
    increment: Recipe = INCREMENT
    qualities: tuple[str, str] = ("NDCG@20 on all pairs", "NDCG@20 on new pairs")
    ranks: bool = True
    scores: dict[str, float | str | None] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """Learnable events that wait."""
        return sum(count for _, count in self.pending)


@dataclass(frozen=True)
class Decision:
    """What a policy wants.

    Attributes:
        kind: of the plan.
        rule: which rule decided, in a word or two.
        reason: one sentence for a person.
        recipe: overrides of the increment's recipe; fields of `models.learning.recipes.Recipe`.
        rank: whether the increment teaches the ranker, too.
    """

    kind: Literal["skip", "increment", "rebuild"]
    rule: str
    reason: str
    recipe: dict[str, Any] = field(default_factory=dict)
    rank: bool = True


Policy = Callable[[Situation, PolicyRules], Decision]
"""Asked only when there is a champion and something waits. Deterministic."""


def every_window(situation: Situation, rules: PolicyRules) -> Decision:
    """Learn each window."""
    del rules
    return Decision("increment", "every-window", waiting(situation))


def every_n_windows(situation: Situation, rules: PolicyRules) -> Decision:
    """Learn when `every` windows wait."""
    count = len(situation.pending)
    if count < rules.every:
        return Decision("skip", "every-n-windows", f"{count} of {rules.every} windows wait")
    return Decision("increment", "every-n-windows", waiting(situation))


def volume(situation: Situation, rules: PolicyRules) -> Decision:
    """Learn when `volume` events wait."""
    if situation.events < rules.volume:
        return Decision("skip", "volume", f"{situation.events:,} of {rules.volume:,} events wait")
    return Decision("increment", "volume", waiting(situation))


def never(situation: Situation, rules: PolicyRules) -> Decision:
    """Learn when a person asks."""
    del rules
    return Decision("skip", "never", f"{waiting(situation)}; the policy waits for a person")


def waiting(situation: Situation) -> str:
    """`1,234 new events in 2 windows`."""
    return f"{situation.events:,} new events in {counted(len(situation.pending))}"


# How hard an increment learns: names for multiples of the default recipe, so that they mean the
# same for every model.

EFFORTS: dict[str, tuple[float, float]] = {
    "light": (2 / 3, 4 / 3),
    "standard": (1.0, 1.0),
    "deep": (2.0, 1.0),
    "gentle": (1.0, 0.5),
}
"""Epochs and learning rate, as multiples of the default increment's."""
LIGHT_SCOPE = "ids"
"""What ids have of their own; the words and weights that they share change little in a day."""
GENTLE_REPLAY = {"replay": "uniform", "replay_share": 0.25}
"""After a refusal: half the rate, and one past example for four new ones."""


def recipe_of(effort: str, base: Recipe = INCREMENT) -> dict[str, Any]:
    """An effort as overrides of the base recipe; empty for "standard"."""
    epochs, rate = EFFORTS[effort]
    wanted = replace(
        base,
        epochs=max(1, round(base.epochs * epochs)),
        learning_rate=round(base.learning_rate * rate, 6),
        scope=LIGHT_SCOPE if effort == "light" and base.scope == "everything" else base.scope,
    )
    changes = {
        name: getattr(wanted, name)
        for name in ("epochs", "learning_rate", "scope")
        if getattr(wanted, name) != getattr(base, name)
    }
    return changes | (GENTLE_REPLAY if effort == "gentle" else {})


def effort_of(recipe: dict[str, Any], base: Recipe = INCREMENT) -> str:
    """The effort that a plan's overrides are, or "custom"."""
    return next((name for name in EFFORTS if recipe_of(name, base) == recipe), "custom")
