"""Hours by the shop's clock: what moved, what is silent."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from recloop.calendar import WindowCalendar
from recloop.config.dataset import load_dataset
from recloop.settings import Settings
from recloop.validation.hours import ShopClock, compare, longest_silence, of_the_day

OPEN = {f"{day}-{hour}": 10 for day in range(1, 6) for hour in range(9, 18)}
WEEK = "2011-01-10"


@pytest.fixture
def clock() -> ShopClock:
    spec = load_dataset(Settings())
    return ShopClock(WindowCalendar("week").at(datetime(2011, 1, 10, tzinfo=UTC)), spec)


def moved(hours: dict[str, int], by: int) -> dict[str, int]:
    return {
        f"{name.partition('-')[0]}-{int(name.partition('-')[2]) + by}": lines
        for name, lines in hours.items()
    }


def test_hours_of_the_day_are_those_of_all_days() -> None:
    assert of_the_day({"1-9": 1, "2-9": 1, "1-10": 2}) == {9: 2, 10: 2}
    assert of_the_day({"1-9": 300}, {"1-10": 1}) == {9: 300, 10: 1}


@pytest.mark.parametrize("by", [1, 3, -2])
def test_moved_hours_fit_better_when_moved_back(by: int) -> None:
    usual = of_the_day(OPEN)
    shift, apart = compare(of_the_day(moved(OPEN, by)), usual)
    assert shift > 0.1
    assert apart > 0.2
    shift, apart = compare(usual, usual)
    assert shift < 0
    assert apart == pytest.approx(0, abs=0.15)


def test_hours_that_are_all_alike_cannot_be_told_from_moved_ones() -> None:
    always = of_the_day({f"1-{hour}": 5 for hour in range(24)})
    shift, apart = compare(always, always)
    assert shift == pytest.approx(0)
    assert apart == pytest.approx(0, abs=0.02)


def test_disjoint_hours_are_nearly_1_apart() -> None:
    _, apart = compare({9: 1000}, {21: 1000})
    assert math.isclose(apart, 1, abs_tol=0.1)


def test_a_silent_wednesday_is_a_fifth_of_the_week(clock: ShopClock) -> None:
    now = {name: lines for name, lines in OPEN.items() if not name.startswith("3-")}
    share, where = longest_silence(now, [OPEN, OPEN], clock)
    assert share == pytest.approx(0.2)
    assert where == "until Wednesday 2011-01-12 18:00 UTC"
    assert longest_silence(OPEN, [OPEN], clock)[0] == 0
    quiet = {**OPEN, **{f"3-{hour}": 4 for hour in range(9, 18)}}
    assert longest_silence(now, [OPEN, quiet], clock)[0] == 0, "it was not always busy"


def test_a_day_is_compared_by_the_hour_of_the_day() -> None:
    spec = load_dataset(Settings())
    day = WindowCalendar("day").at(datetime(2011, 1, 12, tzinfo=UTC))
    monday = {f"1-{hour}": 10 for hour in range(9, 19)}
    morning = {f"3-{hour}": 10 for hour in range(9, 14)}
    share, where = longest_silence(morning, [monday], ShopClock(day, spec))
    assert share == pytest.approx(0.5)
    assert where == "until Wednesday 2011-01-12 19:00 UTC"
