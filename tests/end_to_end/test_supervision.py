"""What dies under `recloop up` is started again by nobody but its supervisor, and nothing lies open.

`make chaos` kills every kind of process, many times over.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import psutil
import pytest

from recloop.errors import RecloopError
from recloop.features.store import forget_store
from recloop.runtime import airflow_process, process_sessions
from recloop.runtime.process_sessions import read_state
from tests.asked_airflow import is_running
from tests.chaos.kills import kill
from tests.end_to_end.conftest import Loop
from tests.recloop.test_home import open_to_others

pytestmark = pytest.mark.airflow
RECOVERY = 240.0
"""Seconds, of which an idle machine needs 30: the scheduler's imports are most of it."""


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + RECOVERY
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except (RecloopError, psutil.Error):
            pass
        time.sleep(0.5)
    return False


def test_a_killed_idle_executor_and_a_killed_postmaster_do_not_stop_the_loop(loop: Loop) -> None:
    """The idle executor takes the lock of the queue of tasks along: no task would ever start again.
    The postmaster takes all connections along. Both are mended at once, by one start of a scheduler."""
    scheduler = airflow_process.process_ids(loop.settings)["scheduler"]
    luck = random.Random(7)
    kill(loop.settings, "idle executor", luck)
    kill(loop.settings, "postmaster", luck)
    forget_store(loop.settings.database_url)  # this process's own connections
    assert wait_for(
        lambda: (
            airflow_process.process_ids(loop.settings).get("scheduler") not in (None, scheduler)
            and is_running(loop.settings)
        )
    )
    loop.client.pause("full_rebuild", paused=False)
    run_id = loop.client.trigger("full_rebuild", {"dry_run": True})
    assert loop.client.wait_for_run("full_rebuild", run_id, RECOVERY) == "success"


def test_a_killed_supervisor_is_replaced_by_its_other_half(loop: Loop) -> None:
    killed = kill(loop.settings, "supervisor", random.Random(7))

    def whole_again() -> bool:
        record = read_state(loop.settings)["supervisor"]
        if not process_sessions.alive(record):
            return False
        pair = {record["pid"], *(child.pid for child in psutil.Process(record["pid"]).children())}
        return len(pair) == 2 and killed not in pair

    assert wait_for(whole_again)
    assert is_running(loop.settings)


def test_what_airflow_and_its_tasks_wrote_is_their_user_s_alone(loop: Loop) -> None:
    assert open_to_others(loop.settings.home) == []
    logs = (loop.settings.home / "logs").glob("*.log")
    said = "".join(log.read_text(errors="replace") for log in logs)
    assert "Password for user" not in said
