"""The gate: a challenger is promoted, refused, or there is not enough evidence yet.

Pure: measurements in, an answer out. By the judge's main measure (`Judge.quality[0]`) the question is
one of non-inferiority (ICH E9, Statistical Principles for Clinical Trials, 1998, section 3.3.2): with
m the margin, a share of the champion's quality,

    promoted   the challenger is for sure no worse than by m       lower end ≥ -m
    refused    it is for sure worse                                upper end < 0
    deferred   neither: judged again, with the next window's users

By every other measure, and in each slice, it is refused if it is for sure worse by more than the
margin; slices have one of their own. "For sure" is a chance of error that `config/gate.toml` states:
of refusing an equal challenger, shared by all rules (Bonferroni), and of promoting one that is worse by
m. Each look at growing evidence may spend three quarters of what the looks before left of it. From the
window of `patience` on it is enough to be at least equal so far: who waits for more learns nothing
meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from recloop.config.rules import GateRules
from recloop.contracts import Gap, GateReport, RuleResult
from recloop.evaluation.differences import Difference, of_gap, paired_difference, pooled
from recloop.evaluation.scoring import Judge, Scores

SOUNDNESS, USERS = "largest_weight", "users"
LEAST_LEAD = 0.1
"""A champion that is hardly better than knowing nothing may lose the margin of this share of what that
gives: of an AUC of 0.5, of an RMSE of 1."""
SPENT = 0.75
"""Of the chance of an error that is left, how much a look at the evidence may spend: most challengers
are decided on at the first."""
LOOKS = 12
"""From this look on a chance is as small as it gets: less is no number."""
Answer = Literal["promote", "refuse", "defer"]


@dataclass(frozen=True)
class Compared:
    """Challenger minus opponent, above 0 where the challenger is better.

    Attributes:
        name: of the measure or slice; `what` the same in words.
        found: the difference; its `level` is what margins are shares of.
        is_slice: whether it is of a part of the units alone.
    """

    name: str
    what: str
    found: Difference
    is_slice: bool = False


@dataclass(frozen=True)
class Differences:
    """What the gate judges by: the measures in the judge's order, then the slices."""

    compared: tuple[Compared, ...]

    def reported(self, slices: bool = False) -> tuple[Gap, ...]:
        """Those that a report shows, by name."""
        return tuple(one.found.to_gap(one.name) for one in self.compared if one.is_slice == slices)


def measure(judge: Judge, heldout: Any, challenger: Scores, champion: Scores) -> Differences:
    """Both models on the same held-out events. A measure that the challenger has no number for, where
    the other model has one, is NaN."""
    owners, nothing = judge.owners(heldout), judge.no_skill(heldout)

    def difference(name: str, sign: int = 1, where: np.ndarray | None = None) -> Difference:
        ours, theirs = challenger.values[name], champion.values[name]
        if where is not None:
            ours = np.where(where, ours, np.nan)
        elif (silent := np.isfinite(theirs) & ~np.isfinite(ours)).any():
            return Difference(math.nan, math.nan, int(silent.sum()))
        root = name in challenger.roots or name in champion.roots
        found = paired_difference(ours, theirs, owners, root).times(sign)
        known = theirs[np.isfinite(ours) & np.isfinite(theirs)]
        reached = float(known.mean()) if len(known) else 0.0
        reached, ignorant = math.sqrt(reached) if root else reached, nothing.get(name, 0.0)
        level = max(sign * (reached - ignorant), LEAST_LEAD * abs(ignorant))
        return Difference(found.mean, found.error, found.users, level)

    measures = (Compared(m.name, m.what, difference(m.name, m.sign)) for m in judge.measures)
    slices = (
        Compared(s.name, s.what, difference(s.metric, 1, s.where), is_slice=True)
        for s in judge.slices(heldout)
    )
    return Differences((*measures, *slices))


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
    earlier: Sequence[GateReport] = (),
) -> tuple[RuleResult, ...]:
    """Every rule's value, limit and verdict.

    Args:
        shown: distinct items that the challenger and its opponent showed.
        opponent: what the challenger is held against, by its name in messages. Before there is a
            champion a shop has nothing else: then only what is for sure worse is refused.
        earlier: reports of challengers of the same kind against the same champion, on other windows,
            that were deferred: their users are evidence too.
    """
    ours, theirs = shown
    limits, first = rules.rules, opponent != "champion"
    main = judge.quality[0]
    earlier = [report for report in earlier if _says(report, main)]
    look = 1 + len(earlier)
    judged = [_with_earlier(one, earlier) for one in measured.compared]
    tests = sum(one.found.users > 1 for one in judged)
    share = SPENT * (1 - SPENT) ** (min(look, LOOKS) - 1)
    chances = Chances(
        promoted=rules.errors.wrongly_promoted * share,
        refused=rules.errors.wrongly_refused * share / max(1, tests),
        last=look >= rules.errors.patience,
    )
    said = _Said(judge.unit, opponent, look)
    decisive = next(one for one in judged if one.name == main)
    guards = [one for one in judged if one is not decisive and not (first and one.is_slice)]
    return (
        _finite(soundness.largest_weight, limits.largest_weight),
        _at_least(
            "catalogue_share",
            soundness.catalogue / max(1, soundness.champion_catalogue),
            limits.catalogue_share,
            f"of the {opponent}'s {soundness.champion_catalogue:,} candidates can be scored",
        ),
        _at_least(
            "coverage_ratio",
            1.0 if first or not theirs else ours / theirs,
            limits.coverage_ratio,
            f"coverage@20: {ours:,} distinct items shown, {opponent} {theirs:,}",
        ),
        *([] if first else [_enough(decisive.found.users, limits.minimum_users, judge)]),
        (_guard if first else _main)(decisive, rules, chances, said),
        *(_guard(one, rules, chances, said) for one in guards),
    )


def answer_of(results: Sequence[RuleResult]) -> Answer:
    """What follows from the rules: any that is broken refuses; any that cannot tell yet defers."""
    broken = [result for result in results if not result.passed]
    if not broken:
        return "promote"
    return "defer" if all(result.undecided for result in broken) else "refuse"


def verdict(results: Sequence[RuleResult]) -> tuple[Answer, str]:
    """The answer, and one sentence that says why."""
    answer = answer_of(results)
    if answer == "promote":
        return answer, "every gate rule holds"
    undecided = answer == "defer"
    why = "; ".join(
        f"{rule.name} is {_number(rule.value)}, the limit is {rule.limit} ({rule.message})"
        for rule in results
        if not rule.passed and rule.undecided == undecided
    )
    if undecided:
        return (
            answer,
            f"not enough evidence yet, these users judge the next one of its kind, too: {why}",
        )
    return answer, f"refused: {why}"


@dataclass(frozen=True)
class Chances:
    """Of an error of this look at the evidence, for each rule; and whether patience is at its end."""

    promoted: float
    refused: float
    last: bool


@dataclass(frozen=True)
class _Said:
    """What every message says alike."""

    unit: str
    opponent: str
    looks: int

    def of(self, what: str, found: Difference, low: float, high: float) -> str:
        if not math.isfinite(found.mean):
            return f"{what}: the challenger's is no number for {found.users} {self.unit}"
        windows = f" of {self.looks} windows" if self.looks > 1 else ""
        told = f"{what}, challenger minus {self.opponent}: {found.mean:+z.4f}"
        if math.isfinite(low + high):
            told += f" [{low:+z.4f}, {high:+z.4f}]"
        if found.level:
            told += f", {100 * found.mean / found.level:+z.1f}% of the {self.opponent}'s"
        return f"{told}, {found.users} {self.unit}{windows}"


def _says(report: GateReport, name: str) -> bool:
    """Whether anybody judged by this measure: a window of nobody is no look at the evidence."""
    return any(gap.name == name and gap.users for gap in report.differences)


def _with_earlier(one: Compared, earlier: Sequence[GateReport]) -> Compared:
    if math.isnan(one.found.mean) and one.found.users:
        return one  # the challenger has no number: nothing makes up for that
    gaps = [gap for report in earlier for gap in (*report.differences, *report.slices)]
    known = [of_gap(gap) for gap in gaps if gap.name == one.name]
    together = pooled([*(found for found in known if found), one.found])
    return Compared(one.name, one.what, together, one.is_slice)


def _main(one: Compared, rules: GateRules, chances: Chances, said: _Said) -> RuleResult:
    """Promoted if for sure no worse than by the margin; broken if for sure worse; else undecided."""
    found, margin = one.found, rules.errors.margin * one.found.level
    if not found.users:
        return _unjudged(one)
    low, high = found.low(chances.promoted), found.high(chances.refused)
    nothing_to_lose = not found.level  # a champion that is right for nobody cannot be worse
    passed = low >= -margin or ((chances.last or nothing_to_lose) and found.mean >= 0)
    return RuleResult(
        name=f"{one.name}_difference",
        value=_value(found.mean),
        limit=f"for sure >= {-margin:.4f}" + (", or >= 0" if chances.last else ""),
        passed=bool(passed),
        undecided=bool(not passed and math.isfinite(found.mean) and not high < 0),
        message=said.of(one.what, found, low, high),
    )


def _guard(one: Compared, rules: GateRules, chances: Chances, said: _Said) -> RuleResult:
    """Broken if for sure worse by more than the margin."""
    share = rules.errors.slice_margin if one.is_slice else rules.errors.margin
    found, margin = one.found, share * one.found.level
    least = rules.rules.minimum_slice_users if one.is_slice else 1
    if found.users < least:
        return _unjudged(one, f"{found.users} {said.unit}, fewer than {least}" if least > 1 else "")
    low, high = found.low(chances.refused), found.high(chances.refused)
    return RuleResult(
        name=f"{one.name}_difference",
        value=_value(found.mean),
        limit=f"not for sure < {-margin:.4f}",
        passed=bool(math.isfinite(found.mean) and not high < -margin),
        message=said.of(one.what, found, low, high),
    )


def _unjudged(one: Compared, why: str = "") -> RuleResult:
    why = why or f"no held-out event says anything of {one.what}"
    name = f"{one.name}_difference"
    return RuleResult(name=name, value=None, limit="", passed=True, message=f"not judged: {why}")


def _enough(users: int, least: int, judge: Judge) -> RuleResult:
    result = _at_least(USERS, users, least, f"held-out {judge.held_out}, of all windows that judge")
    return result.model_copy(update={"undecided": not result.passed})


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
    passed = bool(math.isfinite(value) and value >= limit)
    return RuleResult(
        name=name, value=_value(value), limit=f">= {limit:g}", passed=passed, message=message
    )


def _value(value: float) -> float | str:
    return round(value, 6) if math.isfinite(value) else str(value)


def _number(value: float | str | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
