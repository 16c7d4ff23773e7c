"""The optional approval: straight through, ask, reject."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import DownstreamTasksSkipped, TaskAwaitingInput
from recloop_airflow import approval
from recloop_airflow.approval import OptionalApproval, describe

import recloop

REPORT = {
    "update_id": 7,
    "window": "2011-06-06",
    "passed": True,
    "champion": {"recall": 0.10, "ndcg": 0.05, "users": 40},
    "challenger": {"recall": 0.125, "ndcg": 0.045, "users": 40},
    "rules": [
        {"name": "recall", "value": 0.125, "limit": ">= 0.1", "passed": True},
        {"name": "coverage", "value": 0.02, "limit": ">= 0.05", "passed": False},
    ],
}


class Stages:
    """Stands in for `recloop.stages`."""

    def __init__(self) -> None:
        self.rejected: list[tuple[int, str, str]] = []

    def reject(self, update_id: int, holder: str, reason: str) -> None:
        self.rejected.append((update_id, holder, reason))


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    import sys

    fake = Stages()
    monkeypatch.setitem(sys.modules, "recloop.stages", fake)
    monkeypatch.setattr(recloop, "stages", fake, raising=False)
    return fake


def operator(wanted: bool) -> OptionalApproval:
    from airflow.sdk import DAG
    from airflow.sdk.bases.operator import BaseOperator

    with DAG("approval_test", schedule=None):
        made = OptionalApproval(
            task_id="approve", plan={"update_id": 7, "approval": wanted}, report=REPORT
        )
        made >> BaseOperator(task_id="promote")
    return made


def event(option: str) -> dict[str, Any]:
    from datetime import UTC, datetime

    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": datetime(2026, 1, 1, tzinfo=UTC),
        "responded_by_user": {"id": "1", "name": "vera"},
    }


def test_goes_straight_on_when_nobody_is_wanted() -> None:
    assert operator(wanted=False).execute({}) is None


def test_asks_with_the_metrics_when_somebody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.standard.operators import hitl

    asked: dict[str, Any] = {}
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **kwargs: asked.update(kwargs))
    task_instance = type("TaskInstance", (), {"id": "x"})()
    with pytest.raises(TaskAwaitingInput) as waiting:
        operator(wanted=True).execute({"task_instance": task_instance})
    assert asked["options"] == ["Approve", "Reject"]
    assert "2011-06-06" in asked["subject"]
    assert "| recall@20 | 0.1000 | 0.1250 | +0.0250 |" in asked["body"]
    assert waiting.value.timeout == approval.PATIENCE


def test_approval_records_nothing_and_goes_on(stages: Stages) -> None:
    answer = operator(wanted=True).execute_complete({"run_id": "r"}, event("Approve"))
    assert answer["chosen_options"] == ["Approve"]
    assert stages.rejected == []


def test_rejection_reaches_the_ledger_and_skips_promotion(stages: Stages) -> None:
    task = operator(wanted=True)
    nothing = {"xcom_push": lambda self, **kwargs: None, "map_index": -1}
    task_instance = type("TaskInstance", (), nothing)()
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        task.execute_complete({"run_id": "r", "task": task, "ti": task_instance}, event("Reject"))
    assert stages.rejected == [(7, "r", "rejected in Airflow by vera")]
    assert [str(t) for t in skipped.value.tasks] == ["promote"]


def test_describe_shows_every_rule_and_survives_a_first_model() -> None:
    text = describe({**REPORT, "champion": None})
    assert "| recall@20 | – | 0.1250 | – |" in text
    assert "| coverage | 0.0200 | >= 0.05 | **refused** |" in text
