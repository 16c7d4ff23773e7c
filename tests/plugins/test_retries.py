"""Which failures get another try, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction
from recloop_airflow.retries import StagePolicy

from recloop import errors

POLICY = StagePolicy(first_delay=timedelta(seconds=10))


@pytest.mark.parametrize(
    "error",
    [
        errors.WindowRefused,
        errors.SourceRefused,
        errors.BadInput,
        errors.ChampionPinned,
        errors.LeaseLost,
    ],
)
def test_bad_data_pins_and_lost_leases_fail_at_once(error: type[Exception]) -> None:
    assert POLICY.evaluate(error("no"), 1, 4).action is RetryAction.FAIL


@pytest.mark.parametrize(("failed_try", "seconds"), [(1, 10), (2, 30), (3, 90)])
def test_a_service_that_is_away_is_tried_again_with_growing_delays(
    failed_try: int, seconds: int
) -> None:
    decision = POLICY.evaluate(errors.ServiceAway("gone"), failed_try, 4)
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == timedelta(seconds=seconds)


def test_a_crashed_check_gets_one_more_try() -> None:
    crash = errors.CheckCrashed("oops")
    assert POLICY.evaluate(crash, 1, 4).action is RetryAction.RETRY
    assert POLICY.evaluate(crash, 2, 4).action is RetryAction.FAIL


def test_anything_else_is_left_to_airflow() -> None:
    assert POLICY.evaluate(ValueError("?"), 1, 4).action is RetryAction.DEFAULT
