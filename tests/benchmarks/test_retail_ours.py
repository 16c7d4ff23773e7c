"""Our systems in the retail benchmark: which windows they learn, and up to when."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.events import EventLog, Events
from benchmarks.retail_ours import Ours
from benchmarks.retail_protocol import Protocol, run

DAY = np.timedelta64(1, "D")
FIRST = np.datetime64("2024-03-06", "D")  # a Wednesday


def events_on(*days: int) -> EventLog:
    times = (FIRST + np.array(days) * DAY).astype("datetime64[us]") + np.timedelta64(8, "h")
    count = len(days)
    keys = np.ones(count, np.int64)
    events = Events(keys, keys, times, np.ones(count, np.float32), np.ones(count, np.float32))
    words = np.zeros((1, 1), np.int32)
    return EventLog(events, np.zeros(count, np.int32), [""], words)


@pytest.mark.parametrize(
    ("length", "warm_up", "days", "ends", "last"),
    [
        # Day 3 has no events; days 0 to 4 are the warm-up, 5 and 6 are tested.
        ("day", 5, range(7), [(1, 1), (2, 1), (3, 1), (4, 0), (5, 1), (6, 1), (7, 1)], 28),
        ("week", 2, range(21), [(7, 6), (14, 7), (21, 7)], 4),
    ],
)
def test_the_warm_up_goes_by_the_protocol_s_windows_and_never_beyond_its_end(
    monkeypatch: pytest.MonkeyPatch,
    length: str,
    warm_up: int,
    days: range,
    ends: list[tuple[int, int]],
    last: int,
) -> None:
    taken: list[tuple[int, int]] = []

    def take(self: Ours, events: Events, end: np.datetime64) -> None:
        taken.append((int((end - FIRST) // DAY), len(events)))
        self._windows.append(("queries", "interactions"))  # type: ignore[arg-type]

    class Model:
        fit = grow = lambda *_, **__: None
        item_keys = np.zeros(0, np.int64)
        top_k = lambda _, queries, k, *__: (np.zeros((len(queries), k), np.int64), None)  # noqa: E731

    monkeypatch.setattr(Ours, "_take", take)
    monkeypatch.setattr(Ours, "_add_ids", lambda *_: None)
    monkeypatch.setattr(Ours, "_rebuilt", lambda _: Model())
    system = Ours(0, "increments")
    log = events_on(*(day for day in days if day != 3))
    run(system, Protocol(log, length, warm_up))  # type: ignore[arg-type]
    assert taken == ends
    assert system._last_windows == last, "four weeks"
