"""`recloop demo`: what it prints for machines, and that it leaves no Airflow running."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recloop.demo import run
from recloop.errors import BadInput
from recloop.main import app
from recloop.runtime import airflow_process
from recloop.settings import Settings


@pytest.fixture
def stopped(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The homes whose processes a command has stopped, on a database that answers."""
    for variable, value in settings.environment().items():
        monkeypatch.setenv(variable, value)
    homes: list[Path] = []
    monkeypatch.setattr(airflow_process, "stop_all", lambda found: homes.append(found.home))
    return homes


@pytest.mark.parametrize("weeks", ["0", "-3", "many"])
def test_a_number_of_weeks_that_is_none_starts_nothing(stopped: list[Path], weeks: str) -> None:
    done = CliRunner().invoke(app, ["demo", "--weeks", weeks])
    assert (done.exit_code, stopped) == (2, [])
    assert "--weeks" in done.stderr


def test_the_report_is_printed_for_machines_alone(
    stopped: list[Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def report(given: Settings, weeks: int) -> dict[str, object]:
        assert len(stopped) == len(asked), "Airflow is stopped afterwards"
        asked.append((given.database_url, weeks))
        return {"windows": [], "wall_seconds": 1.5}

    monkeypatch.setattr(run, "run_demo", report)
    told = CliRunner().invoke(app, ["demo", "--json", "--weeks", "1"])
    assert json.loads(told.stdout) == {"windows": [], "wall_seconds": 1.5}
    assert stopped == [settings.home]
    assert CliRunner().invoke(app, ["demo"]).stdout == ""
    assert asked == [(settings.database_url, 1), (settings.database_url, 8)]


def test_a_demonstration_that_fails_stops_what_it_and_earlier_ones_started(
    stopped: list[Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise BadInput("no lines")

    monkeypatch.setattr(run, "run_demo", fail)
    done = CliRunner().invoke(app, ["demo", "--json"])
    assert isinstance(done.exception, BadInput)
    assert (done.stdout, stopped) == ("", [settings.home])
