"""Rules whose limits are learnt: their table, their scales, their bands."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop.config.limits import FixedLimits, LearntLimits
from recloop.validation.baselines import Past
from recloop.validation.learnt import (
    ROWS,
    RULES,
    TABLE,
    Measure,
    amount,
    bands,
    drawn,
    natural,
    noise_of,
    share,
)

CALM = LearntLimits()


def past(name: str, values: list[float]) -> list[dict[str, Past]]:
    return [{name: Past(value)} for value in values]


def test_each_learnt_rule_can_be_fixed_by_hand_and_nothing_else_can() -> None:
    assert list(RULES) == list(FixedLimits.model_fields)
    assert len(RULES) == len(TABLE)


@given(st.floats(0.001, 1e6))
def test_an_amount_comes_back_as_it_was(value: float) -> None:
    made = amount(value, 0.1)
    assert natural(RULES["lines_per_day"], made.value) == pytest.approx(value)


def test_all_or_none_of_a_few_is_no_certainty() -> None:
    """Of five that go one way with a chance of .4, all do once in a hundred times; of fifty never."""
    assert drawn(0.4, 5, 0.001) == (0.0, 1.0)
    low, high = drawn(0.4, 50, 0.001)
    assert (low, high) == (pytest.approx(0.18, abs=0.03), pytest.approx(0.64, abs=0.03))
    assert drawn(0.0, 50, 0.001) == (0.0, 0.0)
    assert drawn(1.0, 3, 0.001) == (1.0, 1.0)


@given(usual=st.floats(0, 1), units=st.floats(0.2, 199), rate=st.floats(1e-6, 0.5))
def test_what_may_be_drawn_holds_what_is_usual(usual: float, units: float, rate: float) -> None:
    low, high = drawn(usual, units, rate)
    assert 0 <= low <= high <= 1
    assert low - 1 / max(1, round(units)) <= usual <= high + 1 / max(1, round(units))


def test_a_few_pairs_that_are_all_known_are_no_alarm() -> None:
    limits = LearntLimits()
    past = [{"repeat_pair_share": Past(share(40 + n % 5, 100).value, 60)} for n in range(30)]
    for units, refused in ((5, False), (60, True)):
        all_of_them = {"repeat_pair_share": share(units, units)}
        band = bands(all_of_them, past, (), limits)["repeat_pair_share"]
        assert (band.high < 1) is refused


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_a_share_comes_back_as_it_was(part: int, more: int) -> None:
    whole = part + more
    made = share(part, whole)
    assert abs(natural(RULES["copied_share"], made.value) - part / whole) <= 1e-9


def test_what_cannot_be_measured_is_none() -> None:
    assert amount(0, 0.1) is None
    assert amount(math.inf, 0.1) is None
    assert share(0, 0) is None


def test_few_users_say_less_than_many_lines() -> None:
    few, many = share(50, 100, 4), share(50, 100)
    noise = noise_of(RULES["copied_share"])
    assert noise(few.value, few.units) == pytest.approx(5 * noise(many.value, many.units))
    assert noise(-6.9, 20) < 1.5, "none of twenty may be one of forty, and is not three of four"
    assert noise(0.0, 100) == pytest.approx(0.2), "of half of a hundred: 1 / sqrt(100 / 4)"
    assert noise_of(RULES["lines_per_user"])(3.0, 100) == pytest.approx(0.1)


def test_the_alarms_of_all_rules_together_are_shared_among_those_that_judge() -> None:
    values = [0.1 * (n % 5) for n in range(30)]
    alone = bands({"price_level": Measure(0, 1e9)}, past("price_level", values), (), CALM)
    names = [rule.name for rule in TABLE]
    together = bands(
        {name: Measure(0, 1e9) for name in names},
        [{name: Past(value) for name in names} for value in values],
        (),
        CALM,
    )
    assert together["price_level"].width > alone["price_level"].width
    rare = LearntLimits(false_alarms=0.0001)
    rarely = bands({"price_level": Measure(0, 1e9)}, past("price_level", values), (), rare)
    assert rarely["price_level"].width > alone["price_level"].width


def test_the_first_windows_refuse_only_what_is_twice_as_far_off() -> None:
    name = "lines_per_user"
    few = bands({name: Measure(1, 1e9)}, past(name, [1.0, 1.1, 0.9, 1.0]), (), CALM)[name]
    assert math.log(few.high / few.usual) == pytest.approx(2 * few.width)
    assert few.odd == pytest.approx(
        (few.usual / math.exp(few.width), few.usual * math.exp(few.width))
    )
    many = bands({name: Measure(1, 1e9)}, past(name, [1.0, 1.1, 0.9, 1.0] * 2), (), CALM)[name]
    assert (many.low, many.high) == pytest.approx(many.odd)


def test_a_rule_refuses_on_its_side_alone() -> None:
    values = [1.0, 1.1, 0.9] * 5
    lines = bands({"lines_per_day": Measure(1, 1e9)}, past("lines_per_day", values), (), CALM)
    assert lines["lines_per_day"].high is None
    drift = bands({"item_drift": Measure(1, 1e9)}, past("item_drift", values), (), CALM)[
        "item_drift"
    ]
    assert (drift.low, drift.odd[0]) == (None, -math.inf)


def test_hours_that_fit_best_unmoved_are_never_refused() -> None:
    values = [-0.9, -0.91, -0.9] * 6
    found = bands({"hour_shift": Measure(-0.9, 1e9)}, past("hour_shift", values), (), CALM)
    assert found["hour_shift"].high == 0.0


def test_a_row_rule_is_learnt_by_its_name() -> None:
    name = ROWS + "missing_user"
    values = [math.log(0.25 / 0.75)] * 12
    found = bands({name: Measure(values[0], 1e9)}, past(name, values), (), CALM)[name]
    assert found.usual == pytest.approx(0.25, abs=0.001)
    assert 0.3 < found.high < 0.9


@pytest.mark.parametrize(("odds", "share"), [(-1e4, 0.0), (-0.0, 0.5), (1e4, 1.0)])
def test_a_forecast_of_whatever_odds_is_a_share(odds: float, share: float) -> None:
    """Of windows of a day a band may be so wide that no float holds e to its end."""
    rule = RULES["copied_share"]
    assert natural(rule, odds) == share
    # (100 * share + 0.5) / 101 is expected of 100 units
    inside = (100 * share + 0.5) / 101
    assert noise_of(rule)(odds, 100.0) == pytest.approx((100 * inside * (1 - inside)) ** -0.5)
