"""What all DAG files of recloop share: retries, the asset of validated windows, pool and queue.

Imported by the DAG files, itself not one (see `.airflowignore`). Only constants belong here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset
from recloop_airflow.retries import RETRIES, StagePolicy

from recloop.runtime.schedule import read_schedule
from recloop.settings import Settings

SETTINGS = Settings.from_environment()
SCHEDULE = read_schedule(SETTINGS)

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

WINDOW = "{{ params.window or dag_run.partition_key or '' }}"
"""The window of a run: typed into the form, else the partition of the schedule or backfill."""
