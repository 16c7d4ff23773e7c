"""Noticing that new lines have arrived, cheaply: the Airflow triggerer polls this.

Belongs here: which complete windows have something to ingest. Keep out: reading it for good (see
`landing.py`). Heavy libraries are imported only when something did arrive.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from recloop.behavior import source_files
from recloop.behavior.download import file_sha256, locate
from recloop.behavior.source_files import written_out
from recloop.behavior.sources import files_of, read_file
from recloop.config.dataset import DatasetSpec, load_dataset
from recloop.database.connection import transaction
from recloop.errors import SourceRefused
from recloop.settings import Settings

if TYPE_CHECKING:
    import pandas

log = logging.getLogger(__name__)
SILENT_WINDOWS = 4

WINDOWS = """
select window_key, state,
    exists (select from behavior.landing l where l.window_key = w.window_key) as lines
from ledger.window w order by starts
"""

_looked: dict[tuple[str, str, int, int], list[pandas.Series] | None] = {}
"""What the last look of this process found in files that are not landed yet, by dataset file, path,
size and modification time: a file that waits for its window's end is not read again every time."""


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
        source_files.refuse_another(cursor, spec)
        cursor.execute(WINDOWS)
        windows = cursor.fetchall()
    states = {key: state for key, state, _ in windows}
    waiting = {
        key for key, state, lines in windows if state == "landed" or (lines and state != "refused")
    }
    if spec.source.kind == "table":
        from recloop.behavior.table import NO_TIME, changed_windows

        since = None
        if states:  # only there can rows be that are due: counting the whole table grows with it
            since = spec.calendar.parse(max(states)).start - timedelta(days=spec.source.late_days)
        unread = {key for key in changed_windows(settings, spec, since=since) if key != NO_TIME}
    else:
        # what an unread version of a known window adds shows after landing, as late lines
        unread = _unread(settings, spec, as_of, max(states, default=None))
        unread = {key for key in unread if states.get(key) not in ("validated", "featured")}
    if spec.feedback is not None and states:
        from recloop.behavior.shown import waiting as told_in

        back = timedelta(days=spec.source.late_days)
        unread |= set(told_in(settings, spec, spec.calendar.parse(max(states)).start - back))
    newest = max([*states, *unread], default="")
    if spec.live and newest:
        unread |= _silent(spec, newest, as_of)
    return [key for key in sorted(waiting | unread) if is_over(spec, key, newest, as_of)]


def is_over(spec: DatasetSpec, key: str, newest: str, as_of: datetime) -> bool:
    """Whether a window is complete: the data have an end, `newest` is a later window, or it ended."""
    return not spec.live or key < newest or spec.calendar.parse(key).end <= as_of


def _silent(spec: DatasetSpec, newest: str, as_of: datetime) -> set[str]:
    """The next window, if it ended lately without a line: a feed that went silent must be noticed.

    Not if it ended long ago: then history is being replayed, and nothing is due.
    """
    following = spec.calendar.at(spec.calendar.parse(newest).end)
    lately = following.end <= as_of < following.end + SILENT_WINDOWS * spec.calendar.step
    return {following.key} if lately else set()


def _unread(settings: Settings, spec: DatasetSpec, as_of: datetime, newest: str | None) -> set[str]:
    """Windows that files which were not read yet have lines of."""
    located = locate(settings, spec)
    with transaction(settings.database_url) as cursor:
        known = source_files.known_files(cursor, spec.name)
    keys, looked, declared = set[str](), {}, spec.model_dump_json()
    for path in files_of(spec, located):
        name = source_files.name_of(path, located)
        try:
            found = path.stat()
            if known.seen(name, found):
                continue
            look = (declared, str(path), found.st_size, found.st_mtime_ns)
            looked[look] = _looked[look] if look in _looked else _look(path, name, spec, known)
        except OSError as error:  # gone meanwhile, or not ours to read: `land` says so
            log.info("%s cannot be looked at: %s", written_out(str(path)), error)
            continue
        chunks = looked[look]
        if chunks is None:
            calendar = spec.calendar
            keys.add(calendar.at(calendar.parse(newest).end if newest else as_of).key)
        else:
            keys |= {key for moments in chunks for key in _keys(moments, spec, as_of)}
    _looked.clear()
    _looked.update(looked)
    return keys


def _look(
    path: Path, name: str, spec: DatasetSpec, known: source_files.KnownFiles
) -> list[pandas.Series] | None:
    """By chunk, the first and the last moment of each day that a file's lines lie in; none if its
    bytes were read before.

    Returns None for a file that would be refused.
    """
    if known.holds(spec, name, file_sha256(path)):
        return []
    try:
        found = list(_moments(path, spec))
        return found if any(len(moments) for moments in found) else None
    except SourceRefused as error:
        log.warning("%s", error)
        return None


def _moments(path: Path, spec: DatasetSpec) -> Iterator[pandas.Series]:
    import pandas as pd

    from recloop.behavior.lines import chunk_times

    for chunk in read_file(path, spec):
        times = chunk_times(chunk, spec).dropna()
        parts = times.groupby(times.dt.floor("15min" if spec.calendar.length == "hour" else "D"))
        yield pd.concat([parts.min(), parts.max()], ignore_index=True)


def _keys(moments: pandas.Series, spec: DatasetSpec, as_of: datetime) -> set[str]:
    from recloop.behavior.dating import time_faults, window_keys

    fit = [rule is None for rule in time_faults(moments, spec, as_of)]
    return set(window_keys(moments[fit], spec))
