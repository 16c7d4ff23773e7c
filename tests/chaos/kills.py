"""Which process dies: one victim of each kind that the loop of one machine has."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from recloop.database import embedded
from recloop.database.connection import transaction
from recloop.runtime import process_sessions
from recloop.runtime.process_sessions import read_state
from recloop.settings import PROJECT, Settings, process_environment

PATIENCE = 90.0
"""Seconds in which a victim has to show itself; a task needs work to be there."""
READ_CALLS = ("0", "63")
"""Number of the system call `read`, on x86-64 and on ARM."""


def kill(settings: Settings, kind: str, luck: random.Random) -> int:
    """kill -9 of one process of this kind; returns its id.

    Raises:
        TimeoutError: none showed itself.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        victim = VICTIMS[kind](settings, luck)
        if victim is not None and psutil.pid_exists(victim):
            if kind in AT_WORK:
                time.sleep(luck.uniform(0, 1.5))  # into the middle of it
            try:
                psutil.Process(victim).kill()
            except psutil.NoSuchProcess:
                continue  # it was faster
            return victim
        time.sleep(0.1)
    raise TimeoutError(f"no {kind} to kill within {PATIENCE:.0f} s")


def _component(name: str) -> Callable[[Settings, random.Random], int | None]:
    def find(settings: Settings, luck: random.Random) -> int | None:
        record = read_state(settings)["processes"].get(name)
        return record["pid"] if process_sessions.alive(record) else None

    return find


def _executors(settings: Settings) -> process_sessions.Executors:
    return process_sessions.executors(read_state(settings)["processes"].get("scheduler"))


def _executor_at_work(settings: Settings, luck: random.Random) -> int | None:
    return luck.choice(sorted(_executors(settings).at_work) or [None])  # type: ignore[list-item]


def _task(settings: Settings, luck: random.Random) -> int | None:
    for executor in _executors(settings).at_work:
        for child in psutil.Process(executor).children() if psutil.pid_exists(executor) else ():
            return child.pid
    return None


def _idle_executor(settings: Settings, luck: random.Random) -> int | None:
    """The one that holds the lock of the queue of tasks: it reads, while the others wait for it."""
    idle = sorted(_executors(settings).idle)
    for pid in idle:
        try:
            if Path(f"/proc/{pid}/syscall").read_text().split()[0] in READ_CALLS:
                return pid
        except OSError:
            continue
    return luck.choice(idle) if idle else None


def _postmaster(settings: Settings, luck: random.Random) -> int | None:
    return embedded.running_pid(settings.home)


def _backend(settings: Settings, luck: random.Random) -> int | None:
    """A server process of one of Airflow's or recloop's connections: PostgreSQL starts all anew."""
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            "select pid from pg_stat_activity where backend_type = 'client backend' "
            "and pid <> pg_backend_pid() order by pid"
        )
        pids = [pid for (pid,) in cursor.fetchall()]
    return luck.choice(pids) if pids else None


def _supervisor(settings: Settings, luck: random.Random) -> int | None:
    """The guardian, or the watchman that it guards."""
    record = read_state(settings)["supervisor"]
    if not process_sessions.alive(record):
        return None
    pids = [record["pid"], *(child.pid for child in psutil.Process(record["pid"]).children())]
    return luck.choice(pids)


def _cli_update(settings: Settings, luck: random.Random) -> int | None:
    """`recloop update`, once it holds the lease of an update."""
    command = subprocess.Popen(
        [sys.executable, "-m", "recloop.main", "update"],
        env=process_environment() | settings.environment(),
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while command.poll() is None:
        with transaction(settings.database_url) as cursor:
            cursor.execute("select count(*) from ledger.update where state = 'training'")
            if cursor.fetchone() != (0,):
                time.sleep(luck.uniform(0, 3))
                return command.pid
        time.sleep(0.2)
    return None


VICTIMS: dict[str, Callable[[Settings, random.Random], int | None]] = {
    "task": _task,
    "executor at work": _executor_at_work,
    "idle executor": _idle_executor,
    "scheduler": _component("scheduler"),
    "dag-processor": _component("dag-processor"),
    "triggerer": _component("triggerer"),
    "api-server": _component("api-server"),
    "postmaster": _postmaster,
    "backend": _backend,
    "supervisor": _supervisor,
    "cli update": _cli_update,
}
AT_WORK = ("task", "executor at work")
"""Kinds that exist only while something is done."""
