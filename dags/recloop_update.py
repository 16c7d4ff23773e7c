"""The tasks of an update, shared by the DAGs that make one.

Not a DAG file (see `.airflowignore`). Each function below is one task and calls one stage; what a
stage does, and when it refuses, is in `recloop/stages/update_stages.py`. Arguments typed `Any` are
outputs of other tasks where the flow is written down, and plain values where it runs.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import TriggerRule, chain, get_current_context, task
from recloop_airflow.approval import OptionalApproval
from recloop_airflow.links import GateReportLink, linked
from recloop_airflow.notes import note, noted
from recloop_airflow.waking import WakePublication, WakeUpdate, leave_out
from recloop_fleet import Recommender
from recloop_params import asked, holder

from recloop.errors import BadInput

OPTIONS = ("strategy", "epochs", "scope", "replay", "maintain", "shards", "policy", "reason")
"""Fields of a form that say how an update is done."""


@task
@noted
def plan(requested: str | None = None) -> Any:
    """What the model needs; `requested` stands for the form's *Plan*. Nothing to do is a success, and
    skips the rest.

    Raises:
        BadInput: a person named a window on which there is nothing to decide.
    """
    from recloop.stages import update_stages

    form = asked()
    options = {name: form[name] for name in OPTIONS if name in form}
    approval, dry_run = bool(form["approval"]), bool(form["dry_run"])
    window, kind = form["window"], requested or form["plan"]
    made = update_stages.plan(window, kind, holder(), approval, dry_run, options)
    if window and made["decision"] == "none":
        raise BadInput(f"window {window} was asked for, and nothing was done: {made['reason']}")
    return planned(made)


@task
@noted
def train(made: Any) -> Any:
    """The challenger. A retry of this run takes its lease over; another run's orphan loses it."""
    from recloop.stages import update_stages

    return update_stages.train(made["update_id"], holder())


@task
@noted
def split(made: Any) -> Any:
    """The shards of a large increment, one for each mapped `train_shard`."""
    from recloop.stages import shard_stages

    return shard_stages.split(made["update_id"], holder())


@task(map_index_template="shard {{ task.op_kwargs['work']['shard'] }}")
def train_shard(work: Any) -> Any:
    """One shard, on a worker of its own. One that comes too late has nothing to do, and says so."""
    from airflow.sdk.exceptions import AirflowSkipException

    from recloop.errors import LeaseLost
    from recloop.stages import shard_stages

    try:
        return shard_stages.train_shard(work["update_id"], work["shard"], worker=True)
    except LeaseLost as error:
        raise AirflowSkipException(str(error)) from error


@task
@noted
def merge(made: Any) -> Any:
    """One challenger of all shards. It asks the ledger, beside the shards and not after them: one that
    died or hangs delays it by no more than the plan's bound."""
    from recloop.stages import shard_stages

    return shard_stages.merge(made["update_id"], holder())


@task
@noted
def evaluate(made: Any) -> Any:
    """Champion against challenger, and the gate. A refusal, and too little evidence, are successes
    that skip the rest."""
    from recloop.stages import update_stages

    report = update_stages.evaluate(made["update_id"], holder())
    if not report["passed"]:
        broken = [
            f"{rule['name']} is {rule['value']}, the limit is {rule['limit']} ({rule['message']})"
            for rule in report["rules"]
            if not rule["passed"] and (report["deferred"] or not rule["undecided"])
        ]
        said = "DEFERRED: not enough evidence yet, these users judge the next one of its kind, too"
        said = said if report["deferred"] else "REFUSED by the gate, the champion stays"
        note(f"{said}: {'; '.join(broken)}")
        leave_out(get_current_context(), ["approve"], report, "the gate did not pass it")
    return report


@task
@noted
def promote(made: Any) -> Any:
    """The challenger becomes champion, in one step."""
    from recloop.stages import update_stages

    release = update_stages.promote(made["update_id"], holder())
    note(f"release {release['version']} is champion")
    return release


def planned(made: Any) -> Any:
    """What a task that plans returns: the plan; without an update to carry out, the rest is skipped,
    and with one, either the training as a whole or that in shards."""
    from recloop.stages.shard_stages import is_sharded

    context = get_current_context()
    following = context["task"].downstream_task_ids
    about = f"window {made['target']}: " if made.get("target") else ""
    dry = "dry run, " if made.get("dry_run") else ""
    note(f"{about}{dry}{made['decision']}: {made['reason']}")
    if made["update_id"] is None:
        skipped, why = ["train", "split", "evaluate"], f"{made['decision']}: {made['reason']}"
    elif is_sharded(made):
        skipped, why = ["train"], f"trained in {made['strategy']['shards']} shard(s), then merged"
    else:
        skipped, why = ["split"], "trained as a whole"
    if "split" in following or made["update_id"] is None:
        leave_out(context, [one for one in skipped if one in following], made, why)
    return made


def publication(one: Recommender) -> WakePublication:
    """The task that lets a new champion's recommendations be published."""
    return WakePublication(
        task_id="publish",
        recommender=one.settings.recommender,
        trigger_dag_id=one.dag_id("publish_recommendations"),
    )


def carry_out(one: Recommender, made: Any, *afterwards: Any, shards: bool = False) -> None:
    """Adds what follows a plan: train, evaluate, approve, promote, publish, `afterwards` and the next
    window.

    What comes after the promotion runs also when nothing was promoted (`none_failed`). With `shards`,
    a plan that has some is trained by mapped tasks and merged instead.
    """
    rule = TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS if shards else TriggerRule.ALL_SUCCESS
    trained = train.override(**one.gpu)(made)
    report = linked(evaluate.override(trigger_rule=rule)(made), GateReportLink())
    approve = OptionalApproval(task_id="approve", plan=made, report=report)
    carry_on = WakeUpdate(
        task_id="carry_on",
        recommender=one.settings.recommender,
        trigger_dag_id=one.dag_id("incremental_update"),
        after=made,
        trigger_rule=TriggerRule.NONE_FAILED,
    )

    promoted = promote(made)
    chain(made, trained, report, approve, promoted, *afterwards, carry_on)
    chain(promoted, publication(one))
    if shards:
        pieces = split(made)
        train_shard.override(**one.gpu).expand(work=pieces)
        chain(made, pieces, merge(made), report)
