"""The fields that several forms share, and what a run was asked by its form.

A task reads its form here, from the run's context: typed as the field's schema says, never rendered as
a template. A reason such as `123`, `None` or `{{ x }}` is text, whatever it looks like.

Imported by the DAG files, itself not one (see `.airflowignore`). Keep out: fields of one form only.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param, get_current_context
from airflow.sdk.exceptions import AirflowSkipException
from recloop_airflow.links import served

from recloop.config.rules import Schedule
from recloop.errors import BadInput

SCOPES = {
    "everything": "Everything",
    "embeddings": "Embeddings: what is looked up by id, hashed words included",
    "ids": "Ids: the rows of users and of items",
    "users": "Users: their rows",
    "items": "Items: their rows",
    "touched": "Touched: the rows of the ids in the new events",
    "head": "Head: the small task head, over a base that stays",
}
"""What an increment may be restricted to; a form offers those of the dataset's family."""
MAINTENANCE = {
    "prune": "Prune: half of the embeddings' weights to zero",
    "float16": "Pack the embeddings as float16",
    "int8": "Pack the embeddings as int8",
    "float32": "Unpack the embeddings",
    "student": "Student: half the dimensions, taught by the model",
}
"""How a model is made smaller, likewise."""
HOUR = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{4}Z$"
WAITING = f"[Recommenders]({served('/')}) lists the windows that wait."


def window(schedule: Schedule, description: str) -> Param:
    """The key of a window: its first day, or of hours their beginning in UTC. Airflow fixes a form when
    its file is parsed, where no database may be asked, so the windows that wait are on the page that
    the description links to."""
    hours = schedule.window.length == "hour"
    form: dict[str, Any] = {"pattern": HOUR} if hours else {"format": "date"}
    told = "A moment in UTC: 2011-06-06T1300Z." if hours else f"A day, {schedule.zone}."
    return Param(
        None,
        type=["null", "string"],
        title="Window",
        description_md=f"{description} {told} {WAITING}",
        **form,
    )


def approval() -> Param:
    """Airflow marks a field as required unless it may be null; null means no."""
    return Param(False, type=["null", "boolean"], title="Ask a person before promotion")


def dry_run() -> Param:
    """Null means no."""
    return Param(False, type=["null", "boolean"], title="Dry run: plan only, change nothing")


def reason(default: str | None = None) -> Param:
    """A person's note."""
    return Param(
        default,
        type=["null", "string"],
        title="Reason",
        description_md="Kept in the ledger.",
    )


def strategy(title: str, example: str) -> Param:
    """The tables of a plan file."""
    return Param(
        None,
        type=["null", "object"],
        section="Training",
        title=title,
        description_md=(
            f"The tables of a plan file, as JSON: `{example}`. `recloop/config/strategy.py` lists them."
        ),
    )


def choice(empty: str, offered: dict[str, str], title: str, **schema: Any) -> Param:
    """A drop-down of `offered`, value to label; `empty` is the label of no choice.

    Airflow's form takes the label of null from the key `None`.
    """
    return Param(
        None,
        type=["null", "string"],
        enum=[None, *offered],
        values_display={"None": empty, **offered},
        title=title,
        **schema,
    )


def asked() -> dict[str, Any]:
    """The values of this run's form."""
    return dict(get_current_context()["params"])


def holder() -> str:
    """Who works on an update: two DAGs may have runs of one id, both started by the clock."""
    run = get_current_context()["dag_run"]
    return f"{run.dag_id} {run.run_id}"


def starter() -> str:
    """The name of the person who started this run."""
    return get_current_context()["dag_run"].triggering_user_name or "somebody in Airflow"


def window_of_run(schedule: Schedule) -> str:
    """The window of a run: typed into the form, else the one that ends with the partition of the
    schedule or backfill.

    Raises:
        BadInput: the run has neither.
        AirflowSkipException: the window of the partition goes on.
    """
    context = get_current_context()
    asked, partition = context["params"].get("window"), context["dag_run"].partition_key
    if asked:
        return str(asked)
    if not partition:
        raise BadInput(
            "this run is about no window: fill in the form's `window`, or start it by a backfill."
        )
    key = schedule.window_of(schedule.over(str(partition), datetime.now(UTC)))
    if key is None:
        raise AirflowSkipException(
            f"{partition} is not the last {schedule.window.length} of its window of "
            f"{schedule.calendar.told}: nothing to do yet"
        )
    return key
