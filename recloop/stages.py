"""The flow's stages: what DAG tasks and the command line call, plain JSON in and out.

Each stage reads its settings from the environment, records what it did in the ledger, and can be
repeated: a retry, a doubled trigger or a backfill of what is done is a no-op that says so.

    land → validate → featurize → plan → train → evaluate → promote
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recloop.bookkeeping import both, leased, log_quarantined, timed_window
from recloop.contracts import Acceptance, LandingReport
from recloop.database import embedded
from recloop.database.connection import transaction
from recloop.errors import BadInput, CheckCrashed, LedgerConflict, PlanOutdated, UpdateInProgress
from recloop.ledger import parts, releases, updates, windows
from recloop.rules import load_gate_rules, load_update_rules
from recloop.settings import Settings
from recloop.windows import Window, WindowCalendar

if TYPE_CHECKING:
    from recloop.validation.again import Again

Json = dict[str, Any]
log = logging.getLogger("recloop")
ATTEMPTS = 3
"""How often a stage begins again when what it works from changes meanwhile."""


def land(window: str | None = None, settings: Settings | None = None) -> Json:
    """Read what is new in the source, for `window` or for all (LandingReport)."""
    settings = settings or current_settings()
    began = time.monotonic()
    key = calendar(settings).parse(window).key if window else None
    report, _ = read(settings, key)  # first: a run for a refused file has to say that it is
    log_quarantined(settings, time.monotonic() - began)
    if key is not None:
        named = named_window(settings, key)
        with transaction(settings.database_url) as cursor:
            windows.note_landed(cursor, [named])
            windows.note_seconds(cursor, key, "land", time.monotonic() - began)
    return report.to_json()


def read(
    settings: Settings,
    window: str | None,
    progress: Callable[[int, int | None], None] | None = None,
) -> tuple[LandingReport, Again]:
    """Read what is new in the source, and judge again what today's settings judge otherwise."""
    from recloop.behavior.dataset import load_dataset
    from recloop.behavior.landing import land as read_source

    if load_dataset(settings).source.kind == "table":  # it forgets, and the source is read again
        again = judge_again(settings)
        return read_source(settings, window, progress), again
    return read_source(settings, window, progress), judge_again(settings)


def judge_again(settings: Settings | None = None) -> Again:
    """Let quarantined lines wait again that today's settings, or the clock, judge otherwise: `arrivals`
    then names their windows.

    Raises:
        BadInput: the dataset file cannot be used.
        ServiceAway: the database cannot be reached.
    """
    from recloop.validation import again

    found = again.judge_again(settings or current_settings(), datetime.now(UTC))
    if found.lines:
        log.info("%s quarantined lines are judged again by today's settings", found.lines)
    for sentence in found.stuck:
        log.info("%s", sentence)
    return found


def validate(window: str, settings: Settings | None = None, word: Acceptance | None = None) -> Json:
    """Accept a window's lines, quarantine rows, or refuse the window (ValidationReport).

    Args:
        word: of a person who takes the window as it is, whatever window rules it breaks.

    Raises:
        WindowRefused, CheckCrashed, ServiceAway: never merged.
    """
    from recloop.validation.window import validate_window

    settings = settings or current_settings()
    began = time.monotonic()
    with timed_window(settings, window, "validate"):
        report = validate_window(settings, window, word=word)
    log_quarantined(settings, time.monotonic() - began)
    return report.to_json()


def featurize(window: str, settings: Settings | None = None) -> Json:
    """Write the window's feature rows, materialise them online, build the training sets of its parts;
    the newest part's is returned (TrainingSet).

    What an update has learnt from, or is learning from, keeps its training set.
    """
    from recloop.features.daily import build_features
    from recloop.features.online import materialize_window
    from recloop.features.parts import build_parts, known_parts

    settings = settings or current_settings()
    for _ in range(ATTEMPTS):
        known = known_parts(settings, window)
        with timed_window(settings, window, "features"):
            build_features(settings, window)
            materialize_window(settings, window)
        with timed_window(settings, window, "training_set"):
            training_set = build_parts(settings, window, known)
        if training_set is not None:
            return training_set.to_json()
        log.info("events of window %s came while its features were written; again", window)
    raise CheckCrashed(f"events of window {window} keep coming; run it again when they rest.")


def plan(
    window: str | None,
    requested: str = "auto",
    holder: str = "command line",
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
    from recloop.update.planning import make_plan
    from recloop.update.targets import NoPlan

    settings = settings or current_settings()
    began = time.monotonic()
    if window:
        named_window(settings, window)
    for _ in range(ATTEMPTS):
        made = make_plan(settings, window, requested, options or {})
        if isinstance(made, NoPlan):
            log.info("nothing was decided: %s", made.reason)
            none = {"update_id": None, "decision": "none", "approval": approval}
            return none | {"reason": made.reason, "because": made.because}
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
        except (UpdateInProgress, PlanOutdated) as error:
            log.info("%s", error)
            answer |= {"decision": "none", "reason": str(error), "because": "busy"}
            if isinstance(error, UpdateInProgress):
                return answer
        else:
            return answer | {"update_id": None if made.decision == "skip" else lease.update_id}
    return answer


def train(
    update_id: int,
    holder: str = "command line",
    settings: Settings | None = None,
    progress: Callable[[Any], None] | None = None,
) -> Json:
    """Train the challenger of an update (Candidate). A retry takes the lease over and starts afresh.

    The shards of a plan that has several are trained here one after the other.
    """
    from recloop import shard_stages
    from recloop.update.maintenance import maintain_champion
    from recloop.update.material import read_assignment
    from recloop.update.train import train_candidate

    settings = settings or current_settings()
    with transaction(settings.database_url) as cursor:
        sharded = shard_stages.is_sharded(updates.plan_of(cursor, update_id).to_json())
    if sharded:
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
        with transaction(settings.database_url) as cursor:
            updates.note_candidate(cursor, lease, candidate)
    log.info(
        "trained on %s examples in %.1f CPU s", f"{candidate.examples:,}", candidate.cpu_seconds
    )
    return candidate.to_json()


def evaluate(
    update_id: int, holder: str = "command line", settings: Settings | None = None
) -> Json:
    """Hold the challenger against the champion and judge it by the gate's rules (GateReport).

    A refused challenger ends the update as `rejected`; its windows stay pending.
    """
    from recloop.features.meaning import meaning_of
    from recloop.update.challenge import challenge
    from recloop.update.rematch import opponent_of
    from recloop.update.report import write_gate_report

    settings = settings or current_settings()
    with transaction(settings.database_url) as cursor:
        known = updates.gate_report_of(cursor, update_id)
    if known is not None and not known.passed:
        return known.to_json()
    with leased(settings, update_id, holder, "evaluate") as (lease, _):
        with transaction(settings.database_url) as cursor:
            made = updates.plan_of(cursor, update_id)
            candidate = updates.candidate_of(cursor, update_id)
            target = parts.target_sets(cursor, made)
            opponent = opponent_of(cursor, made)
        report, reason = challenge(
            settings,
            made,
            candidate,
            opponent,
            target,
            calendar(settings).parse(parts.judging_window(made)),
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
    update_id: int,
    holder: str = "command line",
    settings: Settings | None = None,
    progress: Callable[[Any], None] | None = None,
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


def undecided(settings: Settings | None = None) -> list[str]:
    """Windows that wait for a decision, oldest first."""
    settings = settings or current_settings()
    with transaction(settings.database_url) as cursor:
        return releases.undecided(cursor)


def arrivals(settings: Settings | None = None) -> list[str]:
    """Windows for which new lines arrived; cheap enough to poll."""
    from recloop.behavior.arrivals import windows_with_new_lines

    return windows_with_new_lines(settings or current_settings())


def abandoned(settings: Settings | None = None) -> list[str]:
    """Windows whose update lost its holder, a `recloop update` that was killed; cheap as `arrivals`."""
    settings = settings or current_settings()
    with transaction(settings.database_url) as cursor:
        return updates.abandoned(cursor)


def roll_back(version: int | None, reason: str, settings: Settings | None = None) -> Json:
    """Make an earlier release champion again (Release); None: the one before."""
    from recloop.release import promotion

    if not reason.strip():
        raise BadInput("a rollback needs a reason; the ledger and the next reader will ask.")
    return promotion.roll_back(settings or current_settings(), version, reason).to_json()


def publish(version: int | None = None, settings: Settings | None = None) -> Json:
    """Make what is served agree with the ledger; writes a damaged export anew (Release, mended).

    Args:
        version: a release whose export to look at; None: the champion.
    """
    from recloop.release import promotion

    release, mended = promotion.publish(settings or current_settings(), version)
    return {**release.to_json(), "mended": mended}


def gate_report_uri(update_id: int, settings: Settings | None = None) -> str:
    """Path of an update's gate report (HTML); empty when it was not judged."""
    settings = settings or current_settings()
    with transaction(settings.database_url) as cursor:
        report = updates.gate_report_of(cursor, update_id)
    return report.uri if report else ""


def current_settings() -> Settings:
    """Settings of this process's environment, on a database that answers and has its tables."""
    settings = Settings.from_environment()
    return settings if settings.database_url else embedded.resolve(settings)


def named_window(settings: Settings, key: str) -> Window:
    """The window that a person or a schedule named.

    Raises:
        BadInput: no line can be in it, now or ever (see `behavior/dating.py`).
    """
    from recloop.behavior import dating
    from recloop.behavior.dataset import load_dataset

    return dating.named_window(load_dataset(settings), key, datetime.now(UTC))


def calendar(settings: Settings) -> WindowCalendar:
    """The calendar of the dataset's windows."""
    from recloop.behavior.dataset import load_dataset

    return load_dataset(settings).calendar
