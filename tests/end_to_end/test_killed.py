"""kill -9 in the middle of an update: every window is trained once, the champion keeps answering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil
import pytest

from recloop.runtime import airflow_process
from tests.asked_airflow import is_running
from tests.end_to_end.conftest import Loop, kill

pytestmark = pytest.mark.airflow


def test_a_killed_training_task_is_taken_over_and_a_second_trigger_finds_nothing_left(
    loop: Loop, asking: Callable[[], Any]
) -> None:
    window = loop.oldest_waiting()
    with asking() as answers:
        runs = [loop.start_update({"plan": "increment", "window": window}) for _ in range(2)]
        pid = loop.wait_for_training(runs[0])
        assert any("airflow" in part for part in psutil.Process(pid).cmdline()), "not a task"
        kill(pid)
        loop.finish(runs[0])
    tasks = loop.client.tasks("incremental_update", runs[0])
    tries = {task["task_id"]: task["try_number"] for task in tasks}
    assert (tries["plan"], tries["train"], tries["evaluate"]) == (1, 2, 1)
    assert answers.failures == []
    assert answers.given > 3

    assert loop.client.wait_for_run("incremental_update", runs[1], 240) == "failed"
    late = loop.client.task_states("incremental_update", runs[1])
    assert (late["plan"], late["train"]) == ("failed", "upstream_failed"), (
        "it says that nothing is left"
    )
    loop.assert_trained_once(window)


def test_killed_scheduler_goes_on_where_it_was(loop: Loop, asking: Callable[[], Any]) -> None:
    """The task may finish while no scheduler runs, or be stopped and repeated by the new one."""
    window = loop.oldest_waiting()
    with asking() as answers:
        run_id = loop.start_update({"plan": "increment", "window": window})
        loop.wait_for_training(run_id)
        kill(airflow_process.process_ids(loop.settings)["scheduler"])
        assert not is_running(loop.settings)
        loop.finish(run_id)  # nobody but the supervisor starts another
    loop.assert_trained_once(window)
    assert answers.failures == []
    assert answers.given > 3
