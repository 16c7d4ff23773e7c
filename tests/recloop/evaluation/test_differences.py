"""Differences of means against values worked by hand and a slow bootstrap; several windows together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recloop.evaluation.differences import Difference, of_gap, paired_difference, pooled


def test_a_constant_difference_has_no_spread() -> None:
    ours = np.array([0.3, 0.5, 0.9])
    found = paired_difference(ours, ours - 0.1)
    assert found.mean == pytest.approx(0.1)
    assert found.error == pytest.approx(0, abs=1e-12)
    assert (found.low(), found.high()) == (pytest.approx(0.1), pytest.approx(0.1))
    assert found.users == 3


def test_rows_without_a_score_are_left_out_of_both() -> None:
    found = paired_difference(np.array([1.0, np.nan, 0.0]), np.array([0.5, 0.1, np.nan]))
    assert (found.mean, found.users) == (0.5, 1)


def test_nobody_to_compare_gives_nan_and_one_user_says_nothing_of_others() -> None:
    found = paired_difference(np.array([np.nan]), np.array([1.0]))
    assert np.isnan(found.mean)
    assert found.users == 0
    alone = paired_difference(np.array([0.5]), np.array([0.1]))
    assert (alone.error, alone.low(), alone.high()) == (math.inf, -math.inf, math.inf)
    assert (alone.to_gap("x").mean, alone.to_gap("x").low, alone.to_gap("x").error) == (
        0.4, None, None,
    )  # fmt: skip


def test_the_interval_is_students() -> None:
    """t with 3 degrees of freedom: 3.182446 at 97.5 %."""
    delta = np.array([1.0, 2.0, 3.0, 6.0])
    found = paired_difference(delta, np.zeros(4))
    error = delta.std(ddof=1) / 2
    assert found.error == pytest.approx(error)
    assert found.low() == pytest.approx(3 - 3.182446 * error)
    assert found.high(0.5) == pytest.approx(3)


def test_the_error_of_unequal_users_is_that_of_a_bootstrap_over_users() -> None:
    chance = np.random.default_rng(0)
    sizes = chance.integers(1, 12, 300)
    users = np.repeat(np.arange(300), sizes)
    delta = chance.normal(0, 1, 300)[users] + chance.normal(0, 0.5, len(users))
    found = paired_difference(delta, np.zeros(len(delta)), users)
    sums = np.bincount(users, weights=delta)
    drawn = (chance.integers(0, 300, 300) for _ in range(4000))
    means = [sums[one].sum() / sizes[one].sum() for one in drawn]
    assert found.error == pytest.approx(np.std(means), rel=0.06)
    assert paired_difference(delta, np.zeros(len(delta))).error < found.error / 1.5


def test_the_error_of_a_difference_of_roots_is_that_of_a_bootstrap() -> None:
    chance = np.random.default_rng(1)
    ours, theirs = chance.chisquare(2, 500), chance.chisquare(2, 500) * 1.3
    found = paired_difference(ours, theirs, root=True)
    drawn = (chance.integers(0, 500, 500) for _ in range(4000))
    means = [math.sqrt(ours[one].mean()) - math.sqrt(theirs[one].mean()) for one in drawn]
    assert found.mean == pytest.approx(math.sqrt(ours.mean()) - math.sqrt(theirs.mean()))
    assert found.error == pytest.approx(np.std(means), rel=0.06)
    assert paired_difference(np.zeros(3), np.zeros(3), root=True).mean == 0


def test_windows_together_are_one_longer_window() -> None:
    chance = np.random.default_rng(2)
    parts = [chance.normal(0.1, 1, size) for size in (50, 200, 120)]
    found = pooled([paired_difference(part, np.zeros(len(part))) for part in parts])
    whole = paired_difference(np.concatenate(parts), np.zeros(370))
    assert (found.users, found.mean) == (370, pytest.approx(whole.mean))
    assert found.error == pytest.approx(whole.error, rel=0.02)


def test_a_window_without_users_or_with_one_takes_nothing_from_the_others() -> None:
    known, nobody = Difference(0.1, 0.02, 40, 0.5), Difference(math.nan, math.nan, 0)
    assert pooled([nobody, known, Difference(9.0, math.inf, 1)]) == known
    assert pooled([nobody]) is nobody


def test_windows_of_one_user_each_are_a_sample() -> None:
    means = [0.1, 0.3, 0.2, 0.4]
    found = pooled([Difference(mean, math.inf, 1, 0.5) for mean in means])
    assert (found.users, found.mean, found.level) == (4, pytest.approx(0.25), 0.5)
    assert found.error == pytest.approx(np.std(means, ddof=1) / 2)
    alone = Difference(0.4, math.inf, 1, 0.5)
    assert of_gap(alone.to_gap("x")) == alone


def test_a_very_small_chance_is_far_away_and_no_infinity() -> None:
    found = Difference(0.1, 0.02, 400)
    assert -1 < found.low(1e-18) < found.low(1e-9) < 0.1 < found.high(1e-18) < 1


def test_a_difference_comes_back_out_of_a_report() -> None:
    known = Difference(0.1, 0.02, 40, 0.5)
    assert of_gap(known.to_gap("x")) == known
    assert of_gap(Difference(math.nan, math.nan, 0).to_gap("x")) is None
