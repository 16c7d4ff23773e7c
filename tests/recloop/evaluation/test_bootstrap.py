"""The paired bootstrap against values worked by hand and a slow loop."""

from __future__ import annotations

import numpy as np
import pytest

from recloop.evaluation.scoring import paired_difference


def test_a_constant_difference_has_no_spread() -> None:
    ours = np.array([0.3, 0.5, 0.9])
    found = paired_difference(ours, ours - 0.1, 200, 0.95, seed=1)
    assert found.mean == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)
    assert found.users == 3


def test_rows_without_a_score_are_left_out_of_both() -> None:
    found = paired_difference(
        np.array([1.0, np.nan, 0.0]), np.array([0.5, 0.1, np.nan]), 100, 0.95, seed=1
    )
    assert (found.mean, found.users) == (0.5, 1)


def test_nobody_to_compare_gives_nan_not_zero() -> None:
    found = paired_difference(np.array([np.nan]), np.array([1.0]), 100, 0.95, seed=1)
    assert np.isnan(found.mean)
    assert found.users == 0


def test_the_interval_is_that_of_a_normal_mean() -> None:
    delta = np.random.default_rng(0).normal(0.02, 0.1, 2000)
    found = paired_difference(delta, np.zeros(2000), 2000, 0.95, seed=3)
    half = 1.96 * delta.std() / np.sqrt(2000)
    assert found.low == pytest.approx(delta.mean() - half, abs=half * 0.15)
    assert found.high == pytest.approx(delta.mean() + half, abs=half * 0.15)


def test_rows_of_one_user_are_resampled_together() -> None:
    delta = np.repeat(np.random.default_rng(0).normal(0, 1, 50), 20)
    users = np.repeat(np.arange(50), 20)
    apart = paired_difference(delta, np.zeros(1000), 500, 0.95, seed=3)
    together = paired_difference(delta, np.zeros(1000), 500, 0.95, seed=3, users=users)
    assert together.users == 50
    assert together.high - together.low > 3 * (apart.high - apart.low)
