"""The stages of upkeep: what is done now and then, beside the flow of `update_stages.py`.

    maintain_models   plan_maintenance → (train → evaluate → promote) → thin → refresh_docs
    shadow_rebuild    plan_shadow → shadow
    periodic_update   plan_due → (train → evaluate → promote)

Like those of the flow: plain JSON in and out, the ledger remembers, each can be repeated.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from recloop.calendar import counted
from recloop.config.rules import load_update_rules
from recloop.database.connection import asked
from recloop.errors import BadInput, ChampionPinned, PlanOutdated, UpdateInProgress
from recloop.ledger import forgetting, releases, updates, verdicts
from recloop.settings import Settings
from recloop.stages import update_stages
from recloop.stages.bookkeeping import HERE, Json, Progress, current_settings, nothing

log = logging.getLogger("recloop")
PERIODIC = "every-window"
"""The policy of a periodic update: the clock has decided when, so whatever waits is learnt."""


def plan_due(
    holder: str = HERE,
    approval: bool = False,
    dry_run: bool = False,
    options: Json | None = None,
    settings: Settings | None = None,
) -> Json:
    """One plan for everything that waits, whatever the settings' policy (see `stages.plan`).

    Windows that a gate or a person refused, or that a rollback made pending again, are learnt with the
    next new one, never by themselves: a schedule must not ask the same question for ever.
    """
    settings = settings or current_settings()
    update_stages.catch_up(settings)
    waiting = asked(settings.database_url, releases.windows_due)
    if not waiting:
        return nothing("no window has come since the last decision", approval)
    policy = (options or {}).get("policy") or PERIODIC
    options = {**(options or {}), "policy": policy}
    return update_stages.plan(waiting[-1], "auto", holder, approval, dry_run, options, settings)


def plan_maintenance(
    kind: str | None,
    expire_after_days: int | None = None,
    holder: str = HERE,
    approval: bool = False,
    dry_run: bool = False,
    reason: str | None = None,
    settings: Settings | None = None,
) -> Json:
    """Open an update that makes the champion smaller; answers as `stages.plan` does."""
    from recloop.planning.planning import maintenance_plan

    settings = settings or current_settings()
    made, why = maintenance_plan(settings, kind, expire_after_days, (reason or "").strip())
    if made is None:
        log.info("%s", why)
        return nothing(why, approval)
    made = made.model_copy(update={"approval": approval, "dry_run": dry_run})
    answer = made.to_json() | {"update_id": None}
    if dry_run:
        return answer
    try:
        lease = asked(settings.database_url, updates.begin_update, made, holder)
    except (UpdateInProgress, PlanOutdated, ChampionPinned) as error:
        log.info("%s", error)
        because = "pinned" if isinstance(error, ChampionPinned) else "busy"
        return answer | {"decision": "none", "reason": str(error), "because": because}
    return answer | {"update_id": lease.update_id}


def thin(
    keep: int | None = None, settings: Settings | None = None, as_of: datetime | None = None
) -> Json:
    """Delete files and model versions that neither the champion, nor a rollback to one of the `keep`
    latest releases, nor a live update needs, and answers of `recloop serve` that are old (Thinning).
    Killed half-way, it is repeated.

    Args:
        keep: None: as `keep_releases` in `config/update.toml` says.
        as_of: aware; answers are so old at this moment. None: now.
    """
    from recloop.release.thinning import thin as thin_out

    settings = settings or current_settings()
    rules = load_update_rules(settings).maintenance
    count = rules.keep_releases if keep is None else keep
    if count < 2:
        raise BadInput(f"`keep` should be at least 2, so that one can roll back. Received: {keep}.")
    done = thin_out(settings, count).to_json()
    if not rules.keep_impressions_days:
        return done
    before = (as_of or datetime.now(UTC)) - timedelta(days=rules.keep_impressions_days)
    return done | _forget_impressions(settings, before)


def _forget_impressions(settings: Settings, before: datetime) -> Json:
    """Delete answers from before this moment that nothing needs any more; the counts of `Thinning`."""
    from recloop.config.dataset import load_dataset

    spec, url = load_dataset(settings), settings.database_url
    place: forgetting.Place | None = forgetting.BEGINNING
    looked, gone, feedback = 0, 0, 0
    while place is not None:
        batch = asked(url, forgetting.forget, before, spec.source.late_days, spec.period.end, place)
        looked, gone, place = looked + batch.looked, gone + batch.impressions, batch.place
        feedback += batch.feedback
    while lone := asked(url, forgetting.forget_lone_feedback, before):
        feedback += lone
    log.info("%d impressions from before %s deleted, %d needed", gone, before, looked - gone)
    return {"impressions": gone, "impressions_needed": looked - gone, "feedback": feedback}


def refresh_docs(settings: Settings | None = None) -> str:
    """Write every window's page of Data Docs anew from the ledger; returns their folder."""
    from recloop.validation.judging import write_all_pages

    settings = settings or current_settings()
    count = write_all_pages(settings)
    log.info("%s pages of Data Docs written", count)
    return str(settings.data_docs)


def plan_shadow(window: str | None = None, settings: Settings | None = None) -> Json:
    """On which window a full retraining can be compared: `window` and `version`, or None and why not."""
    from recloop.evaluation.shadow import choose

    settings = settings or current_settings()
    chosen, why = choose(settings, window)
    if chosen is None:
        return {"window": None, "version": None, "reason": why}
    known = asked(settings.database_url, verdicts.shadow_of, chosen.window, chosen.version)
    found: Json = {"window": chosen.window, "version": chosen.version}
    if known is not None:
        return found | {"window": None, "reason": f"compared before: {known.summary}"}
    history = counted(len(chosen.windows))
    return found | {"reason": f"retrain on {history}, compare with release {chosen.version}"}


def shadow(window: str, settings: Settings | None = None, progress: Progress = None) -> Json:
    """Train from scratch on what was known before `window`, compare, record (ShadowReport)."""
    from recloop.evaluation.gate_page import write_shadow_page
    from recloop.evaluation.shadow import choose, compare

    settings = settings or current_settings()
    chosen, why = choose(settings, window)
    if chosen is None:
        raise BadInput(f"{why}; leave the window empty to have one chosen.")
    known = asked(settings.database_url, verdicts.shadow_of, chosen.window, chosen.version)
    if known is not None:
        return known.to_json()
    compared = compare(settings, chosen, progress or (lambda _: None))
    report = write_shadow_page(settings, compared)
    asked(settings.database_url, verdicts.note_shadow, report)
    log.info("%s", report.summary)
    return report.to_json()


def shadow_report_uri(window: str, settings: Settings | None = None) -> str:
    """Path of the page of a window's latest comparison; empty when there is none."""
    report = asked((settings or current_settings()).database_url, verdicts.shadow_of, window)
    return report.uri if report else ""
