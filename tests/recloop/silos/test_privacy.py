"""Clipping, noise and what they promise, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recloop.errors import BadInput
from recloop.silos import privacy


def test_the_norm_is_over_all_arrays_together() -> None:
    arrays = {"a": np.array([3.0], np.float32), "b": np.array([[0.0, 4.0]], np.float32)}
    assert privacy.norm_of(arrays) == 5.0
    halved = privacy.clipped(arrays, 2.5)
    assert halved["a"].tolist() == [1.5]
    assert halved["b"].tolist() == [[0, 2]]
    for clip in (0.0, 5.0, 9.0):
        assert privacy.clipped(arrays, clip)["b"].tolist() == [[0, 4]]


def test_noise_is_gaussian_on_every_number() -> None:
    arrays = {"a": np.zeros((200, 50), np.float32), "b": np.full(10_000, 7, np.float32)}
    drawn = privacy.noised(arrays, 0.5, np.random.default_rng(1))
    for name, mean in (("a", 0.0), ("b", 7.0)):
        values = drawn[name].ravel().astype(np.float64)
        assert values.mean() == pytest.approx(mean, abs=0.02)
        assert values.std() == pytest.approx(0.5, rel=0.03)
        within = np.mean(np.abs(values - mean) < 0.5)
        assert within == pytest.approx(0.6827, abs=0.02)
    first = privacy.noised(arrays, 0.5, privacy.unpredictable())
    again = privacy.noised(arrays, 0.5, privacy.unpredictable())
    assert not np.array_equal(first["a"], again["a"]), "nobody must be able to draw it again"


@pytest.mark.parametrize(
    ("multipliers", "delta", "expected"),
    [
        ([1.0], 0.12693673750664397, 1.0),  # mu = 1: Phi(-1/2) - e Phi(-3/2)
        ([2.0] * 4, 0.12693673750664397, 1.0),  # four rounds of half the mu
        ([1.25, 5 / 3], 0.12693673750664397, 1.0),  # 0.8^2 + 0.6^2 = 1
        ([0.5], 0.5098616601, 1.0),  # mu = 2: Phi(1/2) - e Phi(-3/2)
    ],
)
def test_epsilon_of_a_gaussian_mechanism(
    multipliers: list[float], delta: float, expected: float
) -> None:
    assert privacy.epsilon(multipliers, delta) == pytest.approx(expected, rel=1e-6)


def test_less_noise_and_more_rounds_promise_less() -> None:
    few = [privacy.epsilon(rounds, 1e-5) for rounds in ([4.0], [1.0], [1.0] * 9)]
    assert few == sorted(few)
    assert privacy.epsilon([9.0, 0.0], 1e-5) == math.inf, "one round told all"
    assert privacy.epsilon([0.001], 1e-5) == math.inf


@pytest.mark.parametrize(("clip", "noise"), [(0.0, 1.0), (-1.0, 0.0), (math.inf, 1.0), (1.0, -2.0)])
def test_noise_needs_a_norm_to_be_measured_by(clip: float, noise: float) -> None:
    with pytest.raises(BadInput, match="Received"):
        privacy.check(clip, noise)
