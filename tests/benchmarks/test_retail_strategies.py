"""Rows of the retail benchmark in which more than a recipe differs: each goes through the protocol."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from benchmarks.events import EventLog, Events
from benchmarks.retail_protocol import Protocol, Result, run
from benchmarks.retail_strategies import CHANGES, Strategy

START = np.datetime64("2026-01-05", "us")
WEEKS = 9


@cache
def log() -> EventLog:
    """Nine weeks of 40 users who buy again and again what they like, and now and then something else."""
    rng = np.random.default_rng(0)
    n = WEEKS * 300
    seconds = np.sort(rng.integers(0, WEEKS * 7 * 86_400, n)).astype("timedelta64[s]")
    users = rng.integers(1, 41, n)
    liked = (users * 7 + rng.integers(0, 4, n)) % 60 + 1
    return EventLog(
        events=Events(
            user_keys=users,
            item_keys=np.where(rng.random(n) < 0.2, rng.integers(1, 61, n), liked),
            times=START + seconds.astype("timedelta64[us]"),
            values=np.ones(n, np.float32),
            prices=np.full(n, 2.0, np.float32),
        ),
        text_ids=np.zeros(n, np.int32),
        texts=[""],
        words=np.zeros((1, 8), np.int32),
    )


@cache
def outcome_of(name: str) -> tuple[Strategy, Result]:
    system = Strategy(0, CHANGES[name])
    return system, run(system, Protocol(log(), "week", warm_up=7, windows=2))


@pytest.mark.parametrize("name", ["early stopping", "average of 3 releases", "4 shards", "student"])
def test_it_learns_each_window_and_ranks_what_users_like(name: str) -> None:
    _, result = outcome_of(name)
    ndcg = result.rows["a"].means()[1]
    assert ndcg > 0.6, "four of sixty items are liked by each; by chance it would be about 0.1"
    assert result.costs["cpu_s"] > 0


def test_early_stopping_stops_the_increments_alone() -> None:
    system, _ = outcome_of("early stopping")
    assert system._increment.patience == 1
    assert system._first.patience == 0, "a rebuild has no held-out slice to be watched on"


def test_a_student_takes_over_once() -> None:
    system, _ = outcome_of("student")
    assert system._model is not None
    width = system._config.retrieval.dimension
    assert system._model.config.retrieval.dimension == width // 2
