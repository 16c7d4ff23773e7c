"""Which failures are worth another try.

"The data is bad" fails at once, for a retry would give the same answer; "the check crashed" gets one
more try; "the service is away" is tried again and again, with growing delays.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.definitions.retry_policy import RetryDecision

RETRIES = 4
"""Upper bound over all causes; a killed task or a lost worker counts as well."""

FINAL = (
    "BadData", "BadInput", "ChampionPinned", "LeaseLost", "ReleaseMissing", "ReleaseDamaged",
)  # fmt: skip


class StagePolicy(ExceptionRetryPolicy):
    """recloop's errors, each to its end; anything else as Airflow would (`retries`, `retry_delay`)."""

    def __init__(self, first_delay: timedelta = timedelta(seconds=10)) -> None:
        self.first_delay = first_delay
        final = RetryRule(
            exception=[f"recloop.errors.{name}" for name in FINAL],
            action=RetryAction.FAIL,
            reason="a retry would end the same way",
        )
        super().__init__(rules=[final])

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Any = None,
    ) -> RetryDecision:
        """Decide from the error and the number of the try that failed (1 is the first)."""
        from recloop.errors import CheckCrashed, ServiceAway, UpdateInProgress

        delay = self.first_delay * 3 ** (try_number - 1)
        if isinstance(exception, ServiceAway):
            return RetryDecision.retry(delay, "the service is away")
        if isinstance(exception, UpdateInProgress):
            return RetryDecision.retry(delay, "another run is at it")
        if isinstance(exception, CheckCrashed):
            if try_number > 1:
                return RetryDecision.fail("the check crashed twice; the data was not judged")
            return RetryDecision.retry(delay, "the check crashed; once more")
        return super().evaluate(exception, try_number, max_tries, context)
