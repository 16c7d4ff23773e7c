"""AUC, log loss, calibration, precision and recall of clicks, by hand; and their differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.data.events import Events
from recloop.evaluation.clicks_judge import JUDGE, HeldImpressions, _click_rates, _scores
from recloop.evaluation.gate import measure
from tests.models.shop_weeks import week


def heldout() -> HeldImpressions:
    """User 1 is shown 5, 6 and 7 and clicks 5; user 2 is shown 5 and 6 and clicks 6."""
    some = week(0).where(np.isin(np.arange(192), [0, 1, 2, 4, 5]))
    changed = {
        "item_keys": np.array([5, 6, 7, 5, 6]),
        "labels": np.array([1, 0, 0, 0, 1], np.float32),
    }
    return HeldImpressions(
        events=Events(**{**vars(some), **changed}),
        catalogue=np.array([5, 6, 7]),
        rates=np.array([0.5, 0.25, 0.125]),
        rate=0.3,
    )


def test_the_measures_by_hand() -> None:
    found = _scores(heldout(), np.array([0.9, 0.4, 0.2, 0.1, 0.4]))
    # 5 is above all three that were not clicked; 6 above two, and level with the third.
    assert found.mean("auc") == pytest.approx((1 + 2.5 / 3) / 2)
    losses = -np.log([0.9, 0.6, 0.8, 0.9, 0.4])
    assert found.mean("log_loss") == pytest.approx(losses.mean())
    assert found.totals["precision"] == pytest.approx(2 / 3)  # three are said from 0.3 on
    assert found.totals["recall"] == 1.0
    assert found.totals["f1"] == pytest.approx(0.8)
    # Five bins of one: the gap of each.
    gaps = [0.1, 0.4, 0.2, 0.1, 0.6]
    assert found.totals["calibration_error"] == pytest.approx(np.mean(gaps))
    assert found.metrics(JUDGE.headline).users == 2
    assert JUDGE.counts(heldout()) == {"users": 2.0, "impressions": 5.0, "clicks": 2.0}


def test_click_rates_are_everybodys() -> None:
    found = _click_rates(heldout())
    np.testing.assert_allclose(found.values["log_loss"][0], -np.log(0.5))
    np.testing.assert_allclose(found.values["log_loss"][2], -np.log(1 - 0.125))


def test_the_gate_measures_a_smaller_loss_as_better() -> None:
    good = _scores(heldout(), np.array([0.9, 0.1, 0.1, 0.1, 0.9]))
    bad = _scores(heldout(), np.full(5, 0.3))
    area, loss = (one.found for one in measure(JUDGE, heldout(), good, bad).compared)
    assert area.mean == pytest.approx(0.5)
    assert loss.mean > 0.3
    assert area.users == loss.users == 2
    assert area.level == pytest.approx(0.05)  # one that knows nothing has 0.5, too


class Seller:
    """Says of every impression that it is clicked half of the time, and then worth 10."""

    def expected(self, events: Events) -> np.ndarray:
        return np.full(len(events.item_keys), 0.5)

    def expected_values(self, events: Events) -> np.ndarray:
        return np.full(len(events.item_keys), 10.0)


def test_the_worth_of_clicks_is_measured_where_they_have_one() -> None:
    shown: Any = heldout()
    model: Any = Seller()
    free = replace(shown, events=replace(shown.events, values=None))
    assert "value_rmse" not in JUDGE.score(model, free).totals
    values = np.array([13, 99, 99, 99, np.nan], np.float32)  # what was not clicked does not count
    priced = replace(shown, events=replace(shown.events, values=values))
    assert JUDGE.score(model, priced).totals["value_rmse"] == pytest.approx(3)
    values[4] = 6
    assert JUDGE.score(model, priced).totals["value_rmse"] == pytest.approx(12.5**0.5)


def test_nothing_held_out_is_nothing_measured() -> None:
    empty = heldout()
    none = HeldImpressions(
        empty.events.where(np.zeros(5, bool)), empty.catalogue, empty.rates, empty.rate
    )
    assert _scores(none, np.zeros(0)).mean("auc") == 0.0


def test_what_nobody_was_scored_on_is_no_zero() -> None:
    """A 0 would be the worst AUC and the best log loss."""
    found = _scores(heldout(), np.array([0.9, 0.4, 0.2, 0.1, 0.4]))
    silent = replace(found, values={**found.values, "auc": np.full(5, np.nan)})
    assert silent.said(JUDGE.metrics)["auc"] is None
    assert silent.said(JUDGE.metrics)["log_loss"] == pytest.approx(found.mean("log_loss"), abs=1e-6)
    assert set(silent.metrics(JUDGE.headline).values) == {"log_loss", *found.totals}
