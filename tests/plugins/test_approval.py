"""The optional approval: straight through, ask, reject."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import DownstreamTasksSkipped, TaskAwaitingInput
from recloop_airflow import approval
from recloop_airflow.approval import OptionalApproval, describe

from recloop import stages

REPORT = {
    "update_id": 7,
    "window": "2011-06-06",
    "passed": True,
    "champion": {"values": {"recall@20": 0.10, "ndcg@20": 0.05}, "users": 40},
    "challenger": {"values": {"recall@20": 0.125, "ndcg@20": 0.045}, "users": 40},
    "differences": [
        {"name": "recall@20", "mean": 0.025, "low": 0.01, "high": 0.04, "users": 40},
        {"name": "all_pairs_ndcg@20", "mean": None, "low": None, "high": None, "users": 0},
    ],
    "ask": "",
    "rules": [
        {"name": "recall", "value": 0.125, "limit": ">= 0.1", "passed": True},
        {"name": "coverage", "value": 0.02, "limit": ">= 0.05", "passed": False},
    ],
}


class Approvals:
    """Stands in for `recloop.stages.approval_stages`."""

    def __init__(self) -> None:
        self.answers: list[tuple[Any, ...]] = []
        self.notes: list[str] = []
        self.agreed = {"patience_hours": 72.0, "unanswered": "reject"}

    def terms(self) -> dict[str, Any]:
        return self.agreed

    def answer(self, *arguments: Any, why: str) -> dict[str, str]:
        self.answers.append((*arguments, why))
        return {"reason": f"{arguments[2]} by {arguments[3]}: {why}"}


@pytest.fixture(autouse=True)
def approvals(monkeypatch: pytest.MonkeyPatch) -> Approvals:
    import sys

    fake = Approvals()
    monkeypatch.setitem(sys.modules, "recloop.stages.approval_stages", fake)
    monkeypatch.setattr(approval, "note", fake.notes.append)
    monkeypatch.setattr(stages, "approval_stages", fake, raising=False)
    return fake


def operator(wanted: bool, **report: Any) -> OptionalApproval:
    from airflow.sdk import DAG
    from airflow.sdk.bases.operator import BaseOperator

    with DAG("approval_test", schedule=None):
        plan = {
            "update_id": 7,
            "approval": wanted,
            "decision": "increment",
            "reason": "812 new events in 1 window",
        }
        made = OptionalApproval(task_id="approve", plan=plan, report={**REPORT, **report})
        made >> BaseOperator(task_id="promote")
    return made


def asked(monkeypatch: pytest.MonkeyPatch, task: OptionalApproval) -> dict[str, Any]:
    """What Airflow was told to ask, and `timeout`."""
    from airflow.providers.standard.operators import hitl

    told: dict[str, Any] = {}
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **kwargs: told.update(kwargs))
    task_instance = type("TaskInstance", (), {"id": "x"})()
    with pytest.raises(TaskAwaitingInput) as waiting:
        task.execute({"task_instance": task_instance})
    return {**told, "timeout": waiting.value.timeout}


RUN = type("DagRun", (), {"dag_id": "full_rebuild", "run_id": "r"})()
HOLDER = "full_rebuild r"


def event(option: str, name: str | None = "vera") -> dict[str, Any]:
    from datetime import UTC, datetime

    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": datetime(2026, 1, 1, tzinfo=UTC),
        "responded_by_user": {"id": "1", "name": name} if name else None,
    }


def completed(task: OptionalApproval, answered: dict[str, Any]) -> tuple[Any, list[str]]:
    """What the task returned after an answer, and the tasks that it skipped."""
    nothing = {"xcom_push": lambda self, **kwargs: None, "map_index": -1}
    task_instance = type("TaskInstance", (), nothing)()
    context = {"dag_run": RUN, "run_id": "r", "task": task, "ti": task_instance}
    try:
        return task.execute_complete(context, answered), []
    except DownstreamTasksSkipped as skipped:
        return None, [str(one) for one in skipped.tasks]


def test_goes_straight_on_when_nobody_is_wanted() -> None:
    assert operator(wanted=False).execute({}) is None


def test_asks_with_the_metrics_when_somebody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told = asked(monkeypatch, operator(wanted=True))
    assert told["options"] == ["Approve", "Reject"]
    assert "2011-06-06" in told["subject"]
    assert told["body"].startswith("Increment: 812 new events in 1 window.")
    row = "| recall@20 | 0.1000 | 0.1250 | +0.0250 | +0.0100 to +0.0400 | 40 |"
    assert row in told["body"]
    assert told["timeout"] == timedelta(hours=72)
    assert told["defaults"] is None, "Airflow paints a default as the button to press"
    assert set(told["params"]) == {"why"}


def test_asks_when_a_rule_does_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    told = asked(monkeypatch, operator(wanted=False, ask="the difference is small"))
    assert "A person is asked because the difference is small." in told["body"]


@pytest.mark.parametrize(("unanswered", "said"), [("approve", "approved"), ("reject", "rejected")])
def test_how_long_and_what_silence_means_come_from_the_rules(
    monkeypatch: pytest.MonkeyPatch, approvals: Approvals, unanswered: str, said: str
) -> None:
    approvals.agreed = {"patience_hours": 1.5, "unanswered": unanswered}
    task = operator(wanted=True)
    assert asked(monkeypatch, task)["timeout"] == timedelta(minutes=90)
    silence = {"error": "The response timeout has passed", "error_type": "timeout"}
    completed(task, silence)
    by = "nobody within 1.5 hours"
    assert approvals.answers == [(7, HOLDER, said, by, "in Airflow", "")]


def test_approval_is_recorded_with_the_name_and_goes_on(approvals: Approvals) -> None:
    answer, skipped = completed(operator(wanted=True), event("Approve"))
    assert answer["chosen_options"] == ["Approve"]
    assert skipped == []
    assert approvals.answers == [(7, HOLDER, "approved", "vera", "in Airflow", "")]


@pytest.mark.parametrize("why", [" popular items vanished \n", "4711", "{{ x }}", None])
@pytest.mark.parametrize(("name", "by"), [("vera", "vera"), (None, "nobody within 72 hours")])
def test_rejection_reaches_the_ledger_with_its_reason_and_skips_promotion(
    approvals: Approvals, name: str | None, by: str, why: str | None
) -> None:
    given = event("Reject", name) | {"params_input": {"why": why}}
    _, skipped = completed(operator(wanted=True), given)
    kept = (why or "").strip()
    assert approvals.answers == [(7, HOLDER, "rejected", by, "in Airflow", kept)]
    assert approvals.notes == [f"window 2011-06-06: rejected by {by}: {kept}"]
    assert skipped == ["promote"]


def test_describe_shows_every_rule_and_survives_a_first_model() -> None:
    text = describe({**REPORT, "champion": None})
    assert "| recall@20 | – | 0.1250 | +0.0250 | +0.0100 to +0.0400 | 40 |" in text
    assert "| all_pairs_ndcg@20 | – | – | – | – | 0 |" in text
    assert "| coverage | 0.0200 | >= 0.05 | **refused** |" in text
