"""The gate: a challenger is promoted only if every rule of `config/gate.toml` holds.

Pure: measurements in, verdict out. A rule that has too little to judge by passes and says so, but
too few held-out users altogether is itself a refusal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recloop.config.rules import GateRules
from recloop.contracts import Gap, RuleResult, UpdatePlan
from recloop.evaluation.scoring import Difference, Scores, paired_difference
from recloop.features.heldout import HeldOut

SOUNDNESS, USERS = "largest_weight", "users"


@dataclass(frozen=True)
class Differences:
    """Challenger minus opponent, with paired intervals: pairs never seen before, all pairs, and the
    slices of new users and of new items."""

    recall: Difference
    ndcg: Difference
    everything: Difference
    new_users: Difference
    new_items: Difference

    def reported(self) -> tuple[Gap, ...]:
        """Those that a report shows, by name."""
        return tuple(
            found.to_gap(name)
            for name, found in (
                ("recall@20", self.recall),
                ("ndcg@20", self.ndcg),
                ("all_pairs_ndcg@20", self.everything),
            )
        )


def measure(
    heldout: HeldOut, challenger: Scores, champion: Scores, rules: GateRules, seed: int
) -> Differences:
    """What the gate judges by, on the same held-out users."""

    def difference(ours: np.ndarray, theirs: np.ndarray) -> Difference:
        return paired_difference(
            ours, theirs, rules.bootstrap.samples, rules.bootstrap.confidence, seed
        )

    return Differences(
        recall=difference(challenger.recall_new, champion.recall_new),
        ndcg=difference(challenger.ndcg_new, champion.ndcg_new),
        everything=difference(challenger.ndcg, champion.ndcg),
        new_users=difference(
            np.where(heldout.new_users, challenger.recall_new, np.nan), champion.recall_new
        ),
        new_items=difference(challenger.recall_new_items, champion.recall_new_items),
    )


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


def judge(
    heldout: HeldOut,
    challenger: Scores,
    champion: Scores,
    soundness: Soundness,
    rules: GateRules,
    seed: int,
    opponent: str = "champion",
    measured: Differences | None = None,
) -> tuple[RuleResult, ...]:
    """Every rule's value, limit and verdict.

    Args:
        champion: scores of what the challenger must match, on the same held-out events.
        opponent: its name in messages (`champion`, or `popularity` for the first release).
        measured: what `measure` returned, if it was called already.
    """
    limits = rules.rules
    found = measured or measure(heldout, challenger, champion, rules, seed)
    return (
        _finite(soundness.largest_weight, limits.largest_weight),
        _at_least(
            USERS,
            found.recall.users,
            limits.minimum_users,
            "held-out users with new pairs; take a longer window or a larger [holdout] share",
        ),
        _at_least(
            "catalogue_share",
            soundness.catalogue / max(1, soundness.champion_catalogue),
            limits.catalogue_share,
            f"of the {opponent}'s {soundness.champion_catalogue:,} candidates can be scored",
        ),
        _at_least(
            "coverage_ratio",
            challenger.shown / max(1, champion.shown) if opponent == "champion" else 1.0,
            limits.coverage_ratio,
            f"coverage@20: {challenger.shown:,} distinct items shown, {opponent} {champion.shown:,}",
        ),
        *(
            rule
            for name, what, measured, limit in (
                ("recall@20", "recall@20 on new pairs", found.recall, limits.recall_difference),
                ("ndcg@20", "NDCG@20 on new pairs", found.ndcg, limits.ndcg_difference),
                (
                    "all_pairs_ndcg@20",
                    "NDCG@20 on all pairs",
                    found.everything,
                    limits.all_pairs_ndcg_difference,
                ),
            )
            for rule in _not_worse(name, what, measured, limit, rules, opponent)
        ),
        _slice(
            "new_users_recall@20_difference", found.new_users, limits.new_users_difference, rules
        ),
        _slice(
            "new_items_recall@20_difference", found.new_items, limits.new_items_difference, rules
        ),
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
    name: str, what: str, difference: Difference, limit: float, rules: GateRules, opponent: str
) -> tuple[RuleResult, RuleResult]:
    """Neither worse by more than the limit, nor worse beyond doubt (interval wholly below)."""
    message = (
        f"{what}, challenger minus {opponent}: {difference.mean:+.4f} "
        f"[{difference.low:+.4f}, {difference.high:+.4f}], {difference.users} users"
        if difference.users
        else f"{what}: no held-out user has any, so there is nothing to compare"
    )
    return (
        _at_least(f"{name}_difference", difference.mean, limit, message),
        _at_least(f"{name}_difference_high", difference.high, rules.rules.difference_high, message),
    )


def _slice(name: str, difference: Difference, limit: float, rules: GateRules) -> RuleResult:
    least = rules.rules.minimum_slice_users
    if difference.users < least:
        return RuleResult(
            name=name,
            value=round(difference.mean, 6) if difference.users else None,
            limit=f">= {limit:g}",
            passed=True,
            message=f"not judged: {difference.users} users, fewer than {least}",
        )
    return _at_least(name, difference.mean, limit, f"{difference.users} users in the slice")


def _number(value: float | str | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


# When a person is asked before a promotion although nobody asked to be: `[approval]` of
# `config/gate.toml`. Pure: a plan and measurements in, one sentence out.


def why_ask(plan: UpdatePlan, measured: Differences, rules: GateRules) -> str:
    """Why a person should look at a challenger that has passed against a champion; empty: no need."""
    if plan.decision == "rebuild" and rules.approval.rebuild:
        return "a rebuild would replace the champion, and [approval] rebuild asks for a person"
    zone = rules.approval.grey_zone
    limits = rules.rules
    for name, found, limit in (
        ("recall@20 on new pairs", measured.recall, limits.recall_difference),
        ("NDCG@20 on new pairs", measured.ndcg, limits.ndcg_difference),
        ("NDCG@20 on all pairs", measured.everything, limits.all_pairs_ndcg_difference),
    ):
        if found.users and found.mean < limit + zone:
            return (
                f"{name} differs by {found.mean:+.4f}, within {zone:g} of the gate's limit "
                f"{limit:+g}: [approval] grey_zone asks for a person"
            )
    return ""
