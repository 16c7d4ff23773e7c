"""Updates: planned → training → evaluated → promoted, rejected, deferred, skipped or abandoned.

At most one update is alive, and only the holder of its current fencing token may record anything
(Kleppmann, "How to do distributed locking", 2016). A retry of the run that holds it takes the lease
over and gets a new token; from then on the former attempt, should it wake, can commit nothing.
"""

from __future__ import annotations

import json
from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.contracts import Candidate, GateReport, Lease, UpdatePlan
from recloop.database.connection import Lock, column, first, records
from recloop.errors import BadInput, LeaseLost, LedgerConflict, PlanOutdated, UpdateInProgress
from recloop.ledger import parts, pins

LEASE_SECONDS = 60
APPROVAL_SECONDS = 7 * 24 * 3600
LIVE = ("planned", "training", "evaluated")
REBUILD_IN_VAIN = """
(state in ('rejected', 'deferred') and plan->>'decision' = 'rebuild'
 and plan->>'decided_by' = 'person')
"""
"""SQL: whether an update was a rebuild that a person or a schedule asked for, and was not promoted."""


def begin_update(cursor: Cursor, plan: UpdatePlan, holder: str) -> Lease:
    """Open an update for `plan`, held by `holder` (a run's id).

    The same holder asking again for the same target gets its own update back. A live update whose
    lease ran out is abandoned: its holder is gone, and its windows are still pending.

    Raises:
        UpdateInProgress: another run holds a live lease.
        PlanOutdated: late events came, or the champion moved, since the plan was made.
        ChampionPinned: a person wants no promotion, and the plan could lead to one.
    """
    cursor.execute("select pg_advisory_xact_lock(%s)", (Lock.PLAN,))
    cursor.execute(
        "select update_id, holder, target, lease_until > now(), lease_until from ledger.update "
        "where state in %s for update",
        (LIVE,),
    )
    live = cursor.fetchone()
    if live is not None:
        update_id, owner, target, held, until = live
        if owner == holder and target == plan.target:
            return take_over(cursor, update_id, holder)
        if held:
            raise UpdateInProgress(
                f"update {update_id} of window {target} is being worked on by {owner!r}; "
                "wait for it to end, or mark that run failed: its lease ends by itself "
                f"{LEASE_SECONDS} s after it ceased to work, and now at {until:%Y-%m-%d %H:%M:%S} UTC."
            )
        _abandon(cursor, update_id, f"its holder {owner!r} stopped renewing the lease")
    if plan.decision != "skip":
        pins.refuse_pinned(cursor)
    _check_current(cursor, plan)
    cursor.execute(
        "insert into ledger.update (target, parent_release, state, holder, token, lease_until, plan, "
        "reason) values (%s, %s, 'planned', %s, nextval('ledger.fencing_token'), "
        "now() + make_interval(secs => %s), %s, %s) returning update_id, token",
        (
            plan.target,
            plan.parent_release,
            holder,
            LEASE_SECONDS,
            plan.model_dump_json(),
            plan.reason,
        ),
    )
    [(update_id, token)] = cursor.fetchall()
    for key in plan.windows:
        cursor.execute("insert into ledger.update_window values (%s, %s)", (update_id, key))
    return Lease(update_id=update_id, token=token, holder=holder)


def take_over(cursor: Cursor, update_id: int, holder: str) -> Lease:
    """A new fencing token for a live update: for its own holder at any time, for others once the
    lease has run out.

    Raises:
        BadInput: no such update.
        LedgerConflict: the update has concluded.
        UpdateInProgress: somebody else holds a live lease.
    """
    cursor.execute(
        "select state, holder, lease_until > now() from ledger.update where update_id = %s for update",
        (update_id,),
    )
    row = cursor.fetchone()
    if row is None:
        raise BadInput(f"the ledger has no update {update_id}; `recloop status` lists them.")
    state, owner, held = row
    if state not in LIVE:
        raise LedgerConflict(f"update {update_id} has concluded ({state}); plan a new one.")
    if held and owner != holder:
        raise UpdateInProgress(f"update {update_id} is held by {owner!r}, not {holder!r}.")
    token = first(
        cursor,
        "update ledger.update set token = nextval('ledger.fencing_token'), holder = %s, "
        "attempt = attempt + 1, lease_until = greatest(lease_until, now() + make_interval(secs => %s)) "
        "where update_id = %s returning token",
        (holder, LEASE_SECONDS, update_id),
    )
    return Lease(update_id=update_id, token=token, holder=holder)


def abandoned(cursor: Cursor) -> list[str]:
    """Targets of updates that were planned or trained when their holder ceased to renew the lease.

    The next run takes the window over. An evaluated update is none: a person may have to approve it.
    """
    return column(
        cursor,
        "select target from ledger.update "
        "where state in ('planned', 'training') and lease_until < now() order by target",
    )


def renew(cursor: Cursor, lease: Lease, seconds: float = LEASE_SECONDS) -> None:
    """Extend the lease.

    Raises:
        LeaseLost: another attempt took over.
    """
    cursor.execute(
        "update ledger.update set lease_until = now() + make_interval(secs => %s) "
        "where update_id = %s and token = %s and state in %s",
        (seconds, lease.update_id, lease.token, LIVE),
    )
    _check_fence(cursor, lease)


def note_training(cursor: Cursor, lease: Lease) -> None:
    """The holder begins to train. A candidate of an earlier attempt is forgotten."""
    cursor.execute(
        "update ledger.update set state = 'training', candidate = null, gate_report = null "
        "where update_id = %s and token = %s and state in %s",
        (lease.update_id, lease.token, LIVE),
    )
    _check_fence(cursor, lease)


def note_candidate(cursor: Cursor, lease: Lease, candidate: Candidate) -> None:
    """Record the trained challenger."""
    cursor.execute(
        "update ledger.update set candidate = %s, cost_cpu_s = %s "
        "where update_id = %s and token = %s and state = 'training'",
        (candidate.model_dump_json(), candidate.cpu_seconds, lease.update_id, lease.token),
    )
    _check_fence(cursor, lease)


def note_gate_report(cursor: Cursor, lease: Lease, report: GateReport, reason: str) -> None:
    """Record the gate's verdict: `evaluated` when passed, else `rejected` or `deferred`: then the
    update's windows stay pending."""
    failed = "deferred" if report.deferred else "rejected"
    state = "evaluated" if report.passed else failed
    cursor.execute(
        "update ledger.update set gate_report = %s, state = %s, reason = %s, "
        "concluded_at = case when %s then null else now() end "
        "where update_id = %s and token = %s and state in ('training', 'evaluated')",
        (report.model_dump_json(), state, reason, report.passed, lease.update_id, lease.token),
    )
    _check_fence(cursor, lease)


def conclude(cursor: Cursor, lease: Lease, state: str, reason: str) -> None:
    """End a live update without a release: `skipped`, `rejected` or `abandoned`."""
    if state not in ("skipped", "rejected", "abandoned"):
        raise BadInput(f"`state` should be skipped, rejected or abandoned. Received: {state!r}.")
    cursor.execute(
        "update ledger.update set state = %s, reason = %s, concluded_at = now() "
        "where update_id = %s and token = %s and state in %s",
        (state, reason, lease.update_id, lease.token, LIVE),
    )
    _check_fence(cursor, lease)


def note_seconds(cursor: Cursor, update_id: int, stage: str, seconds: float) -> None:
    """Record a stage's wall seconds."""
    cursor.execute(
        "update ledger.update set seconds = seconds || jsonb_build_object(%s, %s::float8) "
        "where update_id = %s",
        (stage, round(seconds, 3), update_id),
    )


def plan_of(cursor: Cursor, update_id: int) -> UpdatePlan:
    """The plan of an update."""
    plan = first(cursor, "select plan from ledger.update where update_id = %s", (update_id,))
    if plan is None:
        raise BadInput(f"the ledger has no update {update_id}; `recloop status` lists them.")
    return UpdatePlan.model_validate(plan)


def candidate_of(cursor: Cursor, update_id: int) -> Candidate:
    """The trained challenger of an update.

    Raises:
        LedgerConflict: it has none.
    """
    made = first(cursor, "select candidate from ledger.update where update_id = %s", (update_id,))
    if made is None:
        raise LedgerConflict(f"update {update_id} has no candidate yet; train it first.")
    return Candidate.model_validate(made)


def gate_report_of(cursor: Cursor, update_id: int) -> GateReport | None:
    """The gate report of an update, if it was judged."""
    said = first(cursor, "select gate_report from ledger.update where update_id = %s", (update_id,))
    return GateReport.model_validate(said) if said else None


def deferred_before(cursor: Cursor, update_id: int) -> tuple[GateReport, ...]:
    """Reports of the deferred updates whose users judge an update, too, oldest first: those of the same
    kind, against the same champion, since anything was promoted and since one of them was refused. Of a
    window that judged more than once, the latest; the update's own window judges anew.
    """
    cursor.execute(
        """
        with this as (select * from ledger.update where update_id = %s),
        alike as (
            select u.* from ledger.update u, this
            where u.update_id < this.update_id and u.parent_release = this.parent_release
                and u.state in ('deferred', 'rejected')
                and u.plan->'decision' = this.plan->'decision'
                and u.plan->'strategy' = this.plan->'strategy'
        )
        select distinct on (alike.target) alike.gate_report from alike, this
        where alike.state = 'deferred' and alike.target <> this.target and alike.update_id > greatest(
            (select max(update_id) from ledger.update where state = 'promoted'),
            (select max(update_id) from alike where state = 'rejected'))
        order by alike.target, alike.update_id desc
        """,
        (update_id,),
    )
    return tuple(GateReport.model_validate(report) for (report,) in cursor.fetchall())


def all_updates(cursor: Cursor) -> list[dict[str, Any]]:
    """Every update's row with its windows and release, oldest first."""
    return records(
        cursor,
        """
        select u.update_id, u.target, u.parent_release, u.state, u.holder, u.attempt, u.plan,
               u.candidate, u.gate_report, u.reason, u.seconds, u.cost_cpu_s, u.approval, r.version,
               coalesce((select jsonb_agg(window_key order by window_key)
                         from ledger.update_window w where w.update_id = u.update_id), '[]') as windows
        from ledger.update u left join ledger.release r using (update_id)
        order by u.update_id
        """,
    )


def _check_current(cursor: Cursor, plan: UpdatePlan) -> None:
    """What the plan was made from still holds, and its parts stay as they are until the commit."""
    parts.hold(cursor, plan.windows)
    now = first(cursor, "select version from ledger.reign where ended_at is null")
    if now != plan.parent_release:
        raise PlanOutdated(
            f"the champion moved from release {plan.parent_release} to {now} since the plan for "
            f"window {plan.target} was made; plan again."
        )


def _abandon(cursor: Cursor, update_id: int, why: str) -> None:
    cursor.execute(
        "update ledger.update set state = 'abandoned', reason = reason || %s, concluded_at = now() "
        "where update_id = %s",
        (f" [abandoned: {why}]", update_id),
    )


def _check_fence(cursor: Cursor, lease: Lease) -> None:
    if cursor.rowcount == 1:
        return
    wanted = "select token, state, holder, attempt from ledger.update where update_id = %s"
    cursor.execute(wanted, (lease.update_id,))
    now = json.dumps(cursor.fetchone(), default=str)
    raise LeaseLost(
        f"update {lease.update_id}: fencing token {lease.token} of {lease.holder!r} is not the "
        f"current one, or the update has moved on (now: token, state, holder, attempt = {now}). "
        "This attempt's work is discarded; nothing has to be done."
    )
