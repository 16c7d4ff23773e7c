"""Stretches of events are views of them, and the same as copies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.data.events import Events, moment
from models.data.queries import OWN_COLUMNS, TOTAL_COLUMNS, OwnItems
from models.data.ragged import without_gaps
from models.recommenders.learner import weeks_of
from tests.models import shop_weeks
from tests.models.shop_weeks import FIRST


def weeks(*numbers: int) -> Events:
    """With lists of own items of several lengths."""
    events = shop_weeks.joined(*numbers)
    lengths = np.arange(len(events.user_keys)) % 4
    count = int(lengths.sum())
    values = np.arange(count * len(OWN_COLUMNS), dtype=np.float32).reshape(count, -1)
    totals = np.ones((len(lengths), len(TOTAL_COLUMNS)), np.float32)
    own = OwnItems(np.cumsum([0, *lengths]), np.arange(1, count + 1), values, totals)
    return replace(events, own=own)


@pytest.mark.parametrize("shift", [timedelta(0), timedelta(hours=13)])
def test_a_stretch_has_its_events_and_its_queries_alone(shift: timedelta) -> None:
    events = weeks(1, 2, 3)
    start, end = FIRST + timedelta(days=14) + shift, FIRST + timedelta(days=24) + shift
    found = events.between(start, end)
    chosen = np.flatnonzero(events.since(start) & ~events.since(end))
    rows, query = np.unique(events.query[chosen], return_inverse=True)
    assert found.query.tolist() == query.tolist()
    assert found.item_keys.tolist() == events.item_keys[chosen].tolist()
    assert found.user_keys.tolist() == events.user_keys[rows].tolist()
    own = events.own.take(rows)
    for name in ("offsets", "item_keys", "values", "totals"):
        assert getattr(found.own, name).tolist() == getattr(own, name).tolist()


def test_a_stretch_of_days_is_no_copy() -> None:
    events = weeks(1, 2, 3)
    found = events.between(FIRST + timedelta(days=14), datetime(2100, 1, 1, tzinfo=UTC))
    assert 0 < len(found.item_keys) < len(events.item_keys)
    for name in ("history", "statistics", "item_keys", "times", "weights", "moments"):
        assert np.shares_memory(getattr(found, name), getattr(events, name)), name
    assert np.shares_memory(found.own.values, events.own.values)
    assert np.shares_memory(found.own.item_keys, events.own.item_keys)


def test_nothing_is_a_stretch_too() -> None:
    found = weeks(1).between(FIRST - timedelta(days=9), FIRST - timedelta(days=8))
    assert len(found.item_keys) == len(found.user_keys) == len(found.own) == 0


@pytest.mark.parametrize("index", [slice(1, 3), slice(2, 99), slice(3, 1), slice(None)])
def test_own_items_of_a_slice_are_those_of_its_places(index: slice) -> None:
    own = weeks(1, 2).own
    found, wanted = own.take(index), own.take(np.arange(len(own))[index])
    for name in ("offsets", "item_keys", "values", "totals"):
        assert getattr(found, name).tolist() == getattr(wanted, name).tolist()


def test_places_without_gaps_are_a_slice() -> None:
    assert without_gaps(np.array([3, 4, 5])) == slice(3, 6)
    assert isinstance(without_gaps(np.array([3, 5])), np.ndarray)
    assert isinstance(without_gaps(np.zeros(0, np.int64)), np.ndarray)


def test_queries_of_a_stretch_come_with_all_that_was_chosen_then() -> None:
    events = weeks(1, 2, 3)
    start = FIRST + timedelta(
        days=14, minutes=61
    )  # within the second user's visit, which began at 20
    found = events.asked_between(start, start + timedelta(days=7))
    asked = (events.query_times >= moment(start)) & (
        events.query_times < moment(start + timedelta(days=7))
    )
    assert found.user_keys.tolist() == events.user_keys[asked].tolist()
    assert len(found.item_keys) == int(asked[events.query].sum())
    assert np.shares_memory(found.own.values, events.own.values)
    assert np.shares_memory(found.item_keys, events.item_keys)


def test_pieces_of_a_history_are_views_whatever_moment_it_ends_at() -> None:
    events = weeks(1, 2, 3)
    end = FIRST + timedelta(days=28, hours=5)
    history, pieces = weeks_of(events, end, timedelta(days=10))
    for piece in (history, *pieces):
        assert len(piece.item_keys)
        assert np.shares_memory(piece.history, events.history)
    assert sum(len(piece.user_keys) for piece in (history, *pieces)) == len(events.user_keys)
    assert sum(len(piece.item_keys) for piece in (history, *pieces)) == len(events.item_keys)
