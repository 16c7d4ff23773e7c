"""Shards as mapped tasks of a real Airflow: the same model as in one process, and nobody waits for the
dead. How good it is beside a window learnt in one piece is asked in `tests/integration/test_shards.py`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from recloop.cli.loop import run_update
from recloop.stages import update_stages
from recloop.training.recommender import restore_model
from tests.end_to_end.conftest import Loop, kill

pytestmark = pytest.mark.airflow
DAG = "incremental_update"
BOUND = 20


@pytest.fixture(autouse=True)
def three_workers(loop: Loop) -> Iterator[None]:
    """As if there were three GPUs."""
    pool = f"/api/v2/pools/{loop.settings.gpu_pool}"
    body = {"name": loop.settings.gpu_pool, "slots": 3, "include_deferred": False}
    loop.client._send("PATCH", pool, body)
    yield
    loop.client._send("PATCH", pool, body | {"slots": 1})


def trained(loop: Loop, version: int) -> dict[str, np.ndarray]:
    uri = loop.one(f"select uri from ledger.release where version = {version}")
    return restore_model(uri).parameters()


def shards_of(loop: Loop, run_id: str) -> list[dict[str, Any]]:
    tasks = loop.client.tasks(DAG, run_id)
    mapped = [task for task in tasks if task["task_id"] == "train_shard" and task["map_index"] >= 0]
    return sorted(mapped, key=lambda task: int(task["map_index"]))


def test_mapped_shards_make_the_model_that_one_process_makes(loop: Loop) -> None:
    window = loop.oldest_waiting()
    parent = loop.champion()
    options = {"policy": "every-window", "shards": 3}
    here = run_update(loop.settings, window, "increment", options)
    assert here["outcome"] == "promoted", here["gate"]
    update_stages.roll_back(parent, "to learn it on workers", loop.settings)

    run_id = loop.start_update({"plan": "increment", "window": window, "shards": 3})
    states = loop.finish(run_id)
    assert (states["train"], states["split"], states["merge"]) == ("skipped", "success", "success")
    assert (states["evaluate"], states["promote"]) == ("success", "success")
    mapped = shards_of(loop, run_id)
    assert [task["map_index"] for task in mapped] == [0, 1, 2]
    assert [task["state"] for task in mapped] == ["success"] * 3
    assert len({task["pid"] for task in mapped}) == 3, "each has a process of its own"
    assert [task["pool"] for task in mapped] == [loop.settings.gpu_pool] * 3
    reported = "select state from ledger.shard order by update_id desc, number limit 3"
    assert loop.rows(reported) == [("reported",)] * 3

    assert loop.champion() > here["release"]["version"]
    ours, theirs = trained(loop, loop.champion()), trained(loop, here["release"]["version"])
    for name, table in theirs.items():
        np.testing.assert_array_equal(ours[name], table, err_msg=name)


def test_a_hung_and_a_killed_shard_delay_nothing_beyond_the_bound(loop: Loop) -> None:
    window = loop.oldest_waiting()
    before = loop.champion()
    conf = {"plan": "increment", "window": window, "strategy": {"shards": 3, "shard_wait": BOUND}}
    run_id = loop.start_update(conf)

    def running() -> dict[int, int] | bool:
        pids = {
            t["map_index"]: t["pid"] for t in shards_of(loop, run_id) if t["state"] == "running"
        }
        begun = {
            n for (n,) in loop.rows("select number from ledger.shard where state = 'training'")
        }
        ready = {number: pid for number, pid in pids.items() if number in begun and pid}
        return len(ready) >= 2 and ready

    pids = loop.client.wait_until(running, 120, "two shards at work", every=0.1)
    assert isinstance(pids, dict)
    (hung, stopped), (_, killed) = sorted(pids.items())[:2]
    os.kill(stopped, signal.SIGSTOP)
    try:
        kill(killed)
        loop.client.wait_until(lambda: loop.champion() > before, 3 * BOUND, "the promotion")
        promoted = time.time()
        state, after, opened = loop.rows(
            "select state, extract(epoch from changed_at - opened_at)::float8, "
            "extract(epoch from opened_at)::float8 from ledger.shard "
            f"where number = {hung} order by update_id desc limit 1"
        )[0]
        assert state == "taken"
        assert BOUND <= after < BOUND + 10
        assert promoted - opened < BOUND + 90, (
            "merging, the gate and the promotion on a busy machine"
        )
        (task,) = [task for task in shards_of(loop, run_id) if task["map_index"] == hung]
        assert task["state"] == "running", "nobody waited for Airflow to find out"
    finally:
        os.kill(stopped, signal.SIGCONT)
    loop.finish(run_id)
    ended = {task["map_index"]: task["state"] for task in shards_of(loop, run_id)}
    assert ended[hung] == "skipped", "what it learned came too late"
    assert set(ended.values()) <= {"success", "skipped"}
    learnt = loop.rows(
        "select count(*) from ledger.trained t join ledger.reign r using (version) "
        f"where r.ended_at is null and window_key = '{window}'"
    )
    assert learnt == [(1,)]
