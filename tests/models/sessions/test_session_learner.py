"""Windows of sessions: what is counted with which decay, and what early stopping watches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.data.events import Events
from models.data.sessions import sessions_of
from models.ids.starts import NewIds
from models.recommenders.family import Widths
from models.sessions.session_recommender import CLOCK, SessionLearner
from models.sessions.transformer_config import FAMILY, TransformerConfig
from tests.models.shop_weeks import joined, week

CONFIG = TransformerConfig(dimension=8, uniform_negatives=8, memory_decay=0.5)


def new() -> SessionLearner:
    return SessionLearner.new(CONFIG, Widths(), 3)


def strength(model: SessionLearner) -> float:
    """Of all pairs together."""
    memory = model._cooccurrence()
    return float(memory.weights.sum())


def test_a_query_is_a_session_in_order_of_time() -> None:
    sessions = sessions_of(week(0))
    assert len(sessions) == 48
    assert (np.diff(sessions.offsets) == 4).all()
    assert sessions.item_keys.tolist() == week(0).item_keys.tolist()


def test_what_is_older_counts_less_by_the_days_between_not_by_the_call() -> None:
    """Two weeks at once are what they are one after the other; the first decays by half a week."""
    at_once, by_week = new(), new()
    at_once.make_room(joined(0, 1), NewIds())
    by_week.make_room(week(0), NewIds())
    by_week.make_room(week(1), NewIds())
    assert strength(at_once) == strength(by_week)
    alone = new()
    alone.make_room(week(1), NewIds())
    first = new()
    first.make_room(week(0), NewIds())
    assert np.isclose(strength(by_week), strength(alone) + strength(first) / 2, rtol=0.02)


def test_the_clock_is_the_newest_event_and_never_goes_back() -> None:
    model = new()
    model.make_room(week(1), NewIds())
    newest = float(model._state.extra[CLOCK][0])
    model.make_room(late(week(0)), NewIds())
    assert float(model._state.extra[CLOCK][0]) == newest


def late(events: Events) -> Events:
    return replace(events, times=events.times)


def test_early_stopping_watches_the_next_items_rank() -> None:
    model = new()
    model.make_room(joined(0, 1), NewIds())
    watch = model.validation(week(2))
    assert watch is not None
    assert 0 < watch() < 1
    assert model.validation(week(2).where(np.zeros(192, bool))) is None
    assert model.validation(week(2).where(np.arange(192) % 4 == 0)) is None, "one item each"
    assert model.validation(None) is None


def test_what_is_remembered_has_the_day_on_which_it_happened() -> None:
    model = new()
    model.make_room(joined(0, 3), NewIds())
    recipe = replace(FAMILY.increment, replay="recency", replay_share=0.5, memory_size=500)
    model.remember_events(joined(0, 3), recipe)
    days = model._state.extra["memory/days"]
    assert days.max() - days.min() > 14
