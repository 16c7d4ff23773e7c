"""What is expected of the next window: forecasts, widths, and how often sound windows lie outside."""

from __future__ import annotations

import random
from math import inf
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop.validation.baselines import LEAST, TAIL, Past, expect, quantile, tail_of


def noise(_: float, units: float) -> float:
    """Of a mean over units of variance 1."""
    return units**-0.5


def judged(
    past: list[Past | None], cycles: tuple[int, ...] = (), units: float = inf, **more: float
):
    arguments = {"varies": 0.1, "rate": 0.01, "least": 0.0} | more
    return expect(past, cycles, units, noise, **arguments)


def band(
    values: list[float | None], cycles: tuple[int, ...] = (), units: float = inf, **more: float
):
    past = [None if value is None else Past(value, units) for value in values]
    return judged(past, cycles, units, **more)


def outside(stream: list[float], cycles: tuple[int, ...] = (), rate: float = 0.01) -> float:
    """The share of a stream's values that lie outside of what was expected of them."""
    missed = judged = 0
    for place in range(LEAST, len(stream)):
        expected = band(stream[:place], cycles, rate=rate)
        judged += 1
        missed += abs(stream[place] - expected.value) > expected.width
    return missed / judged


def test_nothing_is_expected_of_the_first_windows() -> None:
    assert band([]) is None
    assert band([1.0, None, 1.0]) is None
    assert band([1.0, 1.0, None, 1.0]).windows == LEAST


def test_by_hand() -> None:
    """Three windows alike: no error of its own, so the width is that of shops without history."""
    expected = band([2.0, 2.0, 2.0], varies=0.3)
    assert expected.value == 2.0
    # PRIOR 4 and two errors of 0: .3 * sqrt(4 / 6), with 5 degrees of freedom
    assert quantile(0.995, 5) == pytest.approx(4.0321, abs=1e-4)
    assert expected.width == pytest.approx(4.0321 * 0.3 * (4 / 6) ** 0.5, abs=1e-4)


def test_the_tail_is_that_of_the_shops_own_errors() -> None:
    chance = random.Random(3)
    calm = [chance.gauss(0, 1) for _ in range(40)]
    assert tail_of([]) == tail_of([0.0] * 9) == TAIL
    assert tail_of(calm) == pytest.approx(TAIL, abs=2)
    assert 4 < tail_of([*calm, 9.0, -8.0]) < 5.5
    assert tail_of([*calm[:3], 5.0]) > tail_of([*calm, 9.0, -8.0]), (
        "a few errors say little of a tail"
    )


def test_sound_streams_are_as_seldom_outside_as_was_asked() -> None:
    """At a rate of .01; oftener where a few values are far out, or a week is not known yet."""
    found = [sound_streams(random.Random(seed)) for seed in range(4)]
    for name, most in (("calm", 0.02), ("walk", 0.02), ("heavy", 0.05), ("waves", 0.03)):
        cycles = (7,) if name == "waves" else ()
        assert fmean(outside(streams[name], cycles) for streams in found) <= most, name


def sound_streams(chance: random.Random) -> dict[str, list[float]]:
    calm = [chance.gauss(0, 1) for _ in range(150)]
    walk, waves = [0.0], []
    for n in range(149):
        walk.append(walk[-1] + chance.gauss(0, 1))
        waves.append(chance.gauss(0, 0.1) + 2 * (n % 7 == 5) + 3 * (n % 7 == 6))
    heavy = [chance.gauss(0, 1) / max(0.2, abs(chance.gauss(0, 1))) for _ in range(150)]
    return {"calm": calm, "walk": walk, "heavy": heavy, "waves": waves}


def test_weekdays_are_expected_to_be_what_they_are() -> None:
    weeks = [5.0, 5.1, 4.9, 5.0, 5.2, 2.0, 1.0] * 6
    saturday = band([*weeks, 5.0, 5.1, 4.9, 5.0, 5.2], (7,))
    assert saturday.value == pytest.approx(2.0, abs=0.2)
    assert saturday.width < 1.0
    # without the cycle, so different days could be anything
    assert band([*weeks, 5.0, 5.1, 4.9, 5.0, 5.2]).width > 2.0


def test_a_day_that_is_never_there_keeps_the_others_in_their_places() -> None:
    weeks: list[float | None] = [5.0, 5.1, 4.9, 5.0, 5.2, 2.0, None] * 6
    assert band([*weeks, 5.0, 5.1, 4.9, 5.0, 5.2], (7,)).value == pytest.approx(2.0, abs=0.2)


def test_what_was_vouched_for_moves_the_level_and_widens_nothing() -> None:
    usual = [Past(4.0 + 0.01 * (n % 3)) for n in range(20)]
    jump = [Past(6.0, vouched=True), Past(6.0)]
    vouched = judged([*usual, *jump])
    assert vouched.value == pytest.approx(6.0, abs=0.1)
    assert vouched.width < 0.5


def test_few_users_make_a_wide_band_and_a_usual_number_of_them_none_the_wider() -> None:
    chance = random.Random(1)
    values = [chance.gauss(0, 0.2) for _ in range(30)]
    usual = judged([Past(v, 25) for v in values], units=25)
    few = judged([Past(v, 25) for v in values], units=1)
    known = judged([Past(v) for v in values])
    assert few.width > 3 * usual.width
    assert usual.width < 1.2 * known.width


def test_a_change_below_the_least_is_never_outside() -> None:
    assert band([1.0] * 30, varies=0.0, least=0.4).width == 0.4


@given(
    values=st.lists(st.floats(-50, 50) | st.none(), max_size=60),
    cycle=st.sampled_from([(), (7,), (2, 24)]),
    units=st.floats(0.01, 1e9),
)
def test_any_past_gives_a_finite_band_or_none(values, cycle, units) -> None:
    expected = band(values, cycle, units)
    known = [value for value in values if value is not None]
    assert (expected is None) == (len(known) < LEAST)
    if expected is not None:
        assert expected.width >= 0
        assert min(known) - 200 <= expected.value <= max(known) + 200
