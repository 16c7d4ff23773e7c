"""What all DAG files of recloop share: retries, the asset of validated windows, pool and queue.

Imported by the DAG files, itself not one (see `.airflowignore`). Only constants belong here, and how a
cron line becomes a schedule.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable
from recloop_airflow.retries import RETRIES, StagePolicy

from recloop.config.rules import read_clock, read_family, read_schedule
from recloop.settings import Settings

SETTINGS = Settings.from_environment()
SCHEDULE = read_schedule(SETTINGS)
CLOCK = read_clock(SETTINGS)
OFFERED = read_family(SETTINGS)
"""What a form may offer of the dataset's family."""

BEHAVIOR_WINDOW = Asset("behavior_window", uri="recloop://behavior/window")
"""A window of behavior that was validated; its partition key is the window's key."""

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "recloop",
    "retries": RETRIES,
    "retry_delay": timedelta(seconds=5),
    "retry_policy": StagePolicy(),
}

GPU: dict[str, str] = {"queue": SETTINGS.gpu_queue, "pool": SETTINGS.gpu_pool}
"""Arguments of every task that trains."""


def by_the_clock(dag_id: str, history_too: bool = False) -> CronTriggerTimetable | None:
    """The schedule of a DAG, from `[schedules]` in `config/update.toml`; None: its form only.

    History has no hours: where the dataset has an end, only what is for `history_too` is scheduled.
    Rejected: `end_date`, with which Airflow makes empty runs of what the form asks for after it.
    """
    line = getattr(CLOCK, dag_id)
    due = line and (history_too or SCHEDULE.end is None)
    return CronTriggerTimetable(line, timezone="UTC") if due else None
