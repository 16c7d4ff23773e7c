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

    def look(_recommenders: list[str]) -> list[str]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    monkeypatch.setattr(arrival, "_look", look)

    async def collect() -> list[Any]:
        events = BehaviorArrival(0, ["default"]).run()
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
    from recloop.stages import bookkeeping, ingest_stages, update_stages

    monkeypatch.setattr(bookkeeping, "current_settings", lambda name: name)
    monkeypatch.setattr(ingest_stages, "arrivals", {"home": ["a", "b"]}.get)
    monkeypatch.setattr(update_stages, "abandoned", {"home": ["b"], "product": ["c"]}.get)
    assert arrival._look(["home", "product"]) == ["a", "b", "c"]


def test_can_be_rebuilt_in_the_triggerer() -> None:
    from airflow.sdk.module_loading import import_string

    path, arguments = BehaviorArrival(5.0, ["home"]).serialize()
    again = import_string(path)(**arguments)
    assert (again.every, again.recommenders) == (5.0, ["home"])


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
