"""Clipping and noise for what leaves a silo, and what they promise.

    change' = change * min(1, clip / |change|) + N(0, (multiplier * clip)^2)

with |change| over all arrays together (flat clipping), as DP-FedAvg does to each contribution (McMahan
et al., Learning differentially private recurrent language models, ICLR 2018).

What is promised: one round's delta is a Gaussian mechanism on the *whole silo*. With clip C, taking the
silo's contribution away moves the sum by at most C, so that R rounds with multipliers z are mu-GDP with
mu^2 = sum of 1 / z^2 (Dong, Roth and Su, Gaussian differential privacy, JRSS-B 2022); `epsilon` follows
from it. A round without noise ends all promises.

What is not: DP-FedAvg hides one of very many contributors and lets the noise average out among them;
a handful of silos has to choose between noise that hides a silo and a model that learns from it. No
user of a silo is protected apart from the others. The noise is drawn in floating point, whose gaps
leak a little (Mironov, CCS 2012). What is outside the arrays (that a round took place, its release,
the order of magnitude of its events) is not protected at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from recloop.errors import BadInput

Arrays = dict[str, np.ndarray]


def check(clip: float, multiplier: float) -> None:
    """Raises BadInput where clip and noise multiplier make no sense together."""
    for name, value in (("clip", clip), ("noise", multiplier)):
        if not 0 <= value < float("inf"):
            raise BadInput(f"`{name}` should be 0 (off) or more. Received: {value}.")
    if multiplier and not clip:
        raise BadInput(
            f"noise is a multiple of the clipping norm, and there is none. Received: noise "
            f"{multiplier}, clip {clip}. Give a clip, for instance the norm that a round without "
            "one reports."
        )


def norm_of(arrays: Mapping[str, np.ndarray]) -> float:
    """Euclidean norm over all arrays together."""
    return math.sqrt(sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays.values()))


def clipped(arrays: Mapping[str, np.ndarray], clip: float) -> Arrays:
    """The arrays, scaled down together so that their norm is at most `clip`; 0: as they are."""
    norm = norm_of(arrays)
    scale = min(1.0, clip / norm) if clip and norm else 1.0
    return {name: (array * scale).astype(np.float32) for name, array in arrays.items()}


def noised(arrays: Mapping[str, np.ndarray], deviation: float, rng: np.random.Generator) -> Arrays:
    """The arrays with Gaussian noise of this standard deviation on every number."""
    return {
        name: (array + rng.normal(0.0, deviation, array.shape)).astype(np.float32)
        for name, array in arrays.items()
    }


def unpredictable() -> np.random.Generator:
    """Random numbers that nobody can draw again: noise from a known seed could be taken off."""
    return np.random.default_rng()


def epsilon(multipliers: Sequence[float], delta: float) -> float:
    """The epsilon of (epsilon, delta)-differential privacy for the silo as a whole, after rounds with
    these noise multipliers; infinite if one had none, or next to none.

    Solves delta = Phi(-eps / mu + mu / 2) - exp(eps) * Phi(-eps / mu - mu / 2) by bisection, with
    mu^2 = sum of 1 / z^2 over the rounds.
    """
    if not all(multipliers):
        return math.inf
    mu = math.sqrt(sum(1.0 / z**2 for z in multipliers))

    def spent(eps: float) -> float:
        return _phi(-eps / mu + mu / 2) - math.exp(min(eps, 700.0)) * _phi(-eps / mu - mu / 2)

    low, high = 0.0, 1.0
    while spent(high) > delta:
        high *= 2.0
        if high > 700.0:
            return math.inf
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > delta else (low, middle)
    return high


def _phi(x: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))
