"""The gate: a challenger is promoted only if every rule of `config/gate.toml` holds.

Pure: measurements in, verdict out. A rule that has too little to judge by passes and says so, but
too few held-out users altogether is itself a refusal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np

from recloop.config.rules import GateRules
from recloop.contracts import Gap, RuleResult, UpdatePlan
from recloop.evaluation.scoring import Difference, Judge, Measure, Scores, Slice, paired_difference

SOUNDNESS, USERS = "largest_weight", "users"


@dataclass(frozen=True)
class Differences:
    """Challenger minus opponent, with paired intervals, above 0 where the challenger is better: by
    measure, and of the slices."""

    measures: tuple[tuple[Measure, Difference], ...]
    slices: tuple[tuple[Slice, Difference], ...]

    @property
    def users(self) -> int:
        """How many units were compared."""
        return self.measures[0][1].users

    def reported(self) -> tuple[Gap, ...]:
        """Those that a report shows, by name."""
        return tuple(found.to_gap(measure.name) for measure, found in self.measures)


def measure(
    judge: Judge, heldout: Any, challenger: Scores, champion: Scores, rules: GateRules, seed: int
) -> Differences:
    """What the gate judges by, on the same held-out events. A measure that the challenger has no
    number for, where the other model has one, is NaN."""
    owners = judge.owners(heldout)

    def difference(name: str, sign: int = 1, where: np.ndarray | None = None) -> Difference:
        ours, theirs = challenger.values[name], champion.values[name]
        if where is not None:
            ours = np.where(where, ours, np.nan)
        elif (silent := np.isfinite(theirs) & ~np.isfinite(ours)).any():
            return Difference(math.nan, math.nan, math.nan, int(silent.sum()))
        how, root = rules.bootstrap, name in challenger.roots or name in champion.roots
        found = paired_difference(ours, theirs, how.samples, how.confidence, seed, owners, root)
        return found.times(sign)

    return Differences(
        tuple((one, difference(one.name, one.sign)) for one in judge.measures),
        tuple((one, difference(one.metric, 1, one.where)) for one in judge.slices(heldout)),
    )


def limit_of(rules: GateRules, place: str) -> float:
    """The limit at `section.key` of `config/gate.toml`."""
    return float(attrgetter(place)(rules))


@dataclass(frozen=True)
class Soundness:
    """What is asked of the weights themselves.

    Attributes:
        largest_weight: greatest magnitude in any table; NaN or inf if any weight is not finite.
        catalogue: how many of the candidates the challenger can score.
        champion_catalogue: how many the champion (or popularity) can.
    """

    largest_weight: float
    catalogue: int
    champion_catalogue: int


def results_of(
    judge: Judge,
    measured: Differences,
    shown: tuple[int, int],
    soundness: Soundness,
    rules: GateRules,
    opponent: str,
) -> tuple[RuleResult, ...]:
    """Every rule's value, limit and verdict.

    Args:
        shown: distinct items that the challenger and its opponent showed.
        opponent: what the challenger must match, by its name in messages. Before there is a champion a
            shop has nothing else: few users are no refusal then, but worse than the limits beyond doubt.
    """
    limits = rules.rules
    ours, theirs = shown
    first = opponent != "champion"
    return (
        _finite(soundness.largest_weight, limits.largest_weight),
        _at_least(
            USERS,
            measured.users,
            0 if first else limits.minimum_users,
            f"held-out {judge.held_out}; take a longer window or a larger [holdout] share",
        ),
        _at_least(
            "catalogue_share",
            soundness.catalogue / max(1, soundness.champion_catalogue),
            limits.catalogue_share,
            f"of the {opponent}'s {soundness.champion_catalogue:,} candidates can be scored",
        ),
        _at_least(
            "coverage_ratio",
            ours / max(1, theirs) if opponent == "champion" and theirs else 1.0,
            limits.coverage_ratio,
            f"coverage@20: {ours:,} distinct items shown, {opponent} {theirs:,}",
        ),
        *chain.from_iterable(
            _not_worse(one, found, judge.unit, rules, opponent)[first:]
            for one, found in measured.measures
        ),
        *(_slice(one, found, judge.unit, rules) for one, found in measured.slices if not first),
    )


def could_judge(results: Sequence[RuleResult]) -> bool:
    """False if there were too few held-out users for a comparison, and the weights were sound: such a
    refusal says nothing of the challenger."""
    passed = {result.name: result.passed for result in results}
    return passed.get(USERS, True) or not passed.get(SOUNDNESS, True)


def verdict(results: tuple[RuleResult, ...]) -> tuple[bool, str]:
    """Whether all rules passed, and one sentence that says why or why not."""
    broken = [result for result in results if not result.passed]
    if not broken:
        return True, "every gate rule holds"
    return False, "refused: " + "; ".join(
        f"{rule.name} is {_number(rule.value)}, the limit is {rule.limit} ({rule.message})"
        for rule in broken
    )


def _finite(value: float, limit: float) -> RuleResult:
    return RuleResult(
        name=SOUNDNESS,
        value=value if math.isfinite(value) else str(value),
        limit=f"<= {limit:g}, finite",
        passed=bool(math.isfinite(value) and value <= limit),
        message="greatest magnitude of any weight; a NaN or an explosion means a learning rate too "
        "high or bad input",
    )


def _at_least(name: str, value: float, limit: float, message: str) -> RuleResult:
    sound = math.isfinite(value)
    return RuleResult(
        name=name,
        value=round(value, 6) if sound else str(value),
        limit=f">= {limit:g}",
        passed=bool(sound and value >= limit),
        message=message,
    )


def _not_worse(
    measure: Measure, difference: Difference, unit: str, rules: GateRules, opponent: str
) -> tuple[RuleResult, RuleResult]:
    """Neither worse by more than the limit, nor worse beyond doubt (interval wholly below)."""
    if math.isfinite(difference.mean):
        message = (
            f"{measure.what}, challenger minus {opponent}: {difference.mean:+z.4f} "
            f"[{difference.low:+z.4f}, {difference.high:+z.4f}], {difference.users} {unit}"
        )
    else:
        message = f"{measure.what}: the challenger's is no number for {difference.users} {unit}"
    limit, high = limit_of(rules, measure.limit), rules.rules.difference_high
    if opponent != "champion":
        high = min(high, limit)
    found = (
        _at_least(f"{measure.name}_difference", difference.mean, limit, message),
        _at_least(f"{measure.name}_difference_high", difference.high, high, message),
    )
    if difference.users:
        return found
    silent = f"not judged: no held-out event says anything of {measure.what}"
    unjudged = {"value": None, "passed": True, "message": silent}
    return found[0].model_copy(update=unjudged), found[1].model_copy(update=unjudged)


def _slice(one: Slice, difference: Difference, unit: str, rules: GateRules) -> RuleResult:
    least, users = rules.rules.minimum_slice_users, difference.users
    limit = limit_of(rules, one.limit)
    judged = _at_least(one.name, difference.mean, limit, f"{users} {unit} in the slice")
    if users >= least:
        return judged
    said = f"not judged: {users} {unit}, fewer than {least}"
    value = judged.value if users else None
    return judged.model_copy(update={"value": value, "passed": True, "message": said})


def _number(value: float | str | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


# When a person is asked before a promotion although nobody asked to be: `[approval]` of
# `config/gate.toml`. Pure: a plan and measurements in, one sentence out.


def why_ask(plan: UpdatePlan, measured: Differences, rules: GateRules) -> str:
    """Why a person should look at a challenger that has passed against a champion; empty: no need."""
    if plan.decision == "rebuild" and rules.approval.rebuild:
        return "a rebuild would replace the champion, and [approval] rebuild asks for a person"
    zone = rules.approval.grey_zone
    for one, found in measured.measures:
        limit = limit_of(rules, one.limit)
        if found.users and found.mean < limit + zone:
            return (
                f"{one.what} differs by {found.mean:+z.4f}, within {zone:g} of the gate's limit "
                f"{limit:+g}: [approval] grey_zone asks for a person"
            )
    return ""
