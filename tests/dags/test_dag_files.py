"""What holds for every DAG file; a message says what to add."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recloop.config.dag_ids import DAG_IDS
from tests.airflow_home import ROOT, child_environment

FOLDER = ROOT / "dags"
FILES = [FOLDER / f"{dag_id}.py" for dag_id in DAG_IDS]
HEAVY = ("tensorflow", "feast", "great_expectations", "mlflow", "pandas")
LIMIT = 200
"""Modules that a file may bring along. Counted, not timed: the dag-processor parses again and again, and
how long a parse takes says more of the machine."""

MEASURE = """
import json, os, runpy, sys
import airflow.sdk
import airflow.dag_processing.dagbag
import airflow.models.serialized_dag
from airflow.sdk import DAG

heavy = {heavy!r}
already = [m for m in heavy if m in sys.modules]
for path in sys.argv[1:]:
    sys.stdout.flush()
    if os.fork():  # as the dag-processor does for each file
        os.wait()
        continue
    known = set(sys.modules)
    runpy.run_path(path, run_name="dag_file")
    modules = len(set(sys.modules) - known)
    loaded = [m for m in heavy if m in sys.modules]
    measured = {{"path": path, "modules": modules, "loaded": loaded, "already": already}}
    print("MEASURED" + json.dumps(measured), flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(FOLDER))


def parse_in_fresh_process(*paths: Path) -> dict[str, dict[str, Any]]:
    """`{stem: {"modules", "loaded", "already"}}`."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURE.format(heavy=HEAVY), *map(str, paths)],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [n for n in done.stdout.splitlines() if n.startswith("MEASURED")]
    found = [json.loads(line.removeprefix("MEASURED")) for line in lines]
    assert len(found) == len(paths), f"a file cannot be read: {done.stderr[-2000:]}"
    return {Path(m["path"]).stem: m for m in found}


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    guilty = tmp_path_factory.mktemp("dags") / "guilty.py"
    guilty.write_text("import pandas\n")
    return parse_in_fresh_process(*FILES, guilty)


def fill_in(dag: Any, conf: dict[str, Any]) -> None:
    """What happens to a form's values before a run is made."""
    params = copy.deepcopy(dag.params)
    params.update(conf)
    params.validate()


def test_folder_holds_the_dags_that_start_up_waits_for() -> None:
    ignored = {n for n in (FOLDER / ".airflowignore").read_text().split() if n.endswith(".py")}
    found = {path.stem for path in FOLDER.glob("*.py") if path.name not in ignored}
    assert found == {*DAG_IDS, "recommender_files"}, (
        "list the new file in recloop/config/dag_ids.py"
    )


def test_all_files_can_be_imported(bag: Any) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == set(DAG_IDS), "name a DAG like its file"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_parsing_imports_little_and_nothing_heavy(path: Path, parsed: dict[str, Any]) -> None:
    """Beside Airflow itself, which the dag-processor has in memory before it forks."""
    measured = parsed[path.stem]
    assert measured["already"] == [], "Airflow itself now imports these; measure otherwise"
    assert measured["loaded"] == [], f"{path.name}: import these inside the task"
    assert measured["modules"] < LIMIT, f"{path.name}: move imports into the tasks"


def test_a_heavy_import_would_be_seen(parsed: dict[str, Any]) -> None:
    assert parsed["guilty"]["loaded"] == ["pandas"]
    assert parsed["guilty"]["modules"] > LIMIT


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_dag_explains_itself_and_runs_one_at_a_time(bag: Any, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    assert dag.doc_md, f"{dag_id}: add doc_md=__doc__"
    assert len(dag.doc_md.split()) > 20, f"{dag_id}: say in the docstring what the tasks do"
    assert dag.max_active_runs == 1, f"{dag_id}: the lineage is serial; add max_active_runs=1"
    assert not dag.catchup, f"{dag_id}: history is replayed by backfill; add catchup=False"
    assert "recloop" in dag.tags, f"{dag_id}: add the tag recloop"


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_every_task_knows_which_failures_to_retry(bag: Any, dag_id: str) -> None:
    from recloop_airflow.retries import StagePolicy

    for task in bag.dags[dag_id].tasks:
        where = f"{dag_id}.{task.task_id}"
        policy = (task.partial_kwargs if task.is_mapped else vars(task)).get("retry_policy")
        assert isinstance(policy, StagePolicy), (
            f"{where}: pass default_args=DEFAULT_ARGS to the DAG"
        )
        assert task.retries > 0, f"{where}: a retry policy needs retries > 0"


@pytest.mark.parametrize(
    "dag_id", ["incremental_update", "full_rebuild", "periodic_update", "maintain_models"]
)
def test_training_goes_to_the_gpu_queue_and_pool_and_nothing_else_does(
    bag: Any, dag_id: str
) -> None:
    places = {t.task_id: (t.queue, t.pool) for t in bag.dags[dag_id].tasks}
    training = {name for name in places if name in ("train", "train_shard")}
    assert {places.pop(name) for name in training} == {("gpu", "gpu")}, (
        "decorate it with @task(**GPU)"
    )
    assert set(places.values()) == {("default", "default_pool")}


@pytest.mark.parametrize("dag_id", ["incremental_update", "full_rebuild", "periodic_update"])
def test_an_update_is_one_line_of_tasks_beside_which_shards_are_trained(
    bag: Any, dag_id: str
) -> None:
    shards = ("split", "train_shard", "merge")
    order = [task.task_id for task in bag.dags[dag_id].topological_sort()]
    assert [name for name in order if name not in (*shards, "publish")] == [
        *("plan", "train", "evaluate", "approve", "promote", "carry_on")
    ]
    (publish,) = (task for task in bag.dags[dag_id].tasks if task.task_id == "publish")
    assert publish.upstream_task_ids == {"promote"}
    assert publish.trigger_dag_id == "publish_recommendations"
    assert ("split" in order) == (dag_id != "full_rebuild")


def test_maintenance_thins_after_the_promotion_and_without_one(bag: Any) -> None:
    tasks = bag.dags["maintain_models"].topological_sort()
    assert [task.task_id for task in tasks if task.task_id != "publish"] == [
        *("plan", "train", "evaluate", "approve", "promote"),
        *("thin", "refresh_docs", "carry_on"),
    ]
    rules = {task.task_id: task.trigger_rule.value for task in tasks}
    assert {rules[name] for name in ("thin", "refresh_docs", "carry_on")} == {"none_failed"}


def test_a_shadow_rebuild_promotes_nothing(bag: Any) -> None:
    tasks = bag.dags["shadow_rebuild"].topological_sort()
    assert [task.task_id for task in tasks] == ["choose", "retrain"]
    assert (tasks[1].queue, tasks[1].pool) == ("gpu", "gpu")


@pytest.mark.parametrize(
    ("dag_id", "cron"),
    [
        ("periodic_update", "30 4 * * 1"),
        ("full_rebuild", "0 3 1 * *"),
        ("shadow_rebuild", "0 5 15 * *"),
        ("maintain_models", "30 5 1 * *"),
        ("publish_recommendations", "30 6 * * *"),
    ],
)
def test_the_clock_is_that_of_the_settings_file_where_data_keep_coming(
    bag: Any, dag_id: str, cron: str
) -> None:
    import recloop_fleet
    from airflow.serialization.serialized_objects import encode_timetable

    history = type(bag.dags[dag_id].timetable).__name__
    assert history == ("CronTriggerTimetable" if dag_id == "maintain_models" else "NullTimetable")
    assert bag.dags[dag_id].end_date is None, "a form's run after the end would have no tasks"
    (one,) = recloop_fleet.RECOMMENDERS
    live = replace(one, schedule=one.schedule.model_copy(update={"end": None}))
    timetable = encode_timetable(live.by_the_clock(dag_id))
    assert timetable["__var"]["expression"] == cron


def test_ingest_is_partitioned_by_window(bag: Any) -> None:
    dag = bag.dags["ingest_behavior"]
    assert [t.task_id for t in dag.topological_sort()] == [
        "land",
        "validate",
        "featurize",
        "announce",
    ]
    assert type(dag.timetable).__name__ == "CronPartitionTimetable"
    assert dag.end_date.isoformat() == "2011-12-12T00:00:00+00:00"
    assert [a.uri for a in dag.get_task("announce").outlets] == ["recloop://behavior/window"]


@pytest.mark.parametrize(
    ("dag_id", "conf"),
    [
        ("ingest_behavior", {"window": "yesterday"}),
        ("incremental_update", {"policy": "sometimes"}),
        ("maintain_models", {"maintain": "int4"}),
        ("maintain_models", {"maintain": "none"}),
        ("maintain_models", {"expire_after_days": 0}),
        ("maintain_models", {"keep_releases": 1}),
        ("periodic_update", {"approval": "perhaps"}),
        ("periodic_update", {"strategy": "adam"}),
        ("shadow_rebuild", {"window": "newest"}),
        ("incremental_update", {"plan": "double"}),
        ("incremental_update", {"epochs": 0}),
        ("incremental_update", {"epochs": 101}),
        ("incremental_update", {"approval": "perhaps"}),
        ("incremental_update", {"scope": "rows"}),
        ("incremental_update", {"scope": "head"}),
        ("rollback_release", {"reason": 4711}),
        ("incremental_update", {"replay": "all"}),
        ("incremental_update", {"maintain": "int4"}),
        ("incremental_update", {"strategy": "adam"}),
        ("incremental_update", {"window": 7}),
        ("full_rebuild", {"dry_run": 3}),
        ("rollback_release", {"version": 0, "reason": "worse than before"}),
        ("rollback_release", {"reason": ""}),
        ("rollback_release", {}),
        ("publish_recommendations", {"k": 0}),
        ("publish_recommendations", {"k": None}),
        ("publish_recommendations", {"active_days": 0}),
        ("publish_recommendations", {"filters": "cheap"}),
        ("publish_recommendations", {"out": 7}),
    ],
)
def test_the_form_refuses_what_makes_no_sense(bag: Any, dag_id: str, conf: dict[str, Any]) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        fill_in(bag.dags[dag_id], conf)


@pytest.mark.parametrize(
    ("dag_id", "conf"),
    [
        ("ingest_behavior", {}),
        ("ingest_behavior", {"window": "2011-06-06"}),
        ("incremental_update", {}),
        (
            "incremental_update",
            {"window": "2011-06-06", "plan": "rebuild", "epochs": 3, "approval": True},
        ),
        ("incremental_update", {"scope": "touched", "replay": "herding", "maintain": "int8"}),
        ("incremental_update", {"strategy": {"recipe": {"optimizer": "adam"}}}),
        ("incremental_update", {"policy": "adaptive"}),
        ("full_rebuild", {}),
        ("maintain_models", {}),
        ("maintain_models", {"maintain": "student", "expire_after_days": 90, "keep_releases": 2}),
        ("periodic_update", {}),
        ("periodic_update", {"strategy": {"recipe": {"epochs": 2}}, "approval": True}),
        ("shadow_rebuild", {"window": "2011-06-06"}),
        ("rollback_release", {"reason": "worse than before"}),
        ("full_rebuild", {"approval": None, "dry_run": None}),
        ("publish_recommendations", {}),
        (
            "publish_recommendations",
            {"k": 5, "active_days": 30, "filters": {"price": {"below": 3}}, "out": "a.b"},
        ),
    ],
)
def test_the_form_takes_what_does(bag: Any, dag_id: str, conf: dict[str, Any]) -> None:
    fill_in(bag.dags[dag_id], conf)


def test_dags_survive_serialization(bag: Any) -> None:
    """The scheduler and the UI see the serialised form only."""
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in bag.dags.values():
        copy = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert set(copy.task_ids) == set(dag.task_ids)
