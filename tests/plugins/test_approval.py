"""The optional approval: straight through, ask, reject."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import DownstreamTasksSkipped, TaskAwaitingInput
from recloop_airflow.approval import OptionalApproval, describe

import recloop

REPORT = {
    "update_id": 7,
    "window": "2011-06-06",
    "passed": True,
    "champion": {"recall": 0.10, "ndcg": 0.05, "users": 40},
    "challenger": {"recall": 0.125, "ndcg": 0.045, "users": 40},
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
    """Stands in for `recloop.approvals`."""

    def __init__(self) -> None:
        self.answers: list[tuple[Any, ...]] = []
        self.agreed = {"patience_hours": 72.0, "unanswered": "reject"}

    def terms(self) -> dict[str, Any]:
        return self.agreed

    def answer(self, *arguments: Any) -> None:
        self.answers.append(arguments)


@pytest.fixture(autouse=True)
def approvals(monkeypatch: pytest.MonkeyPatch) -> Approvals:
    import sys

    fake = Approvals()
    monkeypatch.setitem(sys.modules, "recloop.approvals", fake)
    monkeypatch.setattr(recloop, "approvals", fake, raising=False)
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


def test_goes_straight_on_when_nobody_is_wanted() -> None:
    assert operator(wanted=False).execute({}) is None


def test_asks_with_the_metrics_when_somebody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told = asked(monkeypatch, operator(wanted=True))
    assert told["options"] == ["Approve", "Reject"]
    assert "2011-06-06" in told["subject"]
    assert told["body"].startswith("Increment: 812 new events in 1 window.")
    row = "| recall@20 | 0.1000 | 0.1250 | +0.0250 | +0.0100 to +0.0400 | 40 |"
    assert row in told["body"]
    assert (told["timeout"], told["defaults"]) == (timedelta(hours=72), ["Reject"])


def test_asks_when_a_rule_does_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    told = asked(monkeypatch, operator(wanted=False, ask="the difference is small"))
    assert "A person is asked because the difference is small." in told["body"]


def test_how_long_and_what_silence_means_come_from_the_rules(
    monkeypatch: pytest.MonkeyPatch, approvals: Approvals
) -> None:
    approvals.agreed = {"patience_hours": 1.5, "unanswered": "approve"}
    told = asked(monkeypatch, operator(wanted=True))
    assert (told["timeout"], told["defaults"]) == (timedelta(minutes=90), ["Approve"])


def test_approval_is_recorded_with_the_name_and_goes_on(approvals: Approvals) -> None:
    answer = operator(wanted=True).execute_complete({"dag_run": RUN}, event("Approve"))
    assert answer["chosen_options"] == ["Approve"]
    assert approvals.answers == [(7, HOLDER, "approved", "vera", "in Airflow")]


@pytest.mark.parametrize(("name", "by"), [("vera", "vera"), (None, "nobody within 72 hours")])
def test_rejection_reaches_the_ledger_and_skips_promotion(
    approvals: Approvals, name: str | None, by: str
) -> None:
    task = operator(wanted=True)
    nothing = {"xcom_push": lambda self, **kwargs: None, "map_index": -1}
    task_instance = type("TaskInstance", (), nothing)()
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        task.execute_complete(
            {"dag_run": RUN, "task": task, "ti": task_instance}, event("Reject", name)
        )
    assert approvals.answers == [(7, HOLDER, "rejected", by, "in Airflow")]
    assert [str(t) for t in skipped.value.tasks] == ["promote"]


def test_describe_shows_every_rule_and_survives_a_first_model() -> None:
    text = describe({**REPORT, "champion": None})
    assert "| recall@20 | – | 0.1250 | +0.0250 | +0.0100 to +0.0400 | 40 |" in text
    assert "| all_pairs_ndcg@20 | – | – | – | – | 0 |" in text
    assert "| coverage | 0.0200 | >= 0.05 | **refused** |" in text
