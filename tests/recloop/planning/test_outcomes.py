"""What outcomes teach, by hand."""

from __future__ import annotations

import pytest

from recloop.planning.outcomes import (
    PRIOR_RATE,
    PRIOR_SPREAD,
    Outcome,
    cost_of,
    gain_rates,
    refusals,
)


def outcome(**changes: object) -> Outcome:
    values: dict[str, object] = {
        "target": "2011-06-06", "decision": "increment", "effort": "light", "events": 1000,
        "share": 0.1, "gains": (0.0, 0.02), "noise": (0.02, 0.02), "cost": 1.0, "promoted": True,
    }  # fmt: skip
    return Outcome(**{**values, **changes})  # type: ignore[arg-type]


def test_without_outcomes_the_rate_is_the_prior() -> None:
    for belief in gain_rates([]):
        assert (belief.mean, belief.spread) == pytest.approx((PRIOR_RATE, PRIOR_SPREAD))


def test_one_outcome_moves_the_rate_by_its_weight() -> None:
    everything, new = gain_rates([outcome()])
    # An observation of gain / share = 0 and .2, with standard error .02 / .1 = .2: the prior's own
    # spread, so each is the middle of the two.
    assert everything.mean == pytest.approx(PRIOR_RATE / 2)
    assert new.mean == pytest.approx((PRIOR_RATE + 0.2) / 2)
    assert new.spread == pytest.approx(0.2 / 2**0.5)


def test_an_outcome_is_not_believed_more_because_nothing_changed() -> None:
    quiet = outcome(gains=(0.0, 0.0), noise=(0.001, 0.001))
    loud = outcome(gains=(0.0, 0.08), noise=(0.08, 0.08))
    _, new = gain_rates([quiet, loud, loud])
    # In equal parts: gains of 0, .08 and .08 on shares of .1, with the median's noise.
    assert new.mean == pytest.approx((PRIOR_RATE / PRIOR_SPREAD**2 + 0.016 / 0.08**2)
                                     / (PRIOR_SPREAD**-2 + 0.03 / 0.08**2))  # fmt: skip


def test_many_outcomes_without_gain_say_that_waiting_is_free() -> None:
    still = [outcome(gains=(0.0, 0.0))] * 100
    assert all(belief.mean < 0.01 for belief in gain_rates(still))
    worse = [outcome(gains=(-0.1, -0.1))] * 100
    assert all(belief.mean == 0.0 for belief in gain_rates(worse))


def test_rebuilds_and_what_was_not_judged_teach_nothing() -> None:
    mute = [outcome(decision="rebuild"), outcome(gains=(None, None)), outcome(share=0.0)]
    assert [b.mean for b in gain_rates(mute)] == pytest.approx([PRIOR_RATE] * 2)


def test_cost_is_a_line_through_what_was_paid() -> None:
    paid = [outcome(events=n, cost=2.0 + 0.001 * n) for n in (1000, 2000, 3000, 5000)]
    cost = cost_of(paid, "light")
    assert cost is not None
    assert (cost.fixed, cost.per_event) == pytest.approx((2.0, 0.001))
    assert cost.of(4000) == pytest.approx(6.0)
    assert cost_of(paid, "deep") is None


def test_cost_of_equal_updates_is_half_fixed_until_the_ledger_can_tell() -> None:
    cost = cost_of([outcome(events=1000, cost=2.0)], "light")
    assert cost is not None
    assert (cost.fixed, cost.of(1000), cost.of(2000)) == pytest.approx((1.0, 2.0, 3.0))


def test_a_cost_that_falls_with_size_is_taken_as_fixed_for_nine_tenths() -> None:
    paid = [outcome(events=n, cost=3.0 - 0.0001 * n) for n in (1000, 2000, 3000, 5000)]
    cost = cost_of(paid, "light")
    assert cost is not None
    assert cost.fixed / cost.of(2750) == pytest.approx(0.9)


def test_costs_of_like_sizes_are_not_fitted() -> None:
    paid = [
        outcome(events=n, cost=c) for n, c in ((900, 3.0), (1000, 1.0), (1000, 2.0), (1100, 2.0))
    ]
    cost = cost_of(paid, "light")
    assert cost is not None
    assert cost.fixed == pytest.approx(1.0)  # half of the median


def test_refusals_are_counted_since_the_last_promotion() -> None:
    refused = outcome(promoted=False)
    assert refusals([]) == 0
    assert refusals([refused, outcome(), refused, refused]) == 2
