"""What all DAG files of recloop share: for whom they make DAGs, retries, assets, pools and the queue.

Each file makes a DAG for each of `RECOMMENDERS`, or of `DATASETS`. Imported by the DAG files, itself not
one (see `.airflowignore`). Only constants belong here, and how a cron line becomes a schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable
from recloop_airflow.retries import RETRIES, StagePolicy

from models.recommenders.offered import Offered
from recloop.config.dag_ids import Shared, pool_of, prefix_of, prefixed, shared
from recloop.config.recommenders import usable
from recloop.config.rules import Schedule, ScheduleRules, read_clock, read_family, read_schedule
from recloop.errors import BadInput
from recloop.settings import Settings

SETTINGS = Settings.from_environment()

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "recloop",
    "retries": RETRIES,
    "retry_delay": timedelta(seconds=5),
    "retry_policy": StagePolicy(),
}


@dataclass(frozen=True)
class Recommender:
    """What DAG files need to know of one recommender.

    Attributes:
        clock: when each DAG that runs by the clock does.
        schedule: when windows of its dataset are over.
        offered: what a form may offer of its family.
        window: the asset that says that a window of its dataset was validated; its partition key is the
            window's key.
    """

    settings: Settings
    clock: ScheduleRules
    schedule: Schedule
    offered: Offered
    window: Asset

    @property
    def named(self) -> list[str]:
        """Its name, unless that is left out: of `default`."""
        return [name for name in [prefix_of(self.settings)] if name]

    def dag_id(self, name: str) -> str:
        """What its DAG `name` is called."""
        return prefixed(prefix_of(self.settings), name)

    def tags(self, *tags: str) -> list[str]:
        """Tags of its DAGs."""
        return ["recloop", *tags, *self.named]

    @cached_property
    def gpu(self) -> dict[str, str]:
        """Arguments of every task that trains. A pool of its own: no recommender waits for another's."""
        return {"queue": self.settings.gpu_queue, "pool": pool_of(self.settings)}

    def by_the_clock(self, name: str, history_too: bool = False) -> CronTriggerTimetable | None:
        """The schedule of its DAG `name`, from `[schedules]` in `config/update.toml`; None: it runs from
        its form only.

        History has no hours: where the dataset has an end, only what is for `history_too` is scheduled.
        Rejected: `end_date`, with which Airflow makes empty runs of what the form asks for after it.
        """
        line = getattr(self.clock, name)
        due = line and (history_too or self.schedule.end is None)
        return CronTriggerTimetable(line, timezone="UTC") if due else None


@dataclass(frozen=True)
class Dataset:
    """What DAG files need to know of a dataset, which recommenders share.

    Attributes:
        window: a window of behavior that was validated; its partition key is the window's key.
    """

    prefix: str
    recommenders: list[Recommender]
    window: Asset

    def arrivals(self, watchers: list[Any]) -> Asset:
        """New lines at the source, as `watchers` see them."""
        return _asset(self.prefix, "behavior_arrivals", "behavior/arrivals", watchers)

    @property
    def schedule(self) -> Schedule:
        """When its windows are over."""
        return self.recommenders[0].schedule

    def dag_id(self, name: str) -> str:
        """What its DAG `name` is called."""
        return prefixed(self.prefix, name)

    def tags(self) -> list[str]:
        """Tags of its DAGs."""
        return ["recloop", "behavior", *filter(None, [self.prefix])]


def _asset(prefix: str, name: str, path: str, watchers: list[Any] | None = None) -> Asset:
    place = f"{prefix}/{path}" if prefix else path
    return Asset(prefixed(prefix, name), uri=f"recloop://{place}", watchers=watchers or [])


def _recommender(settings: Settings, window: Asset) -> Recommender:
    return Recommender(
        settings, read_clock(settings), read_schedule(settings), read_family(settings), window
    )


def _dataset(found: Shared) -> Dataset:
    """Without the recommenders whose files cannot be used."""
    window = _asset(found.prefix, "behavior_window", "behavior/window")
    made = []
    for one in found.recommenders:
        try:
            made.append(_recommender(one, window))
        except BadInput as error:
            WRONG[one.recommender] = error
    return Dataset(found.prefix, made, window)


_fleet, WRONG = usable(SETTINGS)
"""The recommenders whose files cannot be used, and why; `recommender_files.py` tells."""
DATASETS = [one for one in map(_dataset, shared(_fleet)) if one.recommenders]
RECOMMENDERS = [one for dataset in DATASETS for one in dataset.recommenders]
if not RECOMMENDERS:
    raise next(iter(WRONG.values()))
