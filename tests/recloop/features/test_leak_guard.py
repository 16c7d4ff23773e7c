"""The guard by itself: where the past ends, what a null means, what a message names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.errors import BadData, CheckCrashed
from recloop.features.leak_guard import check_against_events, check_not_newer
from tests.recloop.features.oracle import Event, at, store_events

MANY = 60
"""Purchases of user 9, one an hour, of items 1001, 1002, …; a history holds the latest 50."""
EVENTS = [
    Event(1, 5, at(3, 10)),
    Event(1, 6, at(7, 0)),
    Event(1, 7, at(7, 0, 0, 1), kind="cancel"),
    Event(1, 8, at(8, 9), value=2.0),
    *(Event(9, 1001 + n, at(1 + n // 24, n % 24)) for n in range(MANY)),
]


@pytest.fixture
def events(database_url: str) -> str:
    store_events(database_url, EVENTS)
    return database_url


def queries(*rows: tuple[int, datetime, list[int] | None, float | None]) -> pa.Table:
    names = ("user_key", "event_timestamp", "history", "purchases_28d")
    types = (pa.int64(), pa.timestamp("us", "UTC"), pa.list_(pa.int64()), pa.float64())
    columns = list(zip(*rows, strict=True)) or [()] * 4
    return pa.table(
        {n: pa.array(list(c), t) for n, c, t in zip(names, columns, types, strict=True)}
    )


def check(url: str, *rows: Any, meaning: Meaning | None = None) -> None:
    with transaction(url) as cursor:
        check_against_events(cursor, queries(*rows), meaning or Meaning())


def test_an_event_at_the_limit_is_not_in_the_past_and_a_null_is_no_event() -> None:
    moments = [None, at(6, 23, 59, 59), at(7, 0), at(8), at(9), at(10)]
    table = pa.table(
        {"item_key": range(11, 17), "newest": moments, "limit": [at(7, 0)] * 6, "empty": [None] * 6}
    )
    check_not_newer(table.slice(0, 2), "limit", ["newest"])
    check_not_newer(table.slice(0, 0), "limit", ["newest"])
    with pytest.raises(BadData, match=r"4 of 6 joined rows have a 'newest'") as leak:
        check_not_newer(table, "limit", ["newest"])
    named = [key for key in range(11, 17) if f"item_key {key}: " in str(leak.value)]
    assert named == [13, 14, 15], "the first three of them"


def test_the_past_of_a_query_ends_at_the_midnight_before_it(events: str) -> None:
    check(
        events,
        (1, at(3, 23), None, None),
        (1, at(7, 18), [5], 1.0),
        (1, at(8, 0), [6, 5], 2.0),
        (1, at(31, 12), [8, 6, 5], 3.0),
        (1, at(32, 12), [8, 6, 5], 2.0),
        (77, at(8), [], 0.0),
    )
    check(events)
    with pytest.raises(BadData, match=r"1 of 1 .*history from position 0 is \[6, 5\], .* \[5\]"):
        check(events, (1, at(7, 18), [6, 5], 1.0))


def test_only_what_is_learnt_from_counts(events: str) -> None:
    cancelled = Meaning(learn_from=("purchase", "cancel"))
    check(events, (1, at(8), [7, 6, 5], 3.0), meaning=cancelled)
    with pytest.raises(BadData, match="future leak: 1 of 1 queries"):
        check(events, (1, at(8), [7, 6, 5], 3.0))
    check(events, (1, at(9), [8], 1.0), meaning=Meaning(minimum_value=2.0))


def test_a_history_is_cut_to_the_latest_fifty_and_no_further(events: str) -> None:
    newest_first = [1000 + MANY - n for n in range(MANY)]
    check(events, (9, at(20), newest_first[:50], float(MANY)))
    for history in (newest_first[:49], newest_first[:20] + newest_first[21:51]):
        with pytest.raises(CheckCrashed, match="stale features: 1 of 1 queries"):
            check(events, (9, at(20), history, float(MANY)))
    turned = [newest_first[1], newest_first[0], *newest_first[2:50]]
    with pytest.raises(BadData, match="history from position 0"):
        check(events, (9, at(20), turned, float(MANY)))


def test_one_leak_among_rows_that_are_stale_is_a_leak_and_is_the_one_named(events: str) -> None:
    stale, leaky = (1, at(9), [6, 5], 2.0), (1, at(7, 18), [5], 2.0)
    with pytest.raises(CheckCrashed, match=r"1 of 1 queries .*\[8, 6, 5\]"):
        check(events, stale)
    with pytest.raises(BadData, match=r"1 of 2 queries .*purchases_28d is 2, .* say 1\)") as leak:
        check(events, stale, leaky)
    assert "at 2011-01-12" not in str(leak.value)
