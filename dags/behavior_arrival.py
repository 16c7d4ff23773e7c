"""
### Wake what waits

When new lines have arrived at the source, or an update was killed and left (a trigger looks every
half minute), and every hour as a safety net: **ingest** starts `ingest_behavior` for each window with
new lines, or with lines that a mended setting takes out of the quarantine, oldest first; **update**
starts `incremental_update` of each recommender that has a window to decide on, unless a run is about
to. Needed because events get lost; the ledger and the source do not.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, task
from recloop_airflow.arrival import BehaviorArrival
from recloop_airflow.waking import WakeUpdate, wake_up_calls
from recloop_fleet import DATASETS, DEFAULT_ARGS, Dataset


def add(dataset: Dataset) -> None:
    """A dataset's DAG, which its recommenders share."""
    names = [one.settings.recommender for one in dataset.recommenders]
    watcher = AssetWatcher(name="new_lines", trigger=BehaviorArrival(30.0, names))
    with DAG(
        dataset.dag_id("behavior_arrival"),
        doc_md=__doc__,
        schedule=AssetOrTimeSchedule(
            assets=dataset.arrivals([watcher]),
            timetable=CronTriggerTimetable("17 * * * *", timezone="UTC"),
        ),
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=dataset.tags(),
    ):

        @task
        def look() -> list[dict[str, Any]]:
            from recloop.stages import ingest_stages

            ingest_stages.judge_again()
            return wake_up_calls(ingest_stages.arrivals())

        ingest = TriggerDagRunOperator.partial(
            task_id="ingest",
            trigger_dag_id=dataset.dag_id("ingest_behavior"),
            logical_date=None,
            max_active_tis_per_dagrun=1,  # one after the other keeps the windows' order
        ).expand_kwargs(look())

        ingest >> [
            WakeUpdate(
                task_id="_".join(["update", *one.named]),
                recommender=one.settings.recommender,
                trigger_dag_id=one.dag_id("incremental_update"),
                trigger_rule="none_failed",
            )
            for one in dataset.recommenders
        ]


for each in DATASETS:
    add(each)
