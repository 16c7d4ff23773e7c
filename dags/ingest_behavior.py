"""
### Ingest one window of behavior

**land** reads the window's lines from the source (an idempotent upsert) → **validate** accepts,
quarantines rows or refuses the window (Great Expectations; see *Data Docs* on the task) →
**featurize** writes the days' feature rows and the window's training set → **announce** tells
`incremental_update`.

Runs when a window has ended; for history use a backfill, which replays the windows in order:
`airflow backfill create --dag-id ingest_behavior --from-date 2011-05-30 --to-date 2011-07-18
--max-active-runs 1`. Started by hand, it takes the window from the form, and a person's word that a
refused window is right. Repeating a window changes nothing.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, CronPartitionTimetable, Param, task
from recloop_airflow.links import DataDocsLink, linked
from recloop_airflow.notes import note, noted
from recloop_fleet import DATASETS, DEFAULT_ARGS, Dataset
from recloop_params import asked, starter, window, window_of_run


def add(dataset: Dataset) -> None:
    """A dataset's DAG, which its recommenders share."""
    with DAG(
        dataset.dag_id("ingest_behavior"),
        doc_md=__doc__,
        schedule=CronPartitionTimetable(
            dataset.schedule.cron,
            timezone=dataset.schedule.zone,
            run_offset=-1,
            key_format=dataset.schedule.key_format,
        ),
        start_date=dataset.schedule.start,
        end_date=dataset.schedule.end,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=dataset.tags(),
        params={
            "window": window(
                dataset.schedule, "Where the window begins. Empty: the partition of this run."
            ),
            "accept": Param(
                None,
                type=["null", "string"],
                minLength=3,
                maxLength=1000,
                title="Accept it all the same",
                description_md="Of a window that validation refused: why it is right as it is. Kept in "
                "the ledger, with your name.",
            ),
        },
    ):

        @task
        @noted
        def land() -> dict[str, Any]:
            from recloop.stages import ingest_stages

            key = window_of_run(dataset.schedule)
            return ingest_stages.land(key) | {"window": key}

        @task
        @noted
        def validate() -> dict[str, Any]:
            from recloop.stages import ingest_stages

            key, why = window_of_run(dataset.schedule), asked()["accept"]
            if why:
                report = ingest_stages.accept(key, why, starter())
            else:
                report = ingest_stages.validate(key)
            kept = f"{report['accepted']:,} of {report['lines']:,} lines accepted"
            note(f"window {report['window']}: {kept}")
            return report

        @task
        @noted
        def featurize() -> dict[str, Any]:
            from recloop.stages import ingest_stages

            return ingest_stages.featurize(window_of_run(dataset.schedule))

        @task(outlets=[dataset.window])
        @noted
        def announce(outlet_events: Any = None) -> None:
            outlet_events[dataset.window].add_partitions([window_of_run(dataset.schedule)])

        validated = linked(validate(), DataDocsLink())
        land() >> validated >> featurize() >> announce()


for each in DATASETS:
    add(each)
