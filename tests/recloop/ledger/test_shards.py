"""Shards: each has one worker at a time, and the merge has the last word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from recloop.contracts import ShardReport
from recloop.database.connection import transaction
from recloop.errors import BadInput, LeaseLost
from recloop.ledger import shards, updates
from recloop.settings import PROJECT
from recloop.stages import bookkeeping
from tests.recloop.ledger.builders import feature, plan


@pytest.fixture
def lease(cursor):
    """Of an update in training, with four shards opened."""
    feature(cursor, 0)
    held = updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "run")
    updates.note_training(cursor, held)
    shards.open_shards(cursor, held, 4)
    return held


def report(lease, number: int, examples: int = 10) -> ShardReport:
    return ShardReport(
        update_id=lease.update_id,
        number=number,
        uri="/nowhere",
        parent_release=1,
        examples=examples,
        cpu_seconds=0.5,
    )


def states(cursor, lease) -> list[str]:
    return [shard.state for shard in shards.shards_of(cursor, lease.update_id)]


def test_shards_are_trained_and_reported_in_any_order(cursor, lease) -> None:
    tokens = {n: shards.begin_shard(cursor, lease.update_id, n) for n in (2, 0, 3, 1)}
    assert states(cursor, lease) == ["training"] * 4
    assert len(set(tokens.values())) == 4
    shards.report_shard(cursor, report(lease, 3), tokens[3])
    assert states(cursor, lease) == ["training", "training", "training", "reported"]
    assert shards.shards_of(cursor, lease.update_id)[3].report == report(lease, 3)


def test_a_retry_fences_the_try_before_it(cursor, lease) -> None:
    first = shards.begin_shard(cursor, lease.update_id, 1)
    second = shards.begin_shard(cursor, lease.update_id, 1)
    with pytest.raises(LeaseLost, match="shard 1"):
        shards.report_shard(cursor, report(lease, 1, 11), first)
    shards.report_shard(cursor, report(lease, 1, 22), second)
    assert shards.shards_of(cursor, lease.update_id)[1].report.examples == 22
    assert shards.begin_shard(cursor, lease.update_id, 1) is None, "a third try has nothing to do"


def test_what_comes_after_the_merge_is_discarded(cursor, lease) -> None:
    tokens = [shards.begin_shard(cursor, lease.update_id, n) for n in range(3)]
    shards.report_shard(cursor, report(lease, 0), tokens[0])
    assert shards.take_shards(cursor, lease) == [1, 2, 3]
    with pytest.raises(LeaseLost, match="taken its events over"):
        shards.report_shard(cursor, report(lease, 1), tokens[1])
    with pytest.raises(LeaseLost):
        shards.check_shard(cursor, lease.update_id, 2, tokens[2])
    for number in (1, 3):
        with pytest.raises(LeaseLost):
            shards.begin_shard(cursor, lease.update_id, number)
    assert states(cursor, lease) == ["reported", "taken", "taken", "taken"]
    assert shards.take_shards(cursor, lease) == [1, 2, 3], (
        "a merge that is repeated learns the same"
    )
    assert shards.take_shards(cursor, lease, (0,)) == [0, 1, 2, 3]


def test_only_the_updates_holder_opens_and_takes_shards(cursor, lease) -> None:
    updates.take_over(cursor, lease.update_id, "run")
    for attempt in (
        lambda: shards.take_shards(cursor, lease),
        lambda: shards.open_shards(cursor, lease, 2),
    ):
        cursor.execute("savepoint before")
        with pytest.raises(LeaseLost):
            attempt()
        cursor.execute("rollback to savepoint before")
    assert states(cursor, lease) == ["waiting"] * 4


def test_shards_opened_anew_fence_the_workers_of_before(cursor, lease) -> None:
    token = shards.begin_shard(cursor, lease.update_id, 0)
    shards.open_shards(cursor, lease, 2)
    with pytest.raises(LeaseLost):
        shards.report_shard(cursor, report(lease, 0), token)
    assert states(cursor, lease) == ["waiting", "waiting"]
    with pytest.raises(BadInput, match="no shard 3"):
        shards.begin_shard(cursor, lease.update_id, 3)


def test_a_concluded_update_has_no_work_left(cursor, lease) -> None:
    token = shards.begin_shard(cursor, lease.update_id, 0)
    updates.conclude(cursor, lease, "abandoned", "test")
    with pytest.raises(LeaseLost):
        shards.begin_shard(cursor, lease.update_id, 1)
    with pytest.raises(LeaseLost):
        shards.check_shard(cursor, lease.update_id, 0, token)


def test_the_watch_tells_a_worker_that_its_shard_is_gone(database_url) -> None:
    with transaction(database_url) as cursor:
        feature(cursor, 0)
        held = updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "run")
        shards.open_shards(cursor, held, 1)
        token = shards.begin_shard(cursor, held.update_id, 0)

    def look(cursor) -> None:
        shards.check_shard(cursor, held.update_id, 0, token)

    with bookkeeping.watched(database_url, look, 0.02) as check:
        time.sleep(0.2)
        check()
        with transaction(database_url) as cursor:
            shards.take_shards(cursor, held)
        with pytest.raises(LeaseLost):
            wait_for_the_loss(check)


def wait_for_the_loss(check: Callable[[], None]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        check()
        time.sleep(0.02)


HANGING = """
import sys, threading
from recloop.settings import Settings
from recloop.stages import bookkeeping
bookkeeping.LOOK = bookkeeping.LAST_CHANCE = 0.1
settings, update_id = Settings(database_url=sys.argv[1]), int(sys.argv[2])
with bookkeeping.shard_held(settings, update_id, 0, worker=True):
    print("hanging", flush=True)
    threading.Event().wait()
"""


def test_a_worker_that_hangs_ends_once_its_shard_is_taken_over(database_url) -> None:
    with transaction(database_url) as cursor:
        feature(cursor, 0)
        held = updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "run")
        shards.open_shards(cursor, held, 1)
    command = [sys.executable, "-c", HANGING, database_url, str(held.update_id)]
    worker = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "hanging\n"
        time.sleep(0.5)
        assert worker.poll() is None, "its shard is its own: it may take its time"
        with transaction(database_url) as cursor:
            shards.take_shards(cursor, held)
        assert worker.wait(20) == 1
    finally:
        if worker.poll() is None:
            os.kill(worker.pid, signal.SIGKILL)
        if worker.stdout is not None:
            worker.stdout.close()
