"""Ending sessions: children, orphans, strangers."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from recloop.runtime import process_sessions
from recloop.settings import Settings

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}])
print(child.pid, flush=True)
time.sleep(60)
"""
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


@pytest.fixture
def family() -> Iterator[tuple[subprocess.Popen[str], int]]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(child=STUBBORN)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout
    child = int(parent.stdout.readline())
    time.sleep(0.3)  # until it ignores SIGTERM
    yield parent, child
    for pid in (parent.pid, child):
        if psutil.pid_exists(pid):
            psutil.Process(pid).kill()
    parent.wait()
    parent.stdout.close()


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_ends_parent_and_stubborn_child(family: tuple[subprocess.Popen[str], int]) -> None:
    parent, child = family
    assert process_sessions.end([process_sessions.record_of(parent.pid)], patience=0.5) == 2
    assert gone(parent.pid)
    assert gone(child)


def test_finds_the_orphan_of_a_killed_leader(family: tuple[subprocess.Popen[str], int]) -> None:
    parent, child = family
    record = process_sessions.record_of(parent.pid)
    parent.kill()
    parent.wait()
    assert not process_sessions.alive(record)
    assert [p.pid for p in process_sessions.members(record)] == [child]
    process_sessions.end([record], patience=0.2)
    assert gone(child)


def test_spares_a_process_that_got_the_number_later(
    family: tuple[subprocess.Popen[str], int],
) -> None:
    parent, _ = family
    now = process_sessions.record_of(parent.pid)
    assert process_sessions.alive({**now, "created": now["created"] - 3600}), "the clock was set"
    for other in ({"started": "another boot 1"}, {"started": now["started"] + "1"}):
        record = {**now, **other}
        assert not process_sessions.alive(record)
        assert process_sessions.end([record], patience=0.2) == 0
    assert parent.poll() is None


def test_what_cannot_be_noted_is_ended(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk nobody would know of it, and the next look would start another."""
    started: list[subprocess.Popen[bytes]] = []

    def spawn(*_: object) -> process_sessions.Record:
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        started.append(subprocess.Popen(command, start_new_session=True))
        return process_sessions.record_of(started[0].pid)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(process_sessions, "spawn", spawn)
    monkeypatch.setattr(process_sessions, "write_state", full)
    state = process_sessions.read_state(settings)
    with pytest.raises(OSError, match="No space"):
        process_sessions.start_again(settings, state, "scheduler", {})
    assert started[0].wait(10) is not None
