"""The stages of upkeep: what is done now and then, beside the flow of `update_stages.py`.

    maintain_models   plan_maintenance → (train → evaluate → promote) → thin → refresh_docs
    shadow_rebuild    plan_shadow → shadow
    periodic_update   plan_due → (train → evaluate → promote)

Like those of the flow: plain JSON in and out, the ledger remembers, each can be repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from recloop.config.rules import load_update_rules
from recloop.database.connection import transaction
from recloop.errors import BadInput, PlanOutdated, UpdateInProgress
from recloop.ledger import releases, updates, verdicts
from recloop.settings import Settings
from recloop.stages import bookkeeping, update_stages

Json = dict[str, Any]
log = logging.getLogger("recloop")
PERIODIC = "every-window"
"""The policy of a periodic update: the clock has decided when, so whatever waits is learnt."""


def plan_due(
    holder: str = "command line",
    approval: bool = False,
    dry_run: bool = False,
    options: Json | None = None,
    settings: Settings | None = None,
) -> Json:
    """One plan for everything that waits, whatever the settings' policy (see `stages.plan`).

    Windows that a gate or a person refused, or that a rollback made pending again, are learnt with the
    next new one, never by themselves: a schedule must not ask the same question for ever.
    """
    settings = settings or bookkeeping.current_settings()
    with transaction(settings.database_url) as cursor:
        waiting = releases.windows_due(cursor)
    if not waiting:
        return nothing("no window has come since the last decision", approval)
    options = {**(options or {})}
    options["policy"] = options.get("policy") or PERIODIC
    return update_stages.plan(waiting[-1], "auto", holder, approval, dry_run, options, settings)


def plan_maintenance(
    kind: str | None,
    expire_after_days: int | None = None,
    holder: str = "command line",
    approval: bool = False,
    dry_run: bool = False,
    reason: str | None = None,
    settings: Settings | None = None,
) -> Json:
    """Open an update that makes the champion smaller; answers as `stages.plan` does."""
    from recloop.planning.planning import maintenance_plan

    settings = settings or bookkeeping.current_settings()
    made, why = maintenance_plan(settings, kind, expire_after_days, (reason or "").strip())
    if made is None:
        log.info("%s", why)
        return nothing(why, approval)
    made = made.model_copy(update={"approval": approval, "dry_run": dry_run})
    answer = made.to_json() | {"update_id": None}
    if dry_run:
        return answer
    try:
        with transaction(settings.database_url) as cursor:
            lease = updates.begin_update(cursor, made, holder)
    except (UpdateInProgress, PlanOutdated) as error:
        log.info("%s", error)
        return answer | {"decision": "none", "reason": str(error), "because": "busy"}
    return answer | {"update_id": lease.update_id}


def nothing(reason: str, approval: bool = False) -> Json:
    """The answer of a plan that has nothing to do."""
    none = {"update_id": None, "decision": "none", "reason": reason, "approval": approval}
    return none | {"because": "nothing to do"}


def thin(keep: int | None = None, settings: Settings | None = None) -> Json:
    """Delete files and model versions that neither the champion, nor a rollback to one of the `keep`
    latest releases, nor a live update needs (Thinning). Killed half-way, it is repeated.

    Args:
        keep: None: as `keep_releases` in `config/update.toml` says.
    """
    from recloop.release.thinning import thin as thin_out

    settings = settings or bookkeeping.current_settings()
    count = load_update_rules(settings).maintenance.keep_releases if keep is None else keep
    if count < 2:
        raise BadInput(f"`keep` should be at least 2, so that one can roll back. Received: {keep}.")
    return thin_out(settings, count).to_json()


def refresh_docs(settings: Settings | None = None) -> str:
    """Write every window's page of Data Docs anew from the ledger; returns their folder."""
    from recloop.validation.judging import write_all_pages

    settings = settings or bookkeeping.current_settings()
    count = write_all_pages(settings)
    log.info("%s pages of Data Docs written", count)
    return str(settings.data_docs)


def plan_shadow(window: str | None = None, settings: Settings | None = None) -> Json:
    """On which window a full retraining can be compared: `window` and `version`, or None and why not."""
    from recloop.evaluation.shadow import choose

    settings = settings or bookkeeping.current_settings()
    chosen, why = choose(settings, window)
    if chosen is None:
        return {"window": None, "version": None, "reason": why}
    with transaction(settings.database_url) as cursor:
        known = verdicts.shadow_of(cursor, chosen.window, chosen.version)
    found: Json = {"window": chosen.window, "version": chosen.version}
    if known is not None:
        return found | {"window": None, "reason": f"compared before: {known.summary}"}
    count = len(chosen.windows)
    return found | {"reason": f"retrain on {count} windows, compare with release {chosen.version}"}


def shadow(
    window: str, settings: Settings | None = None, progress: Callable[[Any], None] | None = None
) -> Json:
    """Train from scratch on what was known before `window`, compare, record (ShadowReport)."""
    from recloop.evaluation.gate_page import write_shadow_page
    from recloop.evaluation.shadow import choose, compare

    settings = settings or bookkeeping.current_settings()
    chosen, why = choose(settings, window)
    if chosen is None:
        raise BadInput(f"{why}; leave the window empty to have one chosen.")
    with transaction(settings.database_url) as cursor:
        known = verdicts.shadow_of(cursor, chosen.window, chosen.version)
    if known is not None:
        return known.to_json()
    report = compare(settings, chosen, progress or (lambda _: None))
    report = write_shadow_page(settings, report)
    with transaction(settings.database_url) as cursor:
        verdicts.note_shadow(cursor, report)
    log.info("%s", report.summary)
    return report.to_json()


def shadow_report_uri(window: str, settings: Settings | None = None) -> str:
    """Path of the page of a window's latest comparison; empty when there is none."""
    settings = settings or bookkeeping.current_settings()
    with transaction(settings.database_url) as cursor:
        report = verdicts.shadow_of(cursor, window)
    return report.uri if report else ""
