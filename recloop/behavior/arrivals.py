"""Noticing that new lines have arrived, cheaply: the Airflow triggerer polls this.

Belongs here: which complete windows have something to ingest. Keep out: reading it for good (see
`landing.py`). Heavy libraries are imported only when something did arrive.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from recloop.behavior import source_files
from recloop.behavior.dataset import DatasetSpec, load_dataset
from recloop.behavior.sources import files_of, read_file
from recloop.database.connection import transaction
from recloop.errors import SourceRefused
from recloop.settings import Settings

log = logging.getLogger(__name__)
SILENT_WINDOWS = 4


def windows_with_new_lines(settings: Settings, as_of: datetime | None = None) -> list[str]:
    """Keys of complete windows with lines to land or to validate, oldest first.

    Complete is a window of a historical dataset, one that is followed by lines of a later window, and
    one whose end has passed. A live dataset's next window is named too when it passed without a line.
    A file that would be refused wakes the window after the newest known, once, so that the refusal
    shows as a failed run.

    Args:
        as_of: aware; None: this moment.

    Raises:
        BadInput, ServiceAway: as `landing.land`.
    """
    spec = load_dataset(settings)
    as_of = as_of or datetime.now(UTC)
    with transaction(settings.database_url) as cursor:
        cursor.execute("select window_key, state from ledger.window order by starts")
        states = dict(cursor.fetchall())
        cursor.execute("select distinct window_key from behavior.landing")
        landed = {row[0] for row in cursor.fetchall()}
    waiting = {key for key in landed if states.get(key) != "refused"}
    waiting |= {key for key, state in states.items() if state == "landed"}
    if spec.source.kind == "table":
        from recloop.behavior.table import NO_TIME, changed_windows

        unread = {key for key in changed_windows(settings, spec) if key != NO_TIME}
    else:
        # what an unread version of a known window adds shows after landing, as late lines
        unread = _unread(settings, spec, as_of, max(states, default=None))
        unread = {key for key in unread if states.get(key) not in ("validated", "featured")}
    newest = max([*states, *unread], default="")
    if spec.live and newest:
        unread |= _silent(spec, newest, as_of)
    return [
        key
        for key in sorted(waiting | unread)
        if not spec.live or key < newest or spec.calendar.parse(key).end <= as_of
    ]


def _silent(spec: DatasetSpec, newest: str, as_of: datetime) -> set[str]:
    """The next window, if it ended lately without a line: a feed that went silent must be noticed.

    Not if it ended long ago: then history is being replayed, and nothing is due.
    """
    following = spec.calendar.at(spec.calendar.parse(newest).end)
    lately = following.end <= as_of < following.end + SILENT_WINDOWS * spec.calendar.step
    return {following.key} if lately else set()


def _unread(settings: Settings, spec: DatasetSpec, as_of: datetime, newest: str | None) -> set[str]:
    """Windows that files which were not read yet have lines of."""
    from recloop.behavior.download import file_sha256, locate

    keys = set[str]()
    located = locate(settings, spec)
    for path in files_of(spec, located):
        name = source_files.name_of(path, located)
        with transaction(settings.database_url) as cursor:
            if source_files.seen(cursor, spec.name, name, path.stat()):
                continue
            if source_files.known(cursor, spec, name, file_sha256(path)):
                continue
        try:
            keys |= _peek(path, spec, as_of)
        except SourceRefused as error:
            log.warning("%s", error)
            calendar = spec.calendar
            keys.add(calendar.at(calendar.parse(newest).end if newest else as_of).key)
    return keys


def _peek(path: Path, spec: DatasetSpec, as_of: datetime) -> set[str]:
    from recloop.behavior.dating import time_faults, window_keys
    from recloop.behavior.times import parse_times

    keys = set[str]()
    for chunk in read_file(path, spec):
        times = chunk.times
        texts = sorted(set(chunk.columns[spec.event.timestamp]))
        values = times if times is not None else texts
        parsed = parse_times(values, spec.event.timestamp_format, spec.event.timezone)
        fit = [rule is None for rule in time_faults(parsed, spec, as_of)]
        keys.update(window_keys(parsed[fit], spec))
    return keys
