"""Signals, each against a value worked by hand or another library's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from recloop.planning.signals import (
    Observed,
    Signals,
    changed,
    js_distance,
    measure_signals,
    popularity_drift,
    stability_index,
    usual,
)

NOTHING = np.zeros((0, 0), np.float32)
KEYS = st.lists(st.integers(1, 6), min_size=1, max_size=30)


def observed(pairs: list[tuple[int, int]]) -> Observed:
    users, items = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    return Observed(users, items, NOTHING)


@given(left=KEYS, right=KEYS)
def test_the_distance_of_popularity_is_scipys(left: list[int], right: list[int]) -> None:
    p, q = (np.bincount(keys, minlength=7) / len(keys) for keys in (left, right))
    expected = float(jensenshannon(p, q, base=2))
    found = js_distance(np.array(left), np.array(right))
    assert found == pytest.approx(0.0 if np.isnan(expected) else expected, abs=1e-7)


def test_a_small_window_of_the_same_popularity_has_not_drifted() -> None:
    rng = np.random.default_rng(1)
    share = rng.dirichlet(np.full(300, 0.3))
    before = rng.choice(300, 20_000, p=share) + 1
    small, large = (rng.choice(300, n, p=share) + 1 for n in (100, 10_000))
    assert js_distance(small, before) > 3 * js_distance(large, before)
    assert abs(popularity_drift(small, before)) < 0.03
    assert abs(popularity_drift(large, before)) < 0.03
    moved = rng.choice(300, 1000, p=share[::-1]) + 1
    assert popularity_drift(moved, before) > 0.3


def test_the_stability_index_by_hand() -> None:
    reference, values = np.repeat([0.0, 1.0], 50), np.repeat([0.0, 1.0], [25, 75])
    # Bins: up to 0, up to 1, beyond; each with half an observation more.
    r, v = np.array([50.5, 50.5, 0.5]) / 101.5, np.array([25.5, 75.5, 0.5]) / 101.5
    assert stability_index(reference, values) == pytest.approx(((v - r) * np.log(v / r)).sum())
    assert stability_index(reference, reference) == pytest.approx(0.0)


def test_shares_by_hand() -> None:
    before = observed([(1, 10), (2, 20)])
    window = observed([(1, 10), (1, 30), (3, 20), (3, 40)])
    found = measure_signals(window, [before], known_items=np.array([10, 20, 30]))
    assert found.events == 4
    assert found.new_users == 0.5  # user 3's two
    assert found.new_items == 0.25  # 40: the champion knows 30
    assert found.unscorable == 0.25
    assert found.repeated == 0.25  # (1, 10) of four pairs
    assert found.feature_drift is None


def test_features_that_moved_are_seen_in_the_worst_column() -> None:
    rng = np.random.default_rng(0)
    still = rng.normal(size=(500, 2)).astype(np.float32)
    moved = still + np.array([0.0, 2.0], np.float32)
    one = np.ones(1, np.int64)
    found = measure_signals(Observed(one, one, moved), [Observed(one, one, still)], one)
    assert found.feature_drift is not None
    assert found.feature_drift > 0.25
    assert measure_signals(
        Observed(one, one, still), [Observed(one, one, still)], one
    ).feature_drift == pytest.approx(0.0, abs=1e-6)


def test_an_empty_window_has_no_signals_but_its_quality() -> None:
    none = np.zeros(0, np.int64)
    found = measure_signals(Observed(none, none, NOTHING), [], none, quality=(0.3, 0.1))
    assert found == Signals(quality_all=0.3, quality_new=0.1)


def test_json_and_back() -> None:
    signals = Signals(events=3, quality_all=0.3, repeated=0.1)
    assert Signals.of_json(signals.to_json() | {"scores": "a path"}) == signals


@pytest.mark.parametrize(("direction", "step"), [("down", -0.05), ("up", 0.05)])
def test_a_step_is_seen_within_two_windows_and_only_in_its_direction(
    direction: str, step: float
) -> None:
    rng = np.random.default_rng(3)
    past = list(0.3 + 0.01 * rng.normal(size=20))
    assert not changed(past, direction)
    assert changed([*past, 0.3 + step, 0.3 + step], direction)
    assert not changed([*past, 0.3 - step, 0.3 - step], direction)


def test_noise_alone_raises_an_alarm_less_than_once_in_fifty_windows() -> None:
    rng = np.random.default_rng(0)
    series = 0.3 + 0.02 * rng.normal(size=240)
    alarms = sum(changed(series[:n].tolist(), "down") for n in range(20, 240))
    assert alarms <= 8  # each is told twice


def test_too_short_a_history_says_nothing() -> None:
    assert not changed([0.3, 0.3, 0.3, 0.0], "down")
    assert usual([]) is None
    assert usual([None, 1.0, 3.0, float("nan")]) == 2.0
