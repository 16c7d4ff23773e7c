"""The one judgement of whether Airflow works now, on made-up evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recloop.runtime.environment import PARALLELISM
from recloop.runtime.health import Evidence, judge
from recloop.runtime.process_sessions import COMPONENTS, SUPERVISOR

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


WELL = Evidence(
    now=NOW,
    started={name: ago(3600) for name in (*COMPONENTS, SUPERVISOR)},
    beats={name: ago(4) for name in ("scheduler", "dag-processor", "triggerer")},
)


def said(seen: Evidence) -> list[tuple[str, str]]:
    return [(complaint.component, complaint.kind) for complaint in judge(seen)]


def test_a_loop_that_works_has_no_complaints() -> None:
    assert judge(WELL) == []
    busy = replace(
        WELL, executors_at_work=PARALLELISM, tasks=PARALLELISM + 1, queued_since=ago(3000)
    )
    assert judge(busy) == [], "no executor is free"
    assert judge(replace(WELL, tasks=1, queued_since=ago(20))) == [], "not for long"
    slow = replace(WELL, executors_at_work=1, tasks=1, queued_since=ago(60))
    assert judge(slow) == [], "an executor has taken it up, and its process takes long to start"


@pytest.mark.parametrize("name", [*COMPONENTS, SUPERVISOR])
def test_a_process_that_is_gone_is_dead_however_young_its_heartbeat_is(name: str) -> None:
    started = {n: when for n, when in WELL.started.items() if n != name}
    assert said(replace(WELL, started=started)) == [(name, "dead")]


@pytest.mark.parametrize("name", ["scheduler", "dag-processor", "triggerer"])
@pytest.mark.parametrize(("age", "expected"), [(29, []), (31, ["hangs"]), (840, ["hangs"])])
def test_a_heartbeat_counts_by_its_age_now(name: str, age: int, expected: list[str]) -> None:
    """A heartbeat of 14 minutes ago was good once, because it was later than the process's start."""
    seen = replace(WELL, beats={**WELL.beats, name: ago(age)})
    assert said(seen) == [(name, kind) for kind in expected]


@pytest.mark.parametrize(("age", "kind"), [(100, "starting"), (700, "late")])
def test_a_component_has_ten_minutes_to_its_first_sign_of_life(age: int, kind: str) -> None:
    beats = {n: beat for n, beat in WELL.beats.items() if n != "triggerer"}
    started = {**WELL.started, "triggerer": ago(age), "api-server": ago(age)}
    seen = replace(WELL, beats=beats, started=started, silence="connection refused")
    kinds = ("silent", "hangs") if kind == "late" else (kind, kind)
    assert said(seen) == [("api-server", kinds[0]), ("triggerer", kinds[1])]


def test_a_queued_task_that_no_free_executor_takes_is_noticed() -> None:
    """What a killed idle executor leaves: all heartbeats are young, and no task ever starts."""
    seen = replace(WELL, executors_at_work=PARALLELISM - 1, tasks=PARALLELISM, queued_since=ago(31))
    (complaint,) = judge(seen)
    assert (complaint.component, complaint.kind) == ("scheduler", "stuck")
    assert f"queued for 31 s while 1 of {PARALLELISM} executor processes are free" in str(complaint)


def test_a_lost_idle_executor_is_a_complaint_once_no_task_would_be_disturbed() -> None:
    assert said(replace(WELL, lost_idle=1)) == [("scheduler", "stuck")]
    assert said(replace(WELL, lost_idle=1, executors_at_work=1)) == []


def test_a_scheduler_that_hangs_is_told_once() -> None:
    beats = {**WELL.beats, "scheduler": ago(90)}
    assert said(replace(WELL, beats=beats, tasks=1, queued_since=ago(90))) == [
        ("scheduler", "hangs")
    ]
