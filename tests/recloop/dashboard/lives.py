"""A ledger with one of everything that a page tells, made by recloop's own functions."""

from __future__ import annotations

from datetime import UTC, datetime

from recloop.contracts import (
    Acceptance,
    Gap,
    GateReport,
    Metrics,
    RuleResult,
    ShadowReport,
    ValidationReport,
)
from recloop.ledger import releases, updates, verdicts, window_states
from tests.recloop.ledger.builders import accept, feature, plan, promote, train, window

NOW = datetime(2011, 8, 1, tzinfo=UTC)
RUN = "incremental_update manual__1"
SIGNALS = {
    "champion_ndcg@20": 0.2,
    "champion_ndcg@20_error": 0.01,
    "static_ndcg@20": 0.15,
    "popularity_ndcg@20": 0.05,
    "champion_recall@20": 0.3,
    "popularity_drift": 0.25,
    "new_users": 0.125,
}


def key(number: int) -> str:
    """The number-th week."""
    return window(number).key


def report_on(target: str, update_id: int, passed: bool, ask: str = "") -> GateReport:
    """A gate's report with one rule and one difference."""
    rule = RuleResult(name="ndcg@20", value=0.01, limit=">= -0.01", passed=passed, message="so far")
    gap = Gap(name="ndcg@20", mean=0.01, low=-0.005, high=0.025, users=40)
    return GateReport(
        update_id=update_id, window=target, passed=passed, rules=(rule,), champion=None, ask=ask,
        challenger=Metrics(values={"ndcg@20": 0.21}, users=40), differences=(gap,),
    )  # fmt: skip


def live(cursor) -> None:
    """Weeks 0 to 7: learnt in releases 1 and 2; week 1 later than it came, with week 2, after a skip;
    week 3 rejected by the gate; 4 waits, 5 was refused, 6 is empty, 7 landed. Late events of week 0."""
    feature(cursor, 0, 1, 2, 3, 4)
    promote(cursor, 0, "rebuild", holder="full_rebuild scheduled__1")
    skipped = plan(cursor, 1).model_copy(update={"decision": "skip", "windows": ()})
    updates.conclude(
        cursor, updates.begin_update(cursor, skipped, RUN), "skipped", "too few events"
    )
    made = plan(cursor, 2).model_copy(update={"signals": SIGNALS, "reason": "two windows wait"})
    lease = updates.begin_update(cursor, made, RUN)
    train(cursor, lease, made)
    passed = report_on(made.target, lease.update_id, True)
    updates.note_gate_report(cursor, lease, passed, "two windows wait; every rule holds")
    releases.promote(cursor, lease, "/release/2")
    made = plan(cursor, 3)
    lease = updates.begin_update(cursor, made, "command line host 1")
    train(cursor, lease, made)
    refused = report_on(made.target, lease.update_id, False)
    updates.note_gate_report(cursor, lease, refused, "test; refused: worse")
    accept(cursor, 0, events=7)
    window_states.note_landed(cursor, [window(5), window(6), window(7)])
    rule = RuleResult(
        name="volume", value=3, limit=">= 90", passed=False, message="3 events, not 90"
    )
    window_states.note_refused(
        cursor,
        ValidationReport(
            window=key(5), passed=False, lines=3, accepted=0, duplicates=0, quarantined={},
            data_hash="", rules=(rule,),
        ),
    )  # fmt: skip
    accept(cursor, 6, events=0)
    window_states.note_accepted(
        cursor,
        ValidationReport(
            window=key(4), passed=True, lines=5, accepted=0, duplicates=1, quarantined={"price": 4},
            data_hash="", acceptance=Acceptance(by="vera", reason="a sale", at=NOW),
        ),
    )  # fmt: skip


def evaluate(cursor, target: int, ask: str = "", holder: str = RUN) -> int:
    """An update that passed the gate and is not promoted yet; returns its number."""
    made = plan(cursor, target)
    lease = updates.begin_update(cursor, made, holder)
    train(cursor, lease, made)
    report = report_on(made.target, lease.update_id, True, ask)
    updates.note_gate_report(cursor, lease, report, "every rule holds")
    return lease.update_id


def shadow(cursor) -> None:
    """A full retraining that was measured: 90 CPU seconds."""
    verdicts.note_shadow(
        cursor,
        ShadowReport(
            window=key(2), version=1, windows=2, champion={}, retrained={}, gaps=(), cpu_seconds=90.0,
            champion_cpu_seconds=1.0, summary="no difference beyond chance",
        ),
    )  # fmt: skip
