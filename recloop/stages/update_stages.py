"""The stages of an update: what DAG tasks and the command line call, plain JSON in and out.

    plan → train → evaluate → promote

Each stage reads its settings from the environment, records what it did in the ledger, and can be
repeated: a retry, a doubled trigger or a backfill of what is done is a no-op that says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from recloop.config.rules import load_gate_rules, load_update_rules
from recloop.database.connection import asked, first, transaction
from recloop.errors import (
    BadInput,
    ChampionPinned,
    LedgerConflict,
    PlanOutdated,
    UpdateInProgress,
)
from recloop.ledger import parts, pins, releases, updates
from recloop.settings import Settings
from recloop.stages import bookkeeping
from recloop.stages.bookkeeping import HERE, Json, Progress, both, current_settings, leased

log = logging.getLogger("recloop")
ATTEMPTS = 3
"""How often a stage begins again when what it works from changes meanwhile."""


def plan(
    window: str | None,
    requested: str = "auto",
    holder: str = HERE,
    approval: bool = False,
    dry_run: bool = False,
    options: Json | None = None,
    settings: Settings | None = None,
) -> Json:
    """Decide what the model needs and open an update for it.

    Args:
        window: the newest window to cover; None: the oldest that waits for a decision, so that order
            comes from the ledger, not from events.
        requested: `auto`, `skip`, `increment` or `rebuild`.
        holder: the run's id; the same run asking again gets the same update.

    Raises:
        BadInput: an argument cannot be used; no line can be in `window`.

    Returns:
        The plan, with `update_id`: None when there is nothing to train (already trained, skipped, a
        dry run, another run is at it), and `decision` `none` when nothing was decided; `because` then
        says of what kind the reason is (`targets.Because`).
    """
    from recloop.planning.planning import make_plan
    from recloop.planning.targets import NoPlan

    settings = settings or current_settings()
    began = time.monotonic()
    if window:
        bookkeeping.named_window(settings, window)
    catch_up(settings)
    for _ in range(ATTEMPTS):
        made = make_plan(settings, window, requested, options or {})
        if isinstance(made, NoPlan):
            log.info("nothing was decided: %s", made.reason)
            return bookkeeping.nothing(made.reason, approval, made.because)
        made = made.model_copy(update={"approval": approval, "dry_run": dry_run})
        answer = made.to_json() | {"update_id": None}
        log.info("%s for window %s: %s", made.decision, made.target, made.reason)
        if dry_run:
            return answer
        try:
            with transaction(settings.database_url) as cursor:
                lease = updates.begin_update(cursor, made, holder)
                if made.decision == "skip":
                    updates.conclude(cursor, lease, "skipped", made.reason)
                updates.note_seconds(cursor, lease.update_id, "plan", time.monotonic() - began)
        except ChampionPinned as error:
            log.info("%s", error)
            return answer | {"decision": "none", "reason": str(error), "because": "pinned"}
        except (UpdateInProgress, PlanOutdated) as error:
            log.info("%s", error)
            answer |= {"decision": "none", "reason": str(error), "because": "busy"}
            if isinstance(error, UpdateInProgress):
                return answer
        else:
            return answer | {"update_id": None if made.decision == "skip" else lease.update_id}
    return answer


def train(
    update_id: int, holder: str = HERE, settings: Settings | None = None, progress: Progress = None
) -> Json:
    """Train the challenger of an update (Candidate). A retry takes the lease over and starts afresh.

    The shards of a plan that has several are trained here one after the other.
    """
    from recloop.stages import shard_stages
    from recloop.training.candidate import maintain_champion, train_candidate
    from recloop.training.material import read_assignment

    settings = settings or current_settings()
    made = asked(settings.database_url, updates.plan_of, update_id)
    if shard_stages.is_sharded(made.to_json()):
        return shard_stages.train(update_id, holder, settings, progress)
    rules = load_update_rules(settings)
    with leased(settings, update_id, holder, "train") as (lease, check):
        with transaction(settings.database_url) as cursor:
            updates.note_training(cursor, lease)
            work = read_assignment(cursor, update_id)
        if work.plan.decision == "maintain":
            assert work.champion is not None
            candidate = maintain_champion(
                settings, lease, work.plan, work.target, work.champion, rules
            )
        else:
            candidate = train_candidate(settings, lease, work, rules, both(check, progress))
        asked(settings.database_url, updates.note_candidate, lease, candidate)
    log.info(
        "trained on %s examples in %.1f CPU s", f"{candidate.examples:,}", candidate.cpu_seconds
    )
    return candidate.to_json()


def evaluate(update_id: int, holder: str = HERE, settings: Settings | None = None) -> Json:
    """Hold the challenger against the champion and judge it by the gate's rules (GateReport).

    A refused challenger ends the update as `rejected`, one of which too little is known as `deferred`;
    its windows stay pending.
    """
    from recloop.config.learnable import meaning_of
    from recloop.evaluation.challenge import Opponent, challenge
    from recloop.evaluation.gate_page import write_gate_report
    from recloop.planning.targets import opponent_of

    settings = settings or current_settings()
    known = asked(settings.database_url, updates.gate_report_of, update_id)
    if known is not None and not known.passed:
        return known.to_json()
    with leased(settings, update_id, holder, "evaluate") as (lease, _):
        with transaction(settings.database_url) as cursor:
            made = updates.plan_of(cursor, update_id)
            candidate = updates.candidate_of(cursor, update_id)
            target = parts.target_sets(cursor, made)
            uri = opponent_of(cursor, made)
            opponent = Opponent(uri, updates.deferred_before(cursor, update_id))
        report, reason = challenge(
            settings,
            made,
            candidate,
            opponent,
            target,
            bookkeeping.calendar(settings).parse(
                parts.whole(made.judged_on[0]) if made.judged_on else made.target
            ),
            meaning_of(settings),
            load_update_rules(settings),
            load_gate_rules(settings),
        )
        report = write_gate_report(settings, made, candidate, report, reason)
        with transaction(settings.database_url) as cursor:
            updates.note_gate_report(cursor, lease, report, f"{made.reason}; {reason}")
            if report.passed and (made.approval or report.ask):
                updates.renew(cursor, lease, updates.APPROVAL_SECONDS)
    log.info("gate for window %s: %s", made.target, reason)
    return report.to_json()


def promote(
    update_id: int, holder: str = HERE, settings: Settings | None = None, progress: Progress = None
) -> Json:
    """Make the challenger the champion (Release)."""
    from recloop.release import promotion

    settings = settings or current_settings()
    rules = load_update_rules(settings)
    with transaction(settings.database_url) as cursor:
        done = releases.release_of_update(cursor, update_id)
        report = updates.gate_report_of(cursor, update_id)
    if done is not None:  # a crash came between the promotion and its publication
        promotion.publish(settings)
        return done.to_json()
    if report is None or not report.passed:
        raise LedgerConflict(
            f"update {update_id} has not passed the gate; only an evaluated challenger is promoted."
        )
    with leased(settings, update_id, holder, "promote") as (lease, check):
        with transaction(settings.database_url) as cursor:
            pins.refuse_pinned(cursor)  # before the work; the ledger asks again when it promotes
            made = updates.plan_of(cursor, update_id)
            candidate = updates.candidate_of(cursor, update_id)
            target = parts.target_sets(cursor, made)
        release = promotion.promote(
            settings,
            lease,
            made,
            candidate,
            report,
            target,
            rules.holdout.top_up and made.decision != "maintain",
            both(check, progress),
        )
    log.info("release %s is champion", release.version)
    return release.to_json()


def catch_up(settings: Settings, progress: Callable[[int, int], None] = lambda *_: None) -> int:
    """Build the training sets that ingestion left to this recommender; returns of how many windows."""
    from recloop.features import featuring

    return featuring.catch_up(settings, progress)


def undecided(settings: Settings | None = None) -> list[str]:
    """Windows that wait for a decision, or for a training set to decide on, oldest first."""
    url = (settings or current_settings()).database_url
    return sorted({*asked(url, releases.undecided), *asked(url, parts.unprepared)})


def abandoned(settings: Settings | None = None) -> list[str]:
    """Windows whose update lost its holder, a `recloop update` that was killed; cheap as `arrivals`."""
    return asked((settings or current_settings()).database_url, updates.abandoned)


def roll_back(version: int | None, reason: str, settings: Settings | None = None) -> Json:
    """Make an earlier release champion again (Release); None: the one before."""
    from recloop.release import promotion

    if not reason.strip():
        raise BadInput("a rollback needs a reason; the ledger and the next reader will ask.")
    return promotion.roll_back(settings or current_settings(), version, reason).to_json()


def pin(by: str, reason: str, settings: Settings | None = None) -> int:
    """Keep the champion as it is until `unpin`; returns its version."""
    return asked((settings or current_settings()).database_url, pins.pin, by, reason)


def unpin(by: str, reason: str, settings: Settings | None = None) -> None:
    """Let challengers be promoted again. What has waited is learnt by the next update."""
    asked((settings or current_settings()).database_url, pins.unpin, by, reason)


def publish(version: int | None = None, settings: Settings | None = None) -> Json:
    """Make what is served agree with the ledger; writes a damaged export anew (Release, mended).

    Args:
        version: a release whose export to look at; None: the champion.
    """
    from recloop.release import promotion

    release, mended = promotion.publish(settings or current_settings(), version)
    return {**release.to_json(), "mended": mended}


def holder_of(update_id: int, settings: Settings) -> str:
    """Who works on an update, or waits for an answer to it; empty: nobody any more."""
    sql = "select holder from ledger.update where update_id = %s and state = 'evaluated'"
    return asked(settings.database_url, first, sql, (update_id,)) or ""


def gate_report_uri(update_id: int, settings: Settings | None = None) -> str:
    """Path of an update's gate report (HTML); empty when it was not judged."""
    url = (settings or current_settings()).database_url
    report = asked(url, updates.gate_report_of, update_id)
    return report.uri if report else ""
