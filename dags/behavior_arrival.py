"""
### Wake what waits

When new lines have arrived at the source, or an update was killed and left (a trigger looks every
half minute), and every hour as a safety net: **ingest** starts `ingest_behavior` for each window with
new lines, or with lines that a mended setting takes out of the quarantine, oldest first; **update**
starts `incremental_update` if a window waits for a decision and no run is about to take it. Needed
because events get lost; the ledger and the source do not.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, task
from recloop_airflow.arrival import BehaviorArrival
from recloop_airflow.waking import WakeUpdate, wake_up_calls
from recloop_fleet import DEFAULT_ARGS

ARRIVALS = Asset(
    "behavior_arrivals",
    uri="recloop://behavior/arrivals",
    watchers=[AssetWatcher(name="new_lines", trigger=BehaviorArrival(every=30.0))],
)

with DAG(
    "behavior_arrival",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(
        assets=ARRIVALS, timetable=CronTriggerTimetable("17 * * * *", timezone="UTC")
    ),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["recloop", "behavior"],
) as dag:

    @task
    def look() -> list[dict[str, Any]]:
        from recloop.stages import ingest_stages

        ingest_stages.judge_again()
        return wake_up_calls(ingest_stages.arrivals())

    ingest = TriggerDagRunOperator.partial(
        task_id="ingest",
        trigger_dag_id="ingest_behavior",
        logical_date=None,
        max_active_tis_per_dagrun=1,  # one after the other keeps the windows' order
    ).expand_kwargs(look())

    ingest >> WakeUpdate(task_id="update", trigger_rule="none_failed")
