"""Starting another DAG's run for what the ledger says is waiting, and ending a run early.

Events get lost or doubled and runs overlap; the ledger knows what is still to be done. These
operators ask it and start a run only if there is something to do and nobody is about to do it.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

log = logging.getLogger(__name__)


class WakeUpdate(TriggerDagRunOperator):
    """Starts a run of `trigger_dag_id`, an `incremental_update`, if the ledger has windows that its
    recommender has not decided on and none is queued.

    :param recommender: its name
    :param after: the plan of the run that this task ends, if any. A run that decided nothing starts
        no other one: it would decide nothing either. Nor does a run that a person started for one
        window.
    """

    template_fields = (*TriggerDagRunOperator.template_fields, "after")

    def __init__(self, *, recommender: str, after: Any = None, **kwargs: Any) -> None:
        super().__init__(logical_date=None, **kwargs)
        self.recommender = recommender
        self.after = after

    def execute(self, context: Any) -> Any:
        """Ask the ledger, then start the run or skip."""
        from recloop.stages import bookkeeping, update_stages

        if context["params"].get("window"):
            raise AirflowSkipException("this run was started by hand for one window")
        if self.after is not None and (
            self.after["decision"] == "none" or self.after.get("dry_run")
        ):
            raise AirflowSkipException(f"this run decided nothing: {self.after['reason']}")
        windows = update_stages.undecided(bookkeeping.current_settings(self.recommender))
        if not windows:
            raise AirflowSkipException("no window waits for a decision")
        if context["ti"].get_dr_count(dag_id=self.trigger_dag_id, states=["queued"]):
            raise AirflowSkipException(f"{len(windows)} windows wait, and a run is queued already")
        self.log.info("windows that wait for a decision: %s", ", ".join(windows))
        return super().execute(context)


class WakePublication(TriggerDagRunOperator):
    """Starts a run of `trigger_dag_id`, a `publish_recommendations`, after the champion has changed,
    unless one is queued, or windows wait: the next release would replace this one at once.

    Rejected: an asset. Airflow wakes no DAG without partitions for an event of a run that has one, as
    those of `incremental_update` do.

    :param recommender: its name
    """

    def __init__(self, *, recommender: str, **kwargs: Any) -> None:
        super().__init__(logical_date=None, **kwargs)
        self.recommender = recommender

    def execute(self, context: Any) -> Any:
        """Ask the ledger, then start the run or skip."""
        from recloop.stages import bookkeeping, update_stages

        windows = update_stages.undecided(bookkeeping.current_settings(self.recommender))
        if windows:
            raise AirflowSkipException(f"window {windows[0]} waits: the next release is published")
        if context["ti"].get_dr_count(dag_id=self.trigger_dag_id, states=["queued"]):
            raise AirflowSkipException("a run is queued already")
        return super().execute(context)


def wake_up_calls(windows: list[str], now: datetime | None = None) -> list[dict[str, Any]]:
    """Arguments of one `TriggerDagRunOperator` per window; runs start in the windows' order. The next
    look takes those that Airflow, which maps over 1,024 at most, has no room for.

    Airflow starts queued runs by `run_after`, so each is a microsecond later than the one before.
    """
    now = now or datetime.now(UTC)
    return [
        {
            "conf": {"window": window},
            "run_after": (now + timedelta(microseconds=n)).isoformat(),
            "trigger_run_id": f"arrival__{window}__{now:%Y%m%dT%H%M%S}",
        }
        for n, window in enumerate(sorted(windows)[:1000])
    ]


def leave_out(context: Any, task_ids: list[str], result: dict[str, Any], message: str) -> NoReturn:
    """End this task as a success with `result`, and skip `task_ids`.

    Rejected: `@task.short_circuit`, which cannot return a result and skip, so that the reason for
    skipping would not be seen in the UI.
    """
    log.info("%s", message)
    context["ti"].xcom_push(key="return_value", value=result)
    raise DownstreamTasksSkipped(tasks=task_ids)
