"""When windows are due: the cron line, start and end that a dataset file asks for; and when the DAGs
that run by the clock do.

Belongs here: the few lines of a dataset file that DAG files need, and no more of it, because
the dag-processor parses DAG files again and again. Keep out: the rest of the dataset file (see
`behavior/dataset.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from recloop.errors import BadInput
from recloop.rules import ScheduleRules
from recloop.settings import Settings
from recloop.toml_file import read_toml, to_model
from recloop.windows import Length, WindowCalendar

CRON: dict[str, str] = {"day": "0 0 * * *", "week": "0 0 * * 1"}
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Schedule(BaseModel):
    """One run per window, at the window's end, in UTC.

    `start` is the start of the first window; `end` is None while data keeps coming, else the end of
    the last window, after which nothing is scheduled (backfills still are).
    """

    model_config = ConfigDict(frozen=True)

    length: Length
    cron: str
    start: datetime
    end: datetime | None


def read_schedule(settings: Settings) -> Schedule:
    """The schedule of the dataset that `settings` names.

    Raises:
        BadInput: the dataset file is missing, is not TOML, or lacks `window.length`.
    """
    path = settings.dataset_file
    document = read_toml(path)
    length = document.get("window", {}).get("length")
    if length not in CRON:
        raise BadInput(f"{path}: window.length should be 'day' or 'week'. Received: {length!r}.")
    calendar = WindowCalendar(length)
    period = document.get("period", {})
    start, end = period.get("start", EPOCH), period.get("end")
    try:
        return Schedule(
            length=length,
            cron=CRON[length],
            start=calendar.at(start).start,
            end=calendar.at(end - timedelta(microseconds=1)).end if end else None,
        )
    except (AttributeError, TypeError) as error:
        raise BadInput(
            f"{path}: period.start and period.end should be times of the form "
            f"2010-12-01T00:00:00Z. Received: {start!r} and {end!r}."
        ) from error


def read_clock(settings: Settings) -> ScheduleRules:
    """When each DAG that runs by the clock does: `[schedules]` of `config/update.toml`, and no more of
    that file, so that a mistake elsewhere in it does not take the DAGs out of the UI.

    Raises:
        BadInput: the file is missing or is not TOML, or the table has a key that is no such DAG.
    """
    path = settings.config / "update.toml"
    return to_model(ScheduleRules, read_toml(path).get("schedules", {}), path)
