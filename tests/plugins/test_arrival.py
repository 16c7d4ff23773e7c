"""The trigger that looks for new lines, and the wake-up calls it leads to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from recloop_airflow import arrival
from recloop_airflow.arrival import BehaviorArrival
from recloop_airflow.waking import wake_up_calls


def fired(monkeypatch: pytest.MonkeyPatch, looks: list[Any], count: int) -> list[Any]:
    """Payloads of the first `count` events, given what each look finds."""
    answers = iter(looks)

    def look() -> list[str]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    monkeypatch.setattr(arrival, "_look", look)

    async def collect() -> list[Any]:
        events = BehaviorArrival(every=0).run()
        return [(await anext(events)).payload for _ in range(count)]

    return asyncio.run(asyncio.wait_for(collect(), 10))


def test_fires_once_for_the_same_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [[], ["a"], ["a"], ["a", "b"], ["a", "b"], [], ["a"]]
    assert fired(monkeypatch, looks, 3) == [
        {"windows": ["a"]},
        {"windows": ["a", "b"]},
        {"windows": ["a"]},
    ]


def test_keeps_looking_when_the_source_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [OSError("away"), OSError("away"), ["a"]]
    assert fired(monkeypatch, looks, 1) == [{"windows": ["a"]}]


def test_a_look_names_new_lines_and_updates_that_lost_their_holder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from recloop.stages import ingest_stages, update_stages

    monkeypatch.setattr(ingest_stages, "arrivals", lambda: ["a", "b"])
    monkeypatch.setattr(update_stages, "abandoned", lambda: ["b", "c"])
    assert arrival._look() == ["a", "b", "c"]


def test_can_be_rebuilt_in_the_triggerer() -> None:
    from airflow.sdk.module_loading import import_string

    path, arguments = BehaviorArrival(every=5.0).serialize()
    assert import_string(path)(**arguments).every == 5.0


def test_wake_up_calls_are_in_the_order_of_windows_and_unique() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    calls = wake_up_calls(["2011-06-13", "2011-05-30", "2011-06-06"], now)
    assert [c["conf"]["window"] for c in calls] == ["2011-05-30", "2011-06-06", "2011-06-13"]
    after = [c["run_after"] for c in calls]
    assert after == sorted(set(after))
    assert len({c["trigger_run_id"] for c in calls}) == 3


def test_no_arrivals_no_calls() -> None:
    assert wake_up_calls([], datetime(2026, 1, 1, tzinfo=UTC)) == []
    many = wake_up_calls([f"{n:04}" for n in range(1500)])
    assert [call["conf"]["window"] for call in many] == [f"{n:04}" for n in range(1000)]
