"""From the ledger to a plan: gather the situation, measure the signals, ask the policy.

At the end, two plans' special cases: a person asked to make the champion smaller; an update takes the
catalogue over a bound at which its loss becomes another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from models.recommenders.family import Family
from recloop.behavior.source_files import refuse_another
from recloop.calendar import part_number, whole
from recloop.config.dataset import load_dataset
from recloop.config.learnable import meaning_of
from recloop.config.rules import load_gate_rules, load_update_rules
from recloop.config.strategy import strategy_of
from recloop.contracts import Release, TrainingSet, UpdatePlan
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.evaluation.challenge import judge_of
from recloop.ledger import parts, releases, updates, window_states
from recloop.ledger.verdicts import all_shadows
from recloop.ledger.window_states import note_signals, signals_before
from recloop.planning.decisions import Situation
from recloop.planning.history import gap_of, measured, outcomes_of, recent_keys, spent, usual_events
from recloop.planning.policy import POLICIES, REQUESTS, decide_update
from recloop.planning.signals import LONGEST_HISTORY, Signals
from recloop.planning.targets import (
    NoPlan,
    doubts,
    judged_fairly,
    last_lesson,
    next_target,
    why_not_late,
)
from recloop.settings import Settings
from recloop.silos.joining import check_accepted
from recloop.training.recommender import CHECKPOINT, family_of, family_of_release


def make_plan(
    settings: Settings, window: str | None, requested: str, options: dict[str, Any]
) -> UpdatePlan | NoPlan:
    """The plan for `window` (None: the oldest undecided), or why there is none.

    Args:
        options: those of `strategy.strategy_of`; `reason`, a person's note; `policy`, the name of one
            to ask instead of the one in `config/update.toml`.

    Raises:
        BadInput: the window is malformed, or an option is unknown.
    """
    options = dict(options)
    note = str(options.pop("reason", None) or "").strip()
    name = options.pop("policy", None) or None
    tables = options.pop("strategy", None) or {}
    if not isinstance(tables, dict):
        raise BadInput(f"`strategy` should be an object of a plan's tables. Received: {tables!r}.")
    family = family_of(settings)
    strategy = strategy_of(
        tables | {k: v for k, v in options.items() if v not in (None, "")}, family
    )
    if strategy.silos and requested != "increment":
        raise BadInput(
            f"`silos` are merged by plan `increment`, and by no other. Received: plan {requested!r}."
        )
    if requested not in REQUESTS:
        raise BadInput(f"plan {requested!r} is not known; choose one of {', '.join(REQUESTS)}.")
    spec = load_dataset(settings)
    rules, limits = load_update_rules(settings), load_gate_rules(settings).rules
    policy, judge = rules.policy, judge_of(settings)
    quality, whats = judge.quality, {one.name: one.what for one in judge.measures}
    if name is not None:
        if name not in POLICIES:
            raise BadInput(f"policy {name!r} is not known; choose one of {', '.join(POLICIES)}.")
        policy = policy.model_copy(update={"name": name})
    target = spec.calendar.parse(window).key if window else None
    with transaction(settings.database_url) as cursor:
        refuse_another(cursor, spec)
        pending = releases.pending(cursor)
        champion = releases.champion(cursor)
        _check_family(champion, family)
        check_accepted(cursor, settings, strategy.silos, champion)
        ready = parts.ready(cursor)
        sets = {key: parts.training_set_of(cursor, key) for key in ready}
        doubt = doubts(pending, sets, rules.holdout.share, limits.minimum_users, spec.calendar)
        if target is None:
            wanted = requested if champion else "rebuild"
            found = next_target(wanted, ready, releases.undecided(cursor), pending, doubt)
        else:
            found = (
                _why_not(cursor, target, requested, pending, ready)
                or why_not_late(requested, target, pending, doubt)
                or target
            )
        if isinstance(found, NoPlan):
            return found
        target = found
        newest_known = whole(max(champion.windows, default="")) if champion else ""
        base = releases.base_of(cursor, champion.version) if champion else None
        concluded = updates.all_updates(cursor)
        gap = gap_of(all_shadows(cursor), base, quality) if base else None
        earlier = tuple(map(Signals.of_json, signals_before(cursor, target, LONGEST_HISTORY)))
    asked = spec.calendar.parse(target)
    near = recent_keys(ready, asked, spec.calendar)
    days = (asked.start - spec.calendar.parse(near[0]).start) / timedelta(days=1) if near else 0.0
    usual = usual_events([sets[key].interactions for key in near], days)
    situation = Situation(
        target=target,
        pending=tuple((key, sets[key].interactions) for key in pending if whole(key) <= target),
        available=tuple(key for key in ready if whole(key) <= max(target, newest_known)),
        champion=champion.version if champion else None,
        lineage_windows=_whole(champion) - _whole(base) if champion and base else 0,
        outcomes=outcomes_of(concluded, usual, quality, family.increment),
        increment=family.increment,
        qualities=(whats[quality[0]], whats[quality[1]]),
        ranks=family.ranker is not None,
        usual_events=usual,
        spent=spent(concluded, asked, spec.calendar),
        gap=gap,
        earlier=earlier,
    )
    if champion and base and target in pending:
        before, meaning = [sets[key] for key in near], meaning_of(settings)
        signals, scores = measured(
            settings, champion, base, sets[target], before, asked, meaning, rules
        )
        with transaction(settings.database_url) as cursor:
            note_signals(cursor, target, signals.to_json())
        situation = replace(situation, signals=signals, scores=scores)
    plan = decide_update(situation, policy, requested, strategy)
    if plan.decision == "rebuild" and champion:
        with transaction(settings.database_url) as cursor:
            lesson = last_lesson(cursor, champion)
        fair = judged_fairly(plan, champion, lesson, pending, doubt)
        if isinstance(fair, NoPlan):
            return fair
        plan = fair
    if champion and plan.decision in ("increment", "rebuild"):
        learnt = [sets[key] for key in plan.windows]
        changed = loss_change(champion, learnt, plan.decision == "rebuild")
        plan = plan.model_copy(update={"reason": f"{plan.reason}; {changed}"}) if changed else plan
    return plan.model_copy(update={"reason": f"{plan.reason} ({note})"}) if note else plan


def _check_family(champion: Release | None, family: Family) -> None:
    """A lineage is of one family: another's champion cannot be compared, nor learnt on."""
    from models.errors import RestoreError

    try:
        reigning = family_of_release(champion) if champion else family
    except RestoreError:
        return  # whoever restores it says what is damaged
    if reigning.name != family.name:
        raise BadInput(
            f"the champion is of family {reigning.name}, the dataset file names {family.name}: a "
            "lineage is of one family. Give the other one a file of its own in config/recommenders/, or "
            "name the champion's."
        )


def _whole(release: Release) -> int:
    """How many windows a release has learnt from, late parts not counted."""
    return sum(key == whole(key) for key in release.windows)


def _why_not(
    cursor: Any, target: str, requested: str, pending: list[str], ready: list[str]
) -> NoPlan | None:
    """Why a window that was named cannot be a target, if so."""
    if target not in map(whole, ready):
        state = window_states.state_of(cursor, target)
        if state == "refused":
            report = window_states.validation_of(cursor, target)
            broken = [r.message for r in report.rules if not r.passed] if report else []
            reason = f"window {target} was refused by validation: {'; '.join(broken)}"
            return NoPlan("refused", reason)
        return NoPlan(
            "not ready",
            f"window {target} is not ready (its state is {state or 'unknown'}) or has no events; "
            f"run `recloop ingest --window {target}` first",
        )
    if requested != "rebuild" and target not in map(whole, pending):
        champion = releases.champion(cursor)
        version = champion.version if champion else None
        reason = f"window {target} is already trained in the lineage of release {version}"
        return NoPlan("nothing to do", reason)
    return None


def maintenance_plan(
    settings: Settings, kind: str | None, expire_after_days: int | None, note: str = ""
) -> tuple[UpdatePlan | None, str]:
    """The plan to maintain the champion, or None with the reason why there is none.

    Args:
        kind: of maintenance, one of `contracts.MAINTENANCE`; None: `none`.
        expire_after_days: users and items without an event for so long lose their rows; None: none do.

    Raises:
        BadInput: there is no such kind, or the days are not a positive whole number.
    """
    wishes = {"maintain": kind, "ids": {"expire_after_days": expire_after_days}}
    strategy = strategy_of(wishes, family_of(settings))
    days = strategy.ids.get("expire_after_days")
    wanted: list[str] = [] if strategy.maintain == "none" else [strategy.maintain]
    wanted += [f"expire ids unseen for {days} days"] if days else []
    if not wanted:
        return None, "no maintenance of the model was asked for"
    with transaction(settings.database_url) as cursor:
        champion = releases.champion(cursor)
    if champion is None:
        return None, "there is no champion to maintain yet"
    target = max(key for key in champion.windows if not part_number(key))
    reason = f"maintain release {champion.version}: {', '.join(wanted)}"
    return UpdatePlan(
        decision="maintain",
        target=target,
        windows=(),
        parent_release=champion.version,
        strategy=strategy,
        decided_by="person",
        reason=f"{reason} ({note})" if note else reason,
    ), ""


def loss_change(champion: Release, sets: Sequence[TrainingSet], anew: bool) -> str:
    """What a plan's reason says of an update that trains by another loss than the champion was;
    empty: the loss stays as it is.

    Args:
        sets: what the update learns from.
        anew: from scratch, so that the champion's other items are not known any more.
    """
    from models.errors import RestoreError

    try:
        model = family_of_release(champion).load()
        checkpoint, at_most = Path(champion.uri) / CHECKPOINT, sum(one.items for one in sets)
        return model.loss_change(checkpoint, at_most, lambda: _learnt(sets), anew)
    except RestoreError:
        return ""  # whoever restores it says what is damaged


def _learnt(sets: Sequence[TrainingSet]) -> np.ndarray:
    """int64, the items that have events in these training sets, ascending."""
    import pyarrow.parquet as pq

    paths = [Path(one.uri) / "interactions.parquet" for one in sets]
    found = [pq.read_table(path, columns=["item_key"])["item_key"].to_numpy() for path in paths]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
