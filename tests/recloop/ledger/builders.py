"""Building ledger states with few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recloop.calendar import Window, WindowCalendar, part_key, whole
from recloop.contracts import (
    Candidate,
    GateReport,
    Lease,
    Metrics,
    Release,
    Strategy,
    TrainingSet,
    UpdatePlan,
    ValidationReport,
)
from recloop.ledger import parts, releases, updates, window_states

CALENDAR = WindowCalendar("week")
FIRST = CALENDAR.parse("2011-05-30")


def window(number: int) -> Window:
    """The number-th week, 0 being 2011-05-30."""
    return CALENDAR.at(FIRST.start + timedelta(days=7 * number))


def feature(cursor, *numbers: int, events: int = 100) -> None:
    """Bring windows to state `featured`; of those that are, late events come."""
    for number in numbers:
        note_featured(cursor, accept(cursor, number, events))


def accept(cursor, number: int, events: int = 100, **kinds: int) -> str:
    """Events of a window are accepted, so many of each kind; returns the key of the part that they
    join."""
    one = window(number)
    window_states.note_landed(cursor, [one])
    part = parts.receive(cursor, one.key, events)
    report = ValidationReport(
        window=one.key,
        passed=True,
        lines=events,
        accepted=events,
        duplicates=0,
        quarantined={},
        data_hash="h",
        kinds=kinds,
    )
    window_states.note_accepted(cursor, report)
    return part_key(one.key, part)


def note_featured(cursor, key: str) -> bool:
    """A training set of all events that the part has by now."""
    cursor.execute("select accepted from ledger.part where part_key = %s", (key,))
    (events,) = cursor.fetchone()
    made = TrainingSet(
        window=key, uri="/nowhere", queries=1, interactions=events, items=1, sha256="s"
    )
    return parts.note_featured(cursor, made, events)


def plan(cursor, target: int, decision: str = "increment") -> UpdatePlan:
    """A plan for everything pending up to the target, from the champion of now."""
    champion = releases.champion(cursor)
    pending = [key for key in releases.pending(cursor) if whole(key) <= window(target).key]
    if decision == "rebuild":
        pending = sorted({*pending, *(champion.windows if champion else ())})
    return UpdatePlan(
        decision=decision,
        target=window(target).key,
        windows=tuple(pending),
        parent_release=champion.version if champion else None,
        reason="test",
    )


def train(cursor, lease: Lease, made: UpdatePlan) -> None:
    updates.note_training(cursor, lease)
    candidate = Candidate(
        update_id=lease.update_id,
        uri="/c",
        parent_release=made.parent_release,
        windows=made.windows,
        holdout_from=datetime(2011, 6, 1, tzinfo=UTC),
        examples=1,
        cpu_seconds=0.1,
        sha256="x",
    )
    updates.note_candidate(cursor, lease, candidate)


def judge(cursor, lease: Lease, made: UpdatePlan, passed: bool, deferred: bool = False) -> None:
    report = GateReport(
        update_id=lease.update_id,
        window=made.target,
        passed=passed,
        deferred=deferred,
        rules=(),
        champion=None,
        challenger=Metrics(recall=0.1, ndcg=0.1, users=10),
    )
    updates.note_gate_report(cursor, lease, report, "test")


def promote(cursor, target: int, decision: str = "increment", holder: str = "run") -> Release:
    """A whole update of everything pending up to `target`, promoted."""
    made = plan(cursor, target, decision)
    lease = updates.begin_update(cursor, made, holder)
    train(cursor, lease, made)
    judge(cursor, lease, made, passed=True)
    return releases.promote(cursor, lease, f"/release/{lease.update_id}")


def defer(cursor, target: int, decision: str = "increment", **strategy: object) -> int:
    """An update of everything pending up to `target` that the gate had too little evidence for."""
    made = plan(cursor, target, decision).model_copy(update={"strategy": Strategy(**strategy)})
    lease = updates.begin_update(cursor, made, "run")
    train(cursor, lease, made)
    judge(cursor, lease, made, passed=False, deferred=True)
    return lease.update_id


def before(cursor, target: int, decision: str = "increment", **strategy: object) -> list[str]:
    """The windows whose users judge an update of `target`, too. The update is skipped."""
    made = plan(cursor, target, decision).model_copy(update={"strategy": Strategy(**strategy)})
    lease = updates.begin_update(cursor, made, "run")
    found = updates.deferred_before(cursor, lease.update_id)
    updates.conclude(cursor, lease, "skipped", "test")
    return [report.window for report in found]
