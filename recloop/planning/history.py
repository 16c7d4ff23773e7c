"""From the ledger to what a policy learns from: signals of a window, outcomes of earlier updates.

Keep out: what follows from them (`adaptive.py`), the arithmetic (`signals.py`, `outcomes.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from models.data.events import Events
from models.learning.recipes import INCREMENT, Recipe
from recloop.calendar import Window, WindowCalendar, whole
from recloop.config.dataset import load_dataset
from recloop.config.learnable import Meaning
from recloop.config.rules import UpdateRules
from recloop.contracts import Gap, GateReport, Release, ShadowReport, TrainingSet, UpdatePlan
from recloop.database.connection import transaction
from recloop.evaluation.challenge import evaluate_prequentially, judge_of
from recloop.evaluation.gate import USERS
from recloop.evaluation.serving_rule import refused_for_serving
from recloop.features.examples import read_examples
from recloop.features.skew import serving_skew
from recloop.planning.decisions import effort_of
from recloop.planning.outcomes import Outcome
from recloop.planning.signals import Observed, Signals, measure_signals
from recloop.settings import Settings

RECENT = timedelta(days=28)
Scores = dict[str, float | str | None]
NORMAL_95 = 1.959964


def measured(
    settings: Settings,
    champion: Release,
    base: Release,
    target: TrainingSet,
    before: Sequence[TrainingSet],
    window: Window,
    meaning: Meaning,
    rules: UpdateRules,
) -> tuple[Signals, Scores]:
    """The signals of a window, and what it was scored with (`challenge.evaluate_prequentially`); where
    answers were served, how their features compare with the window's (`features.skew`).

    Args:
        base: the release from scratch that the champion's lineage began with.
        before: training sets of the windows of the 28 days before, oldest first.
    """
    scores, known_items = evaluate_prequentially(
        settings, champion, base, target, window, meaning, rules
    )
    judge = judge_of(settings)
    signs = {one.name: one.sign for one in judge.measures}
    quality = [(scores.get(f"champion_{name}"), signs[name]) for name in judge.quality]
    everything, new = (
        sign * float(value) if isinstance(value, int | float) else None for value, sign in quality
    )
    examples = read_examples([target])
    with transaction(settings.database_url) as cursor:
        ids = load_dataset(settings).ids
        scores |= serving_skew(cursor, examples, window, meaning, ids).to_json()
    earlier = [_observed(read_examples([training_set])) for training_set in before]
    return measure_signals(_observed(examples), earlier, known_items, (everything, new)), scores


def recent_keys(ready: Sequence[str], window: Window, calendar: WindowCalendar) -> list[str]:
    """Of these keys, the windows that start in the 28 days before a window; late parts are left out."""
    return [
        key
        for key in ready
        if key == whole(key) and window.start - RECENT <= calendar.parse(key).start < window.start
    ]


def usual_events(counts: Sequence[int], days: float) -> float:
    """Events of 28 days, from windows that span so many."""
    return sum(counts) * max(RECENT.days / days, 1.0) if counts and days > 0 else 0.0


def outcomes_of(
    rows: Sequence[dict[str, Any]], usual: float, quality: tuple[str, str], base: Recipe = INCREMENT
) -> tuple[Outcome, ...]:
    """What became of the updates that say something of the policy's next one, oldest first: those that
    were promoted, and those that the gate refused or deferred.

    What a person asked for and was refused says nothing of it, if it was a rebuild or had a recipe of
    its own; nor does what passed the gate and was rejected by a person, or what was refused because
    servers answered with other features.

    Args:
        rows: of `ledger.updates.all_updates`.
        usual: events of a usual 28 days.
        quality: names of the differences that say what was gained (`Judge.quality`).
        base: the family's default recipe of an increment.
    """
    found = []
    for row in rows:
        if row["state"] not in ("promoted", "rejected", "deferred") or row["candidate"] is None:
            continue
        plan = UpdatePlan.model_validate(row["plan"])
        if plan.decision not in ("increment", "rebuild"):
            continue
        report = row["gate_report"] and GateReport.model_validate(row["gate_report"])
        promoted = row["state"] == "promoted"
        persons = plan.decided_by == "person" and plan.decision == "rebuild"
        persons = persons or effort_of(plan.strategy.recipe, base) == "custom"
        silent = not report or report.passed or refused_for_serving(report.rules)
        if not promoted and (persons or silent):
            continue
        signals = Signals.of_json(plan.signals)
        gains, noise = _gains(report.differences if report else (), signals, quality)
        events = int(row["candidate"]["examples"])
        found.append(
            Outcome(
                target=plan.target,
                decision=plan.decision,
                effort=effort_of(plan.strategy.recipe, base),
                events=events,
                share=events / max(usual, 1.0),
                gains=gains,
                noise=noise,
                cost=float(row["cost_cpu_s"] or 0.0),
                promoted=promoted,
                signals=signals,
                rank=plan.strategy.rank or plan.decision == "rebuild",
                judged=row["state"] != "deferred" and not _lacked_users(report),
            )
        )
    return tuple(found)


def _lacked_users(report: GateReport | None) -> bool:
    """Whether a report of before updates were deferred refused for too few users."""
    return report is not None and any(r.name == USERS and not r.passed for r in report.rules)


def spent(rows: Sequence[dict[str, Any]], window: Window, calendar: WindowCalendar) -> float:
    """CPU seconds of training of the updates whose target starts in the 28 days before a window's
    end."""
    return sum(
        float(row["cost_cpu_s"] or 0.0)
        for row in rows
        if window.end - RECENT <= calendar.parse(row["target"]).start < window.end
    )


def gap_of(
    shadows: Sequence[ShadowReport], base: Release, quality: tuple[str, str]
) -> float | None:
    """By how much, relatively, the latest shadow rebuild in a lineage ranked better for sure: the
    larger lower end of the two qualities' intervals, over the champion's level. None: there is none.

    Args:
        shadows: of `ledger.verdicts.all_shadows`.
        base: the release from scratch that the lineage began with.
    """
    since = [s for s in shadows if s.window > max(map(whole, base.windows), default="")]
    if not since:
        return None
    latest = since[-1]
    found = [
        gap.low / latest.champion[gap.name]
        for gap in latest.gaps
        if gap.name in quality and gap.low is not None and latest.champion.get(gap.name)
    ]
    return max(found, default=None)


def _gains(
    differences: Sequence[Gap], signals: Signals, names: tuple[str, str]
) -> tuple[tuple[float | None, ...], tuple[float, ...]]:
    """Relative gains in quality by slice of `outcomes.SLICES`, and their standard errors."""
    found: list[tuple[float | None, float]] = []
    measured = {gap.name: gap for gap in differences}
    levels = (signals.quality_all, signals.quality_new)
    for name, quality in zip(names, levels, strict=True):
        gap = measured.get(name)
        if gap is None or gap.mean is None or not quality:
            found.append((None, 1.0))
            continue
        error = gap.error
        if error is None and gap.low is not None and gap.high is not None:  # an older report
            error = (gap.high - gap.low) / (2 * NORMAL_95)
        if error is None:  # one user says nothing of others
            found.append((None, 1.0))
            continue
        found.append((gap.mean / abs(quality), error / abs(quality)))
    return tuple(gain for gain, _ in found), tuple(error for _, error in found)


def _observed(examples: Events) -> Observed:
    return Observed(examples.user_keys[examples.query], examples.item_keys, examples.statistics)
