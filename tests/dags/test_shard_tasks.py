"""Shards in the DAGs: mapped, beside the merge, and nothing but skipped tasks where there are none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.airflow_home import ROOT

SHARDED = ["incremental_update", "periodic_update"]


@pytest.fixture(scope="module")
def bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(ROOT / "dags"))


@pytest.mark.parametrize("dag_id", SHARDED)
def test_the_merge_waits_for_no_mapped_task(bag: Any, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    shard, merge = dag.get_task("train_shard"), dag.get_task("merge")
    assert shard.is_mapped
    assert shard.upstream_task_ids == {"split"}
    assert shard.downstream_task_ids == set(), "what waits for it waits for the dead, too"
    assert merge.upstream_task_ids == {"plan", "split"}
    assert merge.downstream_task_ids == {"evaluate"}
    for task in (merge, shard):  # by what follows them, so that the merge gets a slot first
        assert "downstream" in str(getattr(task.weight_rule, "value", task.weight_rule)).lower()
    assert (merge.queue, merge.pool) == ("default", "default_pool"), "it holds no slot of theirs"


@pytest.mark.parametrize("dag_id", SHARDED)
def test_a_whole_increment_and_a_sharded_one_meet_at_the_gate(bag: Any, dag_id: str) -> None:
    evaluate = bag.dags[dag_id].get_task("evaluate")
    assert evaluate.upstream_task_ids == {"plan", "train", "merge"}
    assert evaluate.trigger_rule.value == "none_failed_min_one_success"


@pytest.mark.parametrize("dag_id", ["full_rebuild", "maintain_models"])
def test_other_updates_have_no_such_tasks(bag: Any, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    assert not {"split", "train_shard", "merge"} & set(dag.task_ids)
    assert dag.get_task("evaluate").trigger_rule.value == "all_success"


def as_if_in(monkeypatch: pytest.MonkeyPatch, task: Plan) -> None:
    """The running task's context."""
    import recloop_update
    from recloop_airflow import notes

    for module in (recloop_update, notes):
        monkeypatch.setattr(module, "get_current_context", lambda: {"task": task, "ti": task})


class Plan:
    """A running `plan` task with these tasks downstream; keeps what it pushed."""

    def __init__(self, *downstream: str) -> None:
        self.downstream_task_ids = set(downstream)
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.mark.parametrize(
    ("update_id", "decision", "shards", "silos", "skipped"),
    [
        (7, "increment", 1, (), ["split"]),
        (7, "increment", 4, (), ["train"]),
        (7, "increment", 1, ("delta",), ["train"]),
        (7, "rebuild", 4, (), ["split"]),
        (None, "skip", 4, (), ["train", "split", "evaluate"]),
        (None, "none", None, (), ["train", "split", "evaluate"]),
    ],
)
def test_a_plan_says_which_half_of_the_flow_is_skipped(
    bag: Any,
    monkeypatch: pytest.MonkeyPatch,
    update_id: int | None,
    decision: str,
    shards: int | None,
    silos: tuple[str, ...],
    skipped: list[str],
) -> None:
    import recloop_update
    from airflow.sdk.exceptions import DownstreamTasksSkipped

    task = Plan("train", "split", "evaluate", "merge", "approve")
    as_if_in(monkeypatch, task)
    made = {"update_id": update_id, "decision": decision, "reason": "test"}
    made["target"] = "2011-06-06"
    if shards is not None:
        made["strategy"] = {"shards": shards, "silos": silos}
    with pytest.raises(DownstreamTasksSkipped) as left_out:
        recloop_update.planned(made)
    assert sorted(left_out.value.tasks) == sorted(skipped)
    assert task.pushed.pop("return_value") == made
    assert task.pushed == {"recloop_note": f"window 2011-06-06: {decision}: test"}


def test_a_dag_without_shards_returns_its_plan(bag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import recloop_update

    task = Plan("train", "evaluate", "approve")
    as_if_in(monkeypatch, task)
    made = {"update_id": 7, "decision": "rebuild", "strategy": {"shards": 1, "silos": ()}}
    made["reason"] = "monthly"
    assert recloop_update.planned(made) == made


def test_a_shard_that_comes_too_late_is_skipped(bag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import recloop_update
    from airflow.sdk.exceptions import AirflowSkipException

    from recloop.errors import LeaseLost
    from recloop.stages import shard_stages

    def taken(*_: Any, worker: bool) -> Any:
        assert worker, "a worker that hangs must end"
        raise LeaseLost("the merge has taken its events over")

    monkeypatch.setattr(shard_stages, "train_shard", taken)
    with pytest.raises(AirflowSkipException, match="taken its events over"):
        recloop_update.train_shard.function({"update_id": 7, "shard": 2})


@pytest.mark.parametrize(
    ("shards", "fine"), [(1, True), (64, True), (0, False), (65, False), ("4", False)]
)
def test_the_form_takes_one_to_sixty_four(bag: Any, shards: Any, fine: bool) -> None:
    import copy

    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(bag.dags["incremental_update"].params)
    if fine:
        params.update({"shards": shards})
        params.validate()
        return
    with pytest.raises(ParamValidationError):
        params.update({"shards": shards})
