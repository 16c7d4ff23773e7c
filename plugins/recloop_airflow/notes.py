"""What became of a run, in the note that Airflow shows beside it.

A task says a sentence with `note`, or fails inside `noted`; when the run ends, the scheduler puts the
sentences, in the order of time, into the run's note, after what a person may have written there.
Airflow 3.3 gives a task no way to write its run's note itself, and a task has no business with a
password for the REST API, so a listener in the scheduler does it: one query for each run that ends.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from airflow.listeners import hookimpl
from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowException

from recloop.errors import RecloopError

KEY = "recloop_note"
LONGEST = 1000
"""Characters of a note in Airflow's database."""
log = logging.getLogger(__name__)
Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


def note(sentence: str) -> None:
    """Let the note of this task's run say `sentence`."""
    log.info("%s", sentence)
    get_current_context()["ti"].xcom_push(key=KEY, value=plain(sentence))


def plain(sentence: str) -> str:
    """One line of text in which Airflow's Markdown finds no picture to fetch."""
    letters = "".join(letter if letter.isprintable() else " " for letter in sentence)
    return " ".join(letters.split()).replace("![", "! [")


def noted(task: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """Decorates a task's function: the error that ends it is in the run's note."""

    @functools.wraps(task)
    def told(*arguments: Arguments.args, **named: Arguments.kwargs) -> Returned:
        try:
            return task(*arguments, **named)
        except AirflowException:  # skips what follows, or the task: the task has said why
            raise
        except Exception as error:
            kind = "" if isinstance(error, RecloopError) else f"{type(error).__name__}: "
            note(f"{task.__name__} failed: {kind}{error}")
            raise

    return told


class RunNotes:
    """Airflow's listener: writes the note of a run that has ended."""

    @hookimpl
    def on_dag_run_success(self, dag_run: Any) -> None:
        """Airflow calls this in the scheduler, in the transaction that ends the run."""
        write_note(dag_run)

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any) -> None:
        """The same for a run that failed."""
        write_note(dag_run)


def write_note(dag_run: Any) -> None:
    """Put what the run's tasks said into its note. Repeated, as when a task is cleared, it adds what is
    new."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:
        return
    with session.no_autoflush:
        said = session.scalars(
            select(XComModel.value)
            .where(XComModel.dag_run_id == dag_run.id, XComModel.key == KEY)
            .order_by(XComModel.timestamp)
        )
        lines = (dag_run.note or "").splitlines()
        lines += [line for line in map(str, said) if line not in lines]
        if lines:
            dag_run.note = "\n".join(lines)[:LONGEST]
