"""The supervisor's patience, and what it does about a component, without an Airflow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from recloop.database import embedded
from recloop.database.connection import transaction
from recloop.runtime import process_sessions, supervisor
from recloop.runtime.health import Complaint
from recloop.runtime.process_sessions import read_state, write_state
from recloop.runtime.supervisor import CALM, LONGEST_DELAY, Patience, Watchman
from recloop.settings import Settings

pytestmark = pytest.mark.slow

DEAD = Complaint("scheduler", "dead", "does not run")
HANGS = Complaint("triggerer", "hangs", "sent its last heartbeat 40 s ago")
STARTING = Complaint("triggerer", "starting", "has not sent a heartbeat yet")


def test_the_dead_are_due_at_once_and_those_who_hang_after_fifteen_seconds() -> None:
    patience = Patience()
    assert patience.due([DEAD, HANGS, STARTING], 100.0) == [DEAD]
    assert patience.due([HANGS], 114.0) == []
    assert patience.due([HANGS], 115.0) == [HANGS]


def test_a_complaint_that_goes_away_begins_anew() -> None:
    """After the machine slept, each heartbeat is old at the first look and young at the next."""
    patience = Patience()
    patience.due([HANGS], 0.0)
    patience.due([], 3.0)
    assert patience.due([HANGS], 16.0) == []


def test_what_dies_again_and_again_is_started_ever_more_rarely() -> None:
    patience, starts, now = Patience(), [], 0.0
    while now < 600:
        if patience.due([DEAD], now):
            starts.append(now)
            patience.started("scheduler", now)
        now += 1
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert gaps[:5] == [5, 10, 20, 40, 80]
    assert max(gaps) <= LONGEST_DELAY
    assert len(starts) <= 12
    assert patience.due([DEAD], now + CALM) == [DEAD], "long calm: at once, as at first"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_an_idle_executor_that_is_gone_is_counted_and_one_that_took_a_task_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes]
) -> None:
    watchman = Watchman(settings)
    state: dict[str, Any] = {"processes": {"scheduler": process_sessions.record_of(sleeper.pid)}}
    looks = [
        process_sessions.Executors(frozenset({1, 2, 3, 4})),
        process_sessions.Executors(frozenset({2, 3, 4}), frozenset({1})),
        process_sessions.Executors(frozenset({3, 4}), frozenset({1})),
    ]
    lost = []
    for seen in looks:
        monkeypatch.setattr(process_sessions, "executors", lambda _, seen=seen: seen)
        watchman._count_lost(state)
        lost.append(watchman._lost_idle)
    assert lost == [0, 0, 1]
    sleeper.kill()
    sleeper.wait()
    watchman._count_lost(state)
    assert watchman._lost_idle == 0, "executors end with their scheduler"


def test_a_component_that_died_is_started_again_and_noted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes]
) -> None:
    started: list[str] = []
    monkeypatch.setattr(supervisor, "airflow_environment", lambda *_: {})
    monkeypatch.setattr(supervisor, "start_again", lambda _, __, name, ___: started.append(name))
    watchman = Watchman(settings)
    monkeypatch.setattr(watchman, "_complaints", lambda _: [DEAD, HANGS])
    state = {"port": 1, "processes": {"scheduler": process_sessions.record_of(sleeper.pid)}}
    watchman.round(state)
    watchman.round(state)
    assert started == ["scheduler"], "once, then its back-off; the other has not hung for long"


def wait_for(condition: Any, seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def test_a_postgres_that_hangs_is_ended_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped postmaster takes up no connection, and a connection that it took up before works."""
    url = embedded.ensure_running(tmp_path)
    hung = embedded.running_pid(tmp_path)
    assert hung is not None
    watchman = Watchman(Settings(home=tmp_path))
    monkeypatch.setattr(watchman, "_complaints", lambda _: [])
    state: Any = {"port": 0, "processes": {}}
    try:
        watchman.round(state)
        assert embedded.running_pid(tmp_path) == hung
        with transaction(url) as cursor:
            os.kill(hung, signal.SIGSTOP)
            cursor.execute("select 1")
        watchman.round(state)
        watchman.round(state)
        assert embedded.running_pid(tmp_path) not in (None, hung)
        with transaction(url) as cursor:
            cursor.execute("select 1")
    finally:
        embedded.stop(tmp_path)


def test_guardian_and_watchman_replace_each_other_and_stop_when_told(settings: Settings) -> None:
    """One real supervisor on a home without Airflow: it has nothing to start but itself."""
    state = {**read_state(settings), "port": 1}
    settings.airflow_home.mkdir(parents=True)
    supervisor.start(settings, state)
    guardian = psutil.Process(state["supervisor"]["pid"])

    def watchman() -> psutil.Process | None:
        return next(iter(guardian.children()), None)

    try:
        first = wait_for(watchman)
        os.kill(first.pid, signal.SIGKILL)
        second = wait_for(lambda: (now := watchman()) and now.pid != first.pid and now)
        assert second, "the guardian made another watchman"
        time.sleep(0.5)  # into its life
        os.kill(guardian.pid, signal.SIGKILL)
        assert wait_for(lambda: read_state(settings)["supervisor"]["pid"] != guardian.pid), (
            "the watchman made another guardian"
        )
        assert process_sessions.alive(read_state(settings)["supervisor"])
    finally:
        record = read_state(settings)["supervisor"]
        process_sessions.end([record], 5)
    assert not process_sessions.alive(record)
    assert not second.is_running()
    write_state(settings, {**read_state(settings), "supervisor": None})
