"""Runs inside Airflow's scheduler at start-up: imports the heavy libraries once.

LocalExecutor's tasks are forks of the scheduler, so what is imported here costs a task nothing.
`environment.py` writes an `airflow_local_settings.py` that calls `preload`; Airflow imports it in
every component, hence the check of the command line. Only imports belong here: an operation of
TensorFlow would start threads, which do not survive a fork, and a CUDA context does not either, so
nothing is preloaded where a GPU is.
"""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from recloop.features.store import import_feast

log = logging.getLogger(__name__)

GPU_DEVICES = (Path("/dev/nvidia0"), Path("/proc/driver/nvidia"))
HEAVY = (
    "models.tables.backend",  # sets TF_USE_LEGACY_KERAS before the first import of TensorFlow
    "tensorflow",
    "tensorflow_recommenders",
    "pandas",
    "pyarrow.parquet",
    "great_expectations",
    "feast",
    "feast.infra.offline_stores.contrib.postgres_offline_store.postgres",
    "feast.infra.online_stores.postgres_online_store.postgres",
    "feast.infra.registry.sql",
    "mlflow",
    "mlflow.tracking",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "recloop.stages.ingest_stages",
    "recloop.stages.update_stages",
)


def wanted(argv: Sequence[str], enabled: bool) -> bool:
    """Whether this process is the one to preload: the scheduler, on a machine without a GPU."""
    return enabled and "scheduler" in argv and not any(path.exists() for path in GPU_DEVICES)


def preload(modules: Sequence[str] = HEAVY) -> dict[str, float]:
    """Import `modules` in order; return the seconds that each took.

    A module that cannot be imported is left to the task that needs it, whose error then says so: a
    scheduler that does not start would hide it.
    """
    seconds: dict[str, float] = {}
    for name in modules:
        started = time.perf_counter()
        try:
            if name == "feast":
                import_feast()
            importlib.import_module(name)
        except Exception:
            log.warning("preload: %s could not be imported; its tasks will import it", name)
            continue
        seconds[name] = round(time.perf_counter() - started, 3)
    return seconds


def preload_if_scheduler(enabled: bool) -> None:
    """What `airflow_local_settings.py` calls."""
    if wanted(sys.argv, enabled):
        seconds = preload()
        # Airflow has not set up logging yet.
        print(f"preloaded in {sum(seconds.values()):.1f} s: {seconds}", file=sys.stderr, flush=True)
