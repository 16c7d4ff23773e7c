"""Which earlier updates say something of the policy's next one."""

from __future__ import annotations

from typing import Any

import pytest

from recloop.contracts import GateReport, Metrics, RuleResult, UpdatePlan
from recloop.evaluation.ranking_judge import JUDGE
from recloop.planning.history import outcomes_of
from recloop.planning.outcomes import refusals

QUALITY = JUDGE.quality

POLICY = "adaptive: worth it"


def row(
    decision: str = "increment",
    by: str = POLICY,
    state: str = "rejected",
    passed: bool = False,
    recipe: dict[str, Any] | None = None,
    candidate: bool = True,
    broken: str = "recall@20_difference",
) -> dict[str, Any]:
    """An update as `ledger.updates.all_updates` lists it."""
    made = UpdatePlan(
        decision=decision, target="2011-06-06", windows=("2011-06-06",), parent_release=1,
        strategy={"recipe": recipe or {}}, decided_by=by, reason="r",
    )  # fmt: skip
    rule = RuleResult(name=broken, value=0.0, limit=">= 0", passed=passed)
    report = GateReport(
        update_id=1, window="2011-06-06", passed=passed, rules=(rule,), champion=None,
        challenger=Metrics(recall=0.1, ndcg=0.1, users=9),
    )  # fmt: skip
    return {
        "state": state,
        "plan": made.to_json(),
        "gate_report": report.to_json(),
        "candidate": {"examples": 100} if candidate else None,
        "cost_cpu_s": 1.0,
    }


@pytest.mark.parametrize(
    ("update", "counted"),
    [
        (row(), 1),
        (row(by="person"), 1),  # as the policy would have done it
        (row("rebuild", by="adaptive: after refusals"), 1),
        (row("rebuild", by="person"), 0),
        (row("maintain", by="person"), 0),
        (row(by="person", recipe={"learning_rate": 9.9}), 0),
        (row(recipe={"learning_rate": 9.9}), 0),  # a policy's increment with a form's recipe
        (row(passed=True), 0),  # a person said no
        (row(broken="serving_skew"), 0),  # servers answered with other features
        (row("rebuild", by="person", passed=True), 0),
        (row(candidate=False, state="skipped"), 0),
    ],
)
def test_only_what_the_gate_refused_of_the_policys_own_kind_is_a_refusal(update, counted) -> None:
    before = [row(state="promoted", passed=True), row()]
    assert refusals(outcomes_of([*before, update], 1000.0, QUALITY)) == 1 + counted
    if not counted:
        assert outcomes_of([*before, update], 1000.0, QUALITY) == outcomes_of(
            before, 1000.0, QUALITY
        )


def test_a_persons_rebuild_that_was_promoted_ends_the_count() -> None:
    rows = [row(), row(), row("rebuild", by="person", state="promoted", passed=True)]
    assert refusals(outcomes_of(rows, 1000.0, QUALITY)) == 0
