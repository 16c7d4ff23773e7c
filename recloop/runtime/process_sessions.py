"""Process sessions: recognising, listing and ending what a component and its children are.

A component leads a session of its own. Its children stay in that session when it is killed, so that
orphans are found by the session's number, which no new process is given while a member lives.

Belongs here: processes as the operating system sees them. Keep out: which components there are (see
`airflow_process.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from recloop.home import UMASK
from recloop.runtime.environment import HOST
from recloop.settings import Settings

Record = dict[str, Any]
"""`{"pid", "created", "started"}` of a session's leader; `started`, in ticks since the machine's start,
tells it from a later process of that pid, also when the clock was set."""

WORKER = "LocalExecutor:"
IDLE_WORKER = "LocalExecutor: <idle>"
"""Titles that Airflow's executor processes give themselves."""


class Executors(NamedTuple):
    """Process ids of a scheduler's executor processes, by what they do."""

    idle: frozenset[int] = frozenset()
    at_work: frozenset[int] = frozenset()


def record_of(pid: int) -> Record:
    """What has to be remembered of a process that was just started."""
    created = psutil.Process(pid).create_time()
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return {"pid": pid, "created": created, "started": f"{boot} {ticks}"}
    return {"pid": pid, "created": created}


def alive(record: Record | None) -> bool:
    """Whether the recorded process, and not another with its number, runs."""
    with contextlib.suppress(psutil.Error):
        if record is not None and _is_it(record):
            return bool(psutil.Process(record["pid"]).status() != psutil.STATUS_ZOMBIE)
    return False


def _is_it(record: Record) -> bool:
    """Whether the process of this number, which may have ended, is the recorded one."""
    now = record_of(record["pid"])
    if "started" in record and "started" in now:
        return bool(now["started"] == record["started"])
    return bool(abs(now["created"] - record["created"]) < 2)


def members(record: Record) -> list[psutil.Process]:
    """The session's processes, its leader included; empty if the number is somebody else's now."""
    with contextlib.suppress(psutil.Error):
        if not _is_it(record):
            return []
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) == record["pid"]:
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


def end(records: Iterable[Record], patience: float) -> int:
    """End whole sessions: SIGTERM, and SIGKILL after `patience` seconds. Returns how many processes.

    Everybody is told at once: a scheduler that alone gets SIGTERM waits for its tasks.
    """
    sessions = list(records)
    return end_processes(lambda: [p for record in sessions for p in members(record)], patience)


def end_processes(those: Callable[[], list[psutil.Process]], patience: float) -> int:
    """The same for processes that `those` finds; it is asked again before SIGKILL, for new ones."""
    told = those()
    _signal(told, signal.SIGTERM)
    psutil.wait_procs(told, timeout=patience)
    left = those()
    _signal(left, signal.SIGKILL)
    psutil.wait_procs(left, timeout=5)
    return len(told)


def executors(scheduler: Record | None) -> Executors:
    """The executor processes of a scheduler, its children; none if it does not run."""
    idle, at_work = set[int](), set[int]()
    if scheduler is None or not alive(scheduler):
        return Executors()
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(scheduler["pid"]).children():
            with contextlib.suppress(psutil.Error):
                title = " ".join(child.cmdline())
                if WORKER in title:
                    (idle if IDLE_WORKER in title else at_work).add(child.pid)
    return Executors(frozenset(idle), frozenset(at_work))


def working_in(folder: Path) -> list[psutil.Process]:
    """Airflow's processes that were started in this folder, and what came of them.

    Told by the folder, since Airflow's titles take the place of their command lines and environments.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if Path(process.cwd()) == folder and _of_airflow(process.cmdline()):
                found.append(process)
    return found


def _of_airflow(command: list[str]) -> bool:
    title = " ".join(command)
    return title.startswith("airflow ") or any(
        f" -m {module}" in title for module in ("airflow ", "recloop.runtime.supervisor")
    )


def end_all_but_tasks(record: Record) -> None:
    """End what a killed component left, except executors that are at work: their task may finish."""
    for process in members(record):
        with contextlib.suppress(psutil.Error):
            family = [process, *process.parents()]
            titles = [" ".join(relative.cmdline()) for relative in family]
            at_work = any(WORKER in t and IDLE_WORKER not in t for t in titles)
            if not at_work:
                process.kill()


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


# Airflow's components as processes: what each is started with, and the note of what was started.
#
# The note, `$AIRFLOW_HOME/processes.json`, lets a later command, the supervisor, or the next boot
# after a crash find them. Whoever writes it or starts a component holds the home's lock `LOCK`.

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
    state["former"] = [record for record in state["former"] if members(record)]
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(state, indent=2))
    partial.replace(path)


def living(state: State) -> dict[str, Record]:
    """What the note has of processes that are alive, the supervisor among them."""
    noted = {**state["processes"], SUPERVISOR: state[SUPERVISOR]}
    return {name: record for name, record in noted.items() if alive(record)}


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
        end_all_but_tasks(former)
        state["former"].append(former)
    state["processes"][name] = spawn(
        settings, name, ["-m", "airflow", *COMPONENTS[name]], environment
    )
    try:
        write_state(settings, state)
    except OSError:  # a full disk: nobody would know of it, and start another
        end_all_but_tasks(state["processes"][name])
        raise


def spawn(
    settings: Settings, name: str, arguments: list[str], environment: dict[str, str]
) -> Record:
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
    return record_of(process.pid)
