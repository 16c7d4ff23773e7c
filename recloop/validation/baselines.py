"""What the next window of a shop is expected to be, learnt from its windows so far. Pure arithmetic.

A measure is compared on a scale on which its changes are alike at every level: the logarithm of an
amount, the log odds of a share. There

    band  = expected ± max(q s, second largest error, least)
    s²    = (PRIOR (v² + e²) + m (r² + e² - ē²)) / (PRIOR + m), at least r² + e² - ē²

`expected` is the forecast that missed least, one step ahead, on this shop's own windows: its last
value, the mean of four, the median of eight, the last value and half of its trend, or, where windows
are parts of a cycle (hours, weekdays), the mean of a cycle with what is usual of that part. r is the
root mean square of that forecast's m errors, without the largest tenth; v, by how much such a measure
varies in shops, counts as `PRIOR` errors of a shop that has few of its own. e is the standard error
of a window of so few users, were it as expected, and ē that of past windows, which r has already. q
is the quantile of Student's t at which one clean window in so many is outside, all rules together
(Bonferroni); its tail is as heavy as that of the shop's own errors. The errors of windows that a
person vouched for teach nothing: what was acknowledged moves the level, and widens no band.

Belongs here: numbers in, a band out. Keep out: what is measured (`statistics.py`), rules (`learnt.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

PRIOR = 4
"""Errors that a shop without history is taken to have made."""
TAIL = 8.0
"""Degrees of freedom at most: sound windows surprise more often than a normal distribution says."""
REACH = 40
"""Windows whose errors count: a shop of years ago says little."""
LEAST = 3
"""Windows before anything is expected."""


@dataclass(frozen=True)
class Past:
    """A window's measure on its scale, of how many independent units (users) it is, and whether a person
    accepted it although it was outside."""

    value: float
    units: float = math.inf
    vouched: bool = False


@dataclass(frozen=True)
class Expected:
    """The band of the next window on the measure's scale, and from how many windows it was learnt."""

    value: float
    width: float
    windows: int


def expect(
    past: Sequence[Past | None],
    cycles: Sequence[int],
    units: float,
    noise: Callable[[float, float], float],
    varies: float,
    rate: float,
    least: float,
) -> Expected | None:
    """What the next window should be; None where there are fewer than `LEAST` windows.

    Args:
        past: one entry for each window that there could have been, oldest first; None: there was none.
        cycles: how many windows a cycle has, of each kind of cycle (of days: 7).
        units: of how many independent units the next window's measure is.
        noise: standard error of a measure that is expected to be (value) and of so many (units).
        varies: standard deviation of such errors in other shops.
        rate: share of sound windows that may lie outside, on both sides together.
        least: a change by less than this is never outside.
    """
    known = [one for one in past if one is not None]
    if len(known) < LEAST:
        return None
    misses, forecast = _best(past, cycles)
    typical = sorted(map(abs, misses))[: math.ceil(0.9 * len(misses))]
    own = sum(miss * miss for miss in typical) / len(typical) if typical else 0.0
    error = noise(forecast, units)
    more = max(0.0, error**2 - fmean(noise(forecast, one.units) ** 2 for one in known[-REACH:]))
    others = varies**2 + error**2
    count = len(misses)
    if own + more > others:  # what other shops are like says nothing of this one
        spread, freedom = own + more, max(count, 2)
    else:
        spread, freedom = (
            (PRIOR * others + count * (own + more)) / (PRIOR + count),
            PRIOR + count - 1,
        )
    factor = quantile(1 - rate / 2, min(freedom, tail_of(misses)))
    farthest = sorted(map(abs, misses))[-2:]
    width = max(factor * math.sqrt(spread), least, *(farthest[:-1] or farthest))
    return Expected(forecast, width, len(known))


def tail_of(misses: Sequence[float]) -> float:
    """Degrees of freedom of Student's t that has tails as heavy as these errors: by their fourth moment,
    which is 3 + 6 / (freedom - 4) squared second ones; `TAIL` at most, and where there are few."""
    largest = max(map(abs, misses), default=0.0)
    if not largest:
        return TAIL
    squares = [(miss / largest) ** 2 for miss in misses]
    excess = fmean(square**2 for square in squares) / fmean(squares) ** 2 - 3
    shrunk = excess * len(misses) / (len(misses) + REACH / 2)
    return min(TAIL, 4 + 6 / shrunk) if shrunk > 0 else TAIL


def quantile(probability: float, freedom: float) -> float:
    """Of Student's t with so many degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def _best(past: Sequence[Past | None], cycles: Sequence[int]) -> tuple[list[float], float]:
    """The errors of the best forecast on the past, and what it says of the next window."""
    missed: list[dict[str, float]] = []
    for place in range(max(1, len(past) - REACH), len(past)):
        now = past[place]
        if now is not None and not now.vouched:
            told = _forecasts(past[:place], cycles)
            missed.append({name: now.value - value for name, value in told.items()})
    now_told = _forecasts(past, cycles)

    def by(name: str) -> float:
        """How far it misses on the whole, against the last value on the same windows."""
        shared = [one for one in missed if name in one]
        if len(shared) < LEAST:
            return 1.0 if name == "last" else math.inf
        own, last = (fmean(abs(one[key]) for one in shared) for key in (name, "last"))
        return (own + 1e-9) / (last + 1e-9)

    name = min(now_told, key=by)
    return [one[name] for one in missed if name in one], now_told[name]


def _forecasts(past: Sequence[Past | None], cycles: Sequence[int]) -> dict[str, float]:
    recent = [one.value for one in past[-4 * REACH :] if one is not None][-8:]
    if not recent:
        return {}
    steps = [after - before for before, after in zip(recent[-4:], recent[-3:], strict=False)]
    told = {"last": recent[-1], "mean": fmean(recent[-4:]), "median": median(recent)}
    if steps:
        told["trend"] = recent[-1] + fmean(steps) / 2
    for cycle in cycles:
        seasonal = _of_a_cycle(past, cycle)
        if seasonal is not None:
            told[f"cycle of {cycle}"] = seasonal
    return told


def _of_a_cycle(past: Sequence[Past | None], cycle: int) -> float | None:
    """The mean of the last cycle, and by how much this part of it lay above the mean before it."""
    level = [one.value for one in past[-cycle:] if one is not None]
    apart = []
    for place in range(len(past) - cycle, cycle - 1, -cycle)[:4]:
        here, before = past[place], [one.value for one in past[place - cycle : place] if one]
        if here is not None and before:
            apart.append(here.value - fmean(before))
    return fmean(level) + fmean(apart) if level and len(apart) > 1 else None
