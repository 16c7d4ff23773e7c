"""The tasks of an update, shared by `incremental_update` and `full_rebuild`.

Not a DAG file (see `.airflowignore`). Each function below is one task and calls one stage; what a
stage does, and when it refuses, is in `recloop/stages.py`. Arguments typed `Any` are templates or
outputs of other tasks where the flow is written down, and plain values where it runs.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import TriggerRule, get_current_context, task
from recloop_airflow.approval import OptionalApproval
from recloop_airflow.links import GateReportLink, linked
from recloop_airflow.waking import WakeUpdate, leave_out
from recloop_fleet import GPU


@task
def plan(window: Any, requested: Any, approval: Any, dry_run: Any, options: Any) -> Any:
    """What the model needs. Nothing to do is a success, and skips the rest."""
    from recloop import stages

    context = get_current_context()
    made = stages.plan(window, requested, context["run_id"], approval, dry_run, options)
    if made["update_id"] is None:
        leave_out(context, ["train"], made, f"{made['decision']}: {made['reason']}")
    return made


@task(**GPU)
def train(made: Any, holder: str) -> Any:
    """The challenger. A retry of this run takes its lease over; another run's orphan loses it."""
    from recloop import stages

    return stages.train(made["update_id"], holder)


@task
def evaluate(made: Any, holder: str) -> Any:
    """Champion against challenger, and the gate. A refusal is a success that skips the rest."""
    from recloop import stages

    report = stages.evaluate(made["update_id"], holder)
    if not report["passed"]:
        broken = "; ".join(rule["message"] for rule in report["rules"] if not rule["passed"])
        leave_out(get_current_context(), ["approve"], report, f"the gate refused: {broken}")
    return report


@task
def promote(made: Any, holder: str) -> Any:
    """The challenger becomes champion, in one step."""
    from recloop import stages

    return stages.promote(made["update_id"], holder)


def update_tasks(requested: str, approval: str, dry_run: str, options: Any) -> None:
    """Adds the flow of an update to the DAG in whose context it is called; arguments are templates."""
    made = plan("{{ params.window }}", requested, approval, dry_run, options)
    trained = train(made, "{{ run_id }}")
    report = linked(evaluate(made, "{{ run_id }}"), GateReportLink())
    approve = OptionalApproval(task_id="approve", plan=made, report=report)
    carry_on = WakeUpdate(task_id="carry_on", after=made, trigger_rule=TriggerRule.NONE_FAILED)

    made >> trained >> report >> approve >> promote(made, "{{ run_id }}") >> carry_on
