"""From the ledger to a plan: gather the situation, measure the signals, ask the policy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from recloop.behavior.dataset import load_dataset
from recloop.contracts import Release, UpdatePlan
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.features.meaning import meaning_of
from recloop.ledger import parts, releases, updates, windows
from recloop.ledger.shadows import all_shadows
from recloop.ledger.signals import note_signals, signals_before
from recloop.rules import load_gate_rules, load_update_rules
from recloop.settings import Settings
from recloop.silos.joining import check_accepted
from recloop.update.history import gap_of, measured, outcomes_of, recent_keys, spent, usual_events
from recloop.update.loss_change import loss_change
from recloop.update.policies import POLICIES, Situation
from recloop.update.policy import REQUESTS, decide_update
from recloop.update.rematch import judged_fairly, last_lesson
from recloop.update.signals import LONGEST_HISTORY, Signals
from recloop.update.strategy import strategy_of
from recloop.update.targets import NoPlan, doubts, next_target, why_not_late
from recloop.windows import whole


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
    strategy = strategy_of(tables | {k: v for k, v in options.items() if v not in (None, "")})
    if strategy.silos and requested != "increment":
        raise BadInput(
            f"`silos` are merged by plan `increment`, and by no other. Received: plan {requested!r}."
        )
    if requested not in REQUESTS:
        raise BadInput(f"plan {requested!r} is not known; choose one of {', '.join(REQUESTS)}.")
    spec = load_dataset(settings)
    rules, limits = load_update_rules(settings), load_gate_rules(settings).rules
    policy = rules.policy
    if name is not None:
        if name not in POLICIES:
            raise BadInput(f"policy {name!r} is not known; choose one of {', '.join(POLICIES)}.")
        policy = policy.model_copy(update={"name": name})
    target = spec.calendar.parse(window).key if window else None
    with transaction(settings.database_url) as cursor:
        pending = releases.pending(cursor)
        champion = releases.champion(cursor)
        check_accepted(cursor, settings, strategy.silos, champion)
        ready = parts.ready(cursor)
        sets = {key: parts.training_set_of(cursor, key) for key in ready}
        doubt = doubts(pending, sets, rules.holdout.share, limits.minimum_users)
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
        gap = gap_of(all_shadows(cursor), base) if base else None
        earlier = tuple(map(Signals.of_json, signals_before(cursor, target, LONGEST_HISTORY)))
    window_of = spec.calendar.parse
    near = recent_keys(ready, window_of(target), spec.calendar)
    days = (window_of(target).start - window_of(near[0]).start).days if near else 0
    usual = usual_events([sets[key].interactions for key in near], days)
    situation = Situation(
        target=target,
        pending=tuple((key, sets[key].interactions) for key in pending if whole(key) <= target),
        available=tuple(key for key in ready if whole(key) <= max(target, newest_known)),
        champion=champion.version if champion else None,
        lineage_windows=_whole(champion) - _whole(base) if champion and base else 0,
        outcomes=outcomes_of(concluded, usual),
        usual_events=usual,
        spent=spent(concluded, window_of(target), spec.calendar),
        gap=gap,
        earlier=earlier,
    )
    if champion and base and target in pending:
        signals, scores = measured(
            settings,
            champion,
            base,
            sets[target],
            [sets[key] for key in near],
            window_of(target),
            meaning_of(settings),
            rules,
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


def _whole(release: Release) -> int:
    """How many windows a release has learnt from, late parts not counted."""
    return sum(key == whole(key) for key in release.windows)


def _why_not(
    cursor: Any, target: str, requested: str, pending: list[str], ready: list[str]
) -> NoPlan | None:
    """Why a window that was named cannot be a target, if so."""
    if target not in map(whole, ready):
        state = windows.state_of(cursor, target)
        if state == "refused":
            report = windows.validation_of(cursor, target)
            broken = [r.message for r in report.rules if not r.passed] if report else []
            return NoPlan(
                "refused", f"window {target} was refused by validation: {'; '.join(broken)}"
            )
        return NoPlan(
            "not ready",
            f"window {target} is not ready (its state is {state or 'unknown'}) or has no events; "
            f"run `recloop ingest --window {target}` first",
        )
    if requested != "rebuild" and target not in map(whole, pending):
        champion = releases.champion(cursor)
        version = champion.version if champion else None
        return NoPlan(
            "nothing to do",
            f"window {target} is already trained in the lineage of release {version}",
        )
    return None
