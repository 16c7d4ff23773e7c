"""What became of a run is in its note."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from recloop_airflow import notes
from recloop_airflow.notes import KEY, noted, plain, write_note

from recloop.errors import WindowRefused

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the running task pushed."""
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))
    monkeypatch.setattr(notes, "get_current_context", lambda: {"ti": ti})
    return pushed


def test_a_task_that_fails_says_why_and_still_fails(said: dict[str, Any]) -> None:
    @noted
    def validate(window: str) -> None:
        raise WindowRefused(f"window {window} is refused\nby 2 rules")

    with pytest.raises(WindowRefused):
        validate("2011-06-06")
    assert said == {KEY: "validate failed: window 2011-06-06 is refused by 2 rules"}

    @noted
    def train() -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        train()
    assert said == {KEY: "train failed: ZeroDivisionError: a bug"}


def test_a_task_that_skips_is_no_failure(said: dict[str, Any]) -> None:
    @noted
    def thin() -> None:
        raise AirflowSkipException("a dry run deletes nothing")

    with pytest.raises(AirflowSkipException):
        thin()
    assert said == {}


def test_a_task_keeps_its_name_signature_and_answer() -> None:
    @noted
    def announce(outlet_events: Any = None) -> str:
        """Tells."""
        return f"told {outlet_events}"

    assert (announce.__name__, announce.__doc__) == ("announce", "Tells.")
    assert announce(outlet_events=3) == "told 3"


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("two\nlines\x1b[2J\x00", "two lines [2J"),
        ("![x](http://evil.example/x.png)", "! [x](http://evil.example/x.png)"),
        ("caf\udce9", "caf"),
        ("Crème 日本", "Crème 日本"),
    ],
)
def test_a_note_is_one_line_of_text_without_pictures(sentence: str, shown: str) -> None:
    assert plain(sentence) == shown


@pytest.fixture
def metadata() -> Iterator[Any]:
    """A session on an empty database with the tables of runs, their notes and XComs."""
    from airflow.models.base import Base
    from airflow.models.dagrun import DagRun, DagRunNote
    from airflow.models.tasklog import LogTemplate
    from airflow.models.xcom import XComModel
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    engine = create_engine("sqlite://")
    tables = [model.__table__ for model in (DagRun, DagRunNote, LogTemplate, XComModel)]
    Base.metadata.create_all(engine, tables=tables)
    with Session(engine) as session:
        yield session
    engine.dispose()


def a_run(session: Any, own: str | None, sentences: list[str]) -> Any:
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel

    run = DagRun(
        dag_id="full_rebuild",
        run_id="r",
        run_type="manual",
        run_after=NOW,
        state="success",
        note=own,
    )
    session.add(run)
    session.flush()
    for n, sentence in enumerate(sentences):
        session.add(
            XComModel(
                dag_run_id=run.id, task_id=f"t{n}", map_index=-1, key=KEY, dag_id=run.dag_id,
                run_id="r", value=sentence, timestamp=NOW - timedelta(seconds=n),
            )
        )  # fmt: skip
    session.commit()
    return run


def test_a_run_ends_with_what_its_tasks_said_in_the_order_of_time(metadata: Any) -> None:
    run = a_run(metadata, None, ["release 9 is champion", "window 2011-06-06: increment"])
    notes.RunNotes().on_dag_run_success(run)
    metadata.commit()
    assert run.note == "window 2011-06-06: increment\nrelease 9 is champion"
    write_note(run)  # once more, as when a task was cleared
    metadata.commit()
    assert run.note == "window 2011-06-06: increment\nrelease 9 is champion"


def test_what_a_person_wrote_stays_and_comes_first(metadata: Any) -> None:
    run = a_run(metadata, "ask me before you clear this", ["x" * 2000])
    notes.RunNotes().on_dag_run_failed(run)
    metadata.commit()
    assert run.note.startswith("ask me before you clear this\nxxx")
    assert len(run.note) == 1000


def test_a_run_that_said_nothing_has_no_note(metadata: Any) -> None:
    run = a_run(metadata, None, [])
    write_note(run)
    assert run.note is None
