"""What a form says arrives in the stages as it was typed, and everything on offer can be planned."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import DownstreamTasksSkipped

from models.recommenders.family import family_named
from models.recommenders.offered import DEFAULT, FAMILIES
from recloop.config.dag_ids import DAG_IDS
from recloop.errors import BadInput
from tests.airflow_home import ROOT

REASONS = ["123", "None", "True", "[1]", "{{ 7 * 7 }}", "{{ x }}", "4711.0"]
NOTHING = {"update_id": None, "decision": "none", "reason": "nothing is pending"}
LIMITS = {"minimum_events": 100, "rebuild_after_windows": 26}


@pytest.fixture(scope="module")
def bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(ROOT / "dags"))


def choices(bag: Any, dag_id: str, name: str) -> list[Any]:
    return list(bag.dags[dag_id].params.get_param(name).schema["enum"])


@pytest.fixture
def run(bag: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`run(dag_id, task_id, conf, partition_key)`: the task, in a run with this conf."""
    import recloop_params
    import recloop_update
    from recloop_airflow import notes

    def start(
        dag_id: str, task_id: str, conf: dict[str, Any], partition_key: str | None = None
    ) -> Any:
        params = copy.deepcopy(bag.dags[dag_id].params)
        params.update(conf)
        task = bag.dags[dag_id].get_task(task_id)
        context = {
            "params": params.validate(),
            "dag_run": SimpleNamespace(
                dag_id=dag_id, run_id="r", partition_key=partition_key, triggering_user_name="vera"
            ),
            "task": SimpleNamespace(downstream_task_ids=set()),
            "ti": SimpleNamespace(xcom_push=lambda key, value: start.said.append((key, value))),
        }
        for module in (recloop_params, recloop_update, notes):
            monkeypatch.setattr(module, "get_current_context", lambda: context)
        try:
            return task.python_callable(*task.op_args, **task.op_kwargs)
        except DownstreamTasksSkipped:  # nothing to do
            return None

    start.said = []
    return start


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    """What each stage was called with; every plan answers that there is nothing to do."""
    from recloop.stages import ingest_stages, update_stages, upkeep_stages

    found: dict[str, tuple[Any, ...]] = {}

    def record(name: str) -> Callable[..., dict[str, Any]]:
        def stage(*arguments: Any) -> dict[str, Any]:
            found[name] = arguments
            return NOTHING | {"version": 8, "thinned": [], "impressions": 0}

        return stage

    for module, name in (
        (update_stages, "plan"),
        (update_stages, "roll_back"),
        (ingest_stages, "land"),
        (upkeep_stages, "plan_due"),
        (upkeep_stages, "plan_maintenance"),
        (upkeep_stages, "thin"),
    ):
        monkeypatch.setattr(module, name, record(name))
    return found


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_no_argument_of_a_task_is_a_template(bag: Any, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    assert not dag.render_template_as_native_obj, f"{dag_id}: read params in the task, typed"
    for task in dag.tasks:
        fields = task.partial_kwargs if task.is_mapped else vars(task)
        given = repr([fields.get(name) for name in (*task.template_fields, "op_kwargs", "op_args")])
        assert "{{" not in given, f"{dag_id}.{task.task_id}: read it from the context"


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_is_text_whatever_it_looks_like(
    run: Any, told: dict[str, tuple[Any, ...]], reason: str
) -> None:
    run("rollback_release", "roll_back", {"reason": reason, "version": 3})
    assert told["roll_back"] == (3, reason)
    run("maintain_models", "plan", {"reason": reason, "maintain": "int8", "approval": True})
    assert told["plan_maintenance"] == ("int8", None, "maintain_models r", True, False, reason)
    run("full_rebuild", "plan", {"reason": reason})
    assert told["plan"] == (None, "rebuild", "full_rebuild r", False, False, {"reason": reason})
    run("periodic_update", "plan", {"reason": reason, "dry_run": True})
    options = {"reason": reason, "strategy": None}
    assert told["plan_due"] == ("periodic_update r", False, True, options)


def test_numbers_tables_and_switches_keep_their_types(
    run: Any, told: dict[str, tuple[Any, ...]]
) -> None:
    strategy = {"recipe": {"epochs": 2}, "silos": ["{{ x }}"]}
    conf = {"plan": "increment", "epochs": 3, "shards": 2, "strategy": strategy, "approval": None}
    run("incremental_update", "plan", conf)
    window, kind, holder, approval, dry_run, options = told["plan"]
    assert (window, kind, holder) == (None, "increment", "incremental_update r")
    assert (approval, dry_run) == (False, False)
    assert options == {
        "strategy": strategy,
        "epochs": 3,
        "shards": 2,
        **dict.fromkeys(("scope", "replay", "maintain", "policy", "reason")),
    }
    run("maintain_models", "thin", {"keep_releases": 4})
    assert told["thin"] == (4,)


def test_a_window_comes_from_the_form_or_the_partition(
    run: Any, told: dict[str, tuple[Any, ...]]
) -> None:
    for conf, partition, window in (
        ({}, "2011-06-06", "2011-06-06"),
        ({"window": "2011-06-13"}, "2011-06-06", "2011-06-13"),
    ):
        assert run("ingest_behavior", "land", conf, partition)["window"] == window
        assert told["land"] == (window,)
    with pytest.raises(BadInput, match="about no window"):
        run("ingest_behavior", "land", {})


@pytest.mark.parametrize("reason", [None, *REASONS])
def test_a_refused_window_is_accepted_in_the_name_of_who_started_the_run(
    run: Any, monkeypatch: pytest.MonkeyPatch, reason: str | None
) -> None:
    from recloop.stages import ingest_stages

    report, asked = {"window": "2011-06-06", "accepted": 1, "lines": 1}, []
    monkeypatch.setattr(ingest_stages, "validate", lambda *given: asked.append(given) or report)
    monkeypatch.setattr(ingest_stages, "accept", lambda *given: asked.append(given) or report)
    run("ingest_behavior", "validate", {"window": "2011-06-06", "accept": reason})
    assert asked == [("2011-06-06", reason, "vera") if reason else ("2011-06-06",)]


def test_everybodys_lists_are_published_as_the_form_says(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recloop.stages import outlet_stages

    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        outlet_stages,
        "publish_if_there_is_a_champion",
        lambda *given: asked.append(given) or ({"told": "done"} if len(asked) > 1 else None),
    )
    assert run("publish_recommendations", "publish", {}) is None
    assert run.said[-1][1] == "there is no champion yet, so nothing to publish"
    conf = {"k": 3, "active_days": 30, "filters": {"a": {"in": ["{{ x }}"]}}, "out": "s3://b/x.csv"}
    run("publish_recommendations", "publish", {**conf, "include_known": True})
    assert run.said[-1][1] == "done"
    assert asked == [
        (20, None, None, "", False),
        (3, {"a": {"in": ["{{ x }}"]}}, 30, "s3://b/x.csv", True),
    ]


@pytest.mark.parametrize("dag_id", ["incremental_update", "full_rebuild"])
def test_a_window_on_which_nothing_can_be_done_fails_its_run(
    run: Any, told: dict[str, tuple[Any, ...]], dag_id: str
) -> None:
    run(dag_id, "plan", {})  # nothing to do, and nobody asked for a window: a success
    with pytest.raises(BadInput, match=r"2030-01-07 .* nothing is pending"):
        run(dag_id, "plan", {"window": "2030-01-07"})


def test_a_shadow_window_outside_the_lineage_fails_its_run(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recloop.stages import upkeep_stages

    answer = {"window": None, "version": None, "reason": "the champion did not learn it"}
    monkeypatch.setattr(upkeep_stages, "plan_shadow", lambda window: answer)
    with pytest.raises(BadInput, match="did not learn"):
        run("shadow_rebuild", "choose", {"window": "2030-01-07"})


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_form_shows_no_null_and_stars_no_switch(bag: Any, dag_id: str) -> None:
    params = bag.dags[dag_id].params
    for name in params:
        schema = params.get_param(name).schema
        if None in schema.get("enum", ()):
            shown = schema.get("values_display", {}).get("None", "")
            assert shown, f"{dag_id}: name the empty choice of {name}: values_display['None']"
        if "boolean" in schema.get("type", ()):
            assert "null" in schema["type"], f"{dag_id}: {name} is starred as required"


def test_every_choice_of_a_form_can_be_planned(bag: Any) -> None:
    from models.retrieve_and_rank.two_stage_config import FAMILY
    from recloop.config import strategy
    from recloop.config.rules import PolicyRules

    strategy_of = partial(strategy.strategy_of, family=FAMILY)
    from recloop.planning.decisions import Situation
    from recloop.planning.policy import POLICIES, decide_update

    dag_id = "incremental_update"
    situation = Situation(
        target="2011-06-06",
        pending=(("2011-06-06", 500),),
        available=("2011-05-30", "2011-06-06"),
        champion=1,
        lineage_windows=1,
    )
    for policy in choices(bag, dag_id, "policy")[1:]:
        assert policy in POLICIES
        rules = PolicyRules(name=policy, **LIMITS)
        assert decide_update(situation, rules).decision in ("skip", "increment", "rebuild")
    for plan in choices(bag, dag_id, "plan"):
        assert plan in ("auto", decide_update(situation, PolicyRules(**LIMITS), plan).decision)
    for name in ("scope", "replay", "maintain"):
        for value in choices(bag, dag_id, name):
            made = strategy_of({name: value})
            carried = made.recipe.get(name, made.maintain if name == "maintain" else None)
            assert carried == (value or ("none" if name == "maintain" else None))
    for value in choices(bag, "maintain_models", "maintain")[1:]:
        assert strategy_of({"maintain": value}).maintain == value


@pytest.mark.parametrize("name", FAMILIES)
def test_every_scope_of_a_family_has_something_to_train_and_no_other_does(name: str) -> None:
    """Asked of the family's own networks."""
    import numpy as np

    from models.learning.recipes import SCOPES
    from models.learning.scopes import scope_of
    from recloop.config.strategy import strategy_of
    from recloop.training.recommender import widths_of

    family = family_named(name)
    model = family.load().new(family.shaped({}), widths_of(), 7)
    touched = SimpleNamespace(touched=lambda: {"users": np.array([1]), "items": np.array([1])})
    for section, state in zip(("recipe", "ranker"), model.states.values(), strict=False):
        for scope in SCOPES:
            network, sizes = state.network, {"users": 2, "items": 2}
            try:
                trains = bool(scope_of(scope, network, touched, sizes).tables)
            except Exception:
                trains = False
            if trains:
                strategy_of({section: {"scope": scope}}, family)
            else:
                with pytest.raises(BadInput, match="would train nothing"):
                    strategy_of({section: {"scope": scope}}, family)


def test_the_form_offers_what_the_default_family_has(bag: Any) -> None:
    offered = choices(bag, "incremental_update", "scope")
    assert set(offered) - {None} == set(family_named(DEFAULT).scopes)
