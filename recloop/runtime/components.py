"""Airflow's components as processes: what each is started with, and the note of what was started.

The note, `$AIRFLOW_HOME/processes.json`, lets a later command, the supervisor, or the next boot after
a crash find them. Whoever writes it or starts a component holds the home's lock `LOCK`.

Belongs here: starting one, ending one, remembering. Keep out: which of them is well (see `health.py`),
and who decides (see `airflow_process.py` and `supervisor.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from recloop.home import UMASK
from recloop.runtime import sessions
from recloop.runtime.environment import HOST
from recloop.settings import Settings

COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
SUPERVISOR = "supervisor"
LOCK = "airflow"
DEFAULT_PORT = 8080

_outliving: list[subprocess.Popen[bytes]] = []
"""What this process started: Python warns of processes that it forgets while they run."""

State = dict[str, Any]
"""`{"port", "processes": {component: record}, "supervisor": record, "former": [record]}`; the former
are sessions of components that were replaced, in which a task may still be at work."""


def read_state(settings: Settings) -> State:
    """What was started last; empty if nothing was, or the note is lost."""
    empty: State = {"port": None, "processes": {}, SUPERVISOR: None, "former": []}
    try:
        return empty | json.loads(state_file(settings).read_text())
    except (OSError, ValueError):
        return empty


def write_state(settings: Settings, state: State) -> None:
    """Replace the note as a whole; former sessions that are empty by now are forgotten."""
    path = state_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    state["former"] = [record for record in state["former"] if sessions.members(record)]
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(state, indent=2))
    partial.replace(path)


def state_file(settings: Settings) -> Path:
    """Where the note is."""
    return settings.airflow_home / "processes.json"


def url(settings: Settings) -> str:
    """Where the UI answers, or answered last."""
    return f"http://{HOST}:{read_state(settings)['port'] or DEFAULT_PORT}"


def log_file(settings: Settings, component: str) -> Path:
    """Where a component writes."""
    return settings.home / "logs" / f"{component}.log"


def start_again(settings: Settings, state: State, name: str, environment: dict[str, str]) -> None:
    """Start a component in place of one that died, or of one that hangs, which is ended first.

    Executors at work are spared: their task may finish.
    """
    former = state["processes"].get(name)
    if former is not None:
        sessions.end_all_but_tasks(former)
        state["former"].append(former)
    state["processes"][name] = spawn(
        settings, name, ["-m", "airflow", *COMPONENTS[name]], environment
    )
    write_state(settings, state)


def spawn(
    settings: Settings, name: str, arguments: list[str], environment: dict[str, str]
) -> sessions.Record:
    """Start a Python process that leads a session of its own and writes to the component's log."""
    path = log_file(settings, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=settings.airflow_home,
            start_new_session=True,
            umask=UMASK,
        )
    _outliving.append(process)
    return sessions.record_of(process.pid)
