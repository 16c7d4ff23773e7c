"""A table of another PostgreSQL as a source: read by window, as often as one likes.

Each window of the table is remembered as one `source_file` (`path` = "schema.table 2011-06-06"), with
the number of rows it had in `size`. Reading again lands only lines that are not known, and drops
landed lines that the table no longer has, so that a corrected table mends a refused window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

import psycopg2
from psycopg2.extensions import cursor as Cursor

from recloop.behavior.dating import EARLIEST, floor_of, refuse_undated
from recloop.behavior.loading import Progress, copy_parsed, open_windows, parse_chunks
from recloop.behavior.records import Chunk
from recloop.behavior.source_files import check_columns, refuse
from recloop.behavior.times import FAR_FUTURE, FAR_PAST
from recloop.calendar import LAST_DAY, Window
from recloop.config.dataset import DatasetSpec
from recloop.config.source_spec import UNIX
from recloop.contracts import LandingReport
from recloop.database.connection import Lock, connect, redacted, transaction
from recloop.errors import BadInput, ServiceAway, SourceRefused
from recloop.settings import Settings

ROWS = 50_000
NO_TIME = "without a time"
"""Stands for the key of rows that have no window: without a time, or with none that can be."""


@contextmanager
def source_cursor(spec: DatasetSpec, name: str | None = None) -> Iterator[Cursor]:
    """A read-only cursor on the source's server (with a name: on its side).

    Raises:
        BadInput: the URL is none.
        ServiceAway: it cannot be reached, or the connection is lost.
    """
    url = str(spec.source.url)
    remedy = "and PGPASSWORD or ~/.pgpass for its password"
    with closing(
        connect(url, setting=(f"source.url of dataset {spec.name!r}", remedy))
    ) as connection:
        try:
            connection.set_session(readonly=True, isolation_level="REPEATABLE READ")
            with connection.cursor(name=name) as cursor:
                yield cursor
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise ServiceAway(
                f"reading {spec.source.table} of {redacted(url)} broke off: {str(error).strip()}. "
                "Nothing of it was landed; run it again."
            ) from error


def land_table(
    settings: Settings,
    spec: DatasetSpec,
    window: str | None,
    progress: Progress | None,
    as_of: datetime,
) -> LandingReport:
    """Land the new lines of one window, or of all windows whose number of rows changed."""
    try:
        kind = _timestamp_kind(spec)
        changed = changed_windows(settings, spec, kind)
        if window is None and changed:
            _refuse_if_undated(spec, kind, as_of)
    except SourceRefused as error:
        with transaction(settings.database_url) as cursor:
            refuse(cursor, spec.name, str(spec.source.table), "", None, str(error))
        raise
    if window is not None:
        changed = {window: rows_in(spec, kind, spec.calendar.parse(window))}
    total, done = sum(changed.values()), 0
    lines, keys = 0, set[str]()
    for key in sorted(changed):
        with transaction(settings.database_url) as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", (Lock.LAND,))
            count, touched = _land_window(cursor, spec, kind, key, changed[key], as_of)
            open_windows(cursor, spec, touched)
        lines, keys, done = lines + count, keys | touched, done + changed[key]
        if progress:
            progress(done, total)
    files = (str(spec.source.table),) if lines else ()
    return LandingReport(lines=lines, windows=tuple(sorted(keys)), files=files)


def changed_windows(
    settings: Settings, spec: DatasetSpec, kind: str | None = None, since: datetime | None = None
) -> dict[str, int]:
    """Windows of the table that have another number of rows than when they were read.

    Args:
        since: start of a window; the windows before it are not counted. None: all are.
    """
    kind = kind or _timestamp_kind(spec)
    usable, bounds = _between(spec, kind)
    moment, calendar = _moment(spec, kind), spec.calendar
    day = f"({moment} at time zone '{calendar.zone.key}')::date"
    if calendar.length == "hour":  # a quarter of one, for zones that are half an hour off
        day = f"date_bin('15 minutes', {moment}, timestamptz '2000-01-01 00:00Z')"
    newer, values = "", list[datetime | float]()
    if since is not None:
        newer, values = f"where {_column(spec)} >= %s", [_bound(spec, kind, since)]
    with source_cursor(spec) as cursor:
        cursor.execute(
            f"select case when {usable} then {day} end, count(*) "
            f"from {spec.source.table} {newer} group by 1",
            [*bounds, *values],
        )
        found = Counter[str]()
        for begun, count in cursor.fetchall():
            if begun is not None and not isinstance(begun, datetime):
                begun = calendar.midnight(begun)
            found[calendar.at(begun).key if begun else NO_TIME] += int(count)
    if since is not None:
        found.pop(NO_TIME, None)  # some of them only
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            "select path, size from behavior.source_file where dataset = %s and state = 'landed'",
            (spec.name,),
        )
        known = dict(cursor.fetchall())
    return {key: n for key, n in found.items() if known.get(_path(spec, key)) != n}


def rows_in(spec: DatasetSpec, kind: str, window: Window) -> int:
    """How many rows the table has in the window now."""
    condition, values = _between(spec, kind, window)
    with source_cursor(spec) as cursor:
        cursor.execute(f"select count(*) from {spec.source.table} where {condition}", values)
        return int((cursor.fetchone() or (0,))[0])


def _land_window(
    cursor: Cursor, spec: DatasetSpec, kind: str, key: str, rows: int, as_of: datetime
) -> tuple[int, set[str]]:
    window = None if key == NO_TIME else spec.calendar.parse(key)
    file_id, number = _source_file(cursor, spec, key)
    known, seen, digest = _known(cursor, key), list[str](), sha256()
    lines, keys = 0, set[str]()
    for _, parsed in parse_chunks(_chunks(spec, kind, window), spec, as_of):
        seen += [row[3] for row in parsed.rows]
        parsed.rows = [row for row in parsed.rows if (row[2], row[3]) not in known]
        parsed.rejected = [r for r in parsed.rejected if (r[1], None) not in known]
        first = number + lines + 1  # numbers go on where the last read ended, without gaps
        parsed.rows = [(n, *row[1:]) for n, row in enumerate(parsed.rows, first)]
        first += len(parsed.rows)
        parsed.rejected = [(n, *r[1:]) for n, r in enumerate(parsed.rejected, first)]
        copy_parsed(cursor, file_id, parsed)
        digest.update("".join(row[3] for row in parsed.rows).encode())
        lines += len(parsed.rows) + len(parsed.rejected)
        keys |= parsed.windows
    cursor.execute(
        "delete from behavior.landing where file_id = %s and content_hash <> all(%s::uuid[])",
        (file_id, seen),
    )
    gone = cursor.rowcount
    cursor.execute(
        "update behavior.source_file set lines = lines + %s, size = %s, "
        "superseded = superseded + %s, sha256 = %s, reading = %s, "
        "landed_under = coalesce(landed_under, %s) where file_id = %s",
        (lines, rows, gone, digest.hexdigest(), spec.reading, spec.reading, file_id),
    )
    return lines, keys | ({key} if gone else set())


def _source_file(cursor: Cursor, spec: DatasetSpec, key: str) -> tuple[int, int]:
    """Id of the window's `source_file`, and how many lines were read from it so far."""
    cursor.execute(
        "select file_id, lines from behavior.source_file "
        "where dataset = %s and path = %s and state = 'landed'",
        (spec.name, _path(spec, key)),
    )
    row = cursor.fetchone()
    if row is None:
        cursor.execute(
            "insert into behavior.source_file (dataset, path, sha256, lines, state, size) "
            "values (%s, %s, '', 0, 'landed', 0) returning file_id, lines",
            (spec.name, _path(spec, key)),
        )
        row = cursor.fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _known(cursor: Cursor, key: str) -> set[tuple[str | None, str | None]]:
    """(event id, content hash) of every line that the window ever gave; rejected ones: (id, None)."""
    cursor.execute(
        """
        select replace(event_id::text, '-', ''), replace(content_hash::text, '-', '') from (
            select event_id, content_hash from behavior.landing where window_key = %(key)s
            union select event_id, content_hash from behavior.event where window_key = %(key)s
            union select event_id, (line ->> 'content_hash')::uuid from behavior.quarantine
                where window_key = %(key)s
            union select event_id, null from behavior.quarantine where window_key is null
        ) line
        """,
        {"key": key},
    )
    return set(cursor.fetchall())


def _chunks(spec: DatasetSpec, kind: str, window: Window | None) -> Iterator[Chunk]:
    import pandas as pd

    names = spec.read_columns
    texts = ", ".join(f"{_quoted(name)}::text" for name in names)
    condition, values = _between(spec, kind, window)
    time = _column(spec)
    native = time if kind.startswith("timestamp") else f"{time}::text"
    if window is None:
        condition = f"({condition}) is not true"
        if kind.startswith("timestamp"):
            clipped = f"least(greatest({time}, '{FAR_PAST}'), '{FAR_FUTURE}')"  # not NULL for NULL
            native = f"case when {time} is not null then {clipped} end"
    with source_cursor(spec, "recloop_reading") as cursor:
        cursor.itersize = ROWS
        cursor.execute(
            f"select {texts}, {native} from {spec.source.table} where {condition} "
            f"order by {len(names) + 1}, {', '.join(str(n + 1) for n in range(len(names)))}",
            values,
        )
        while rows := cursor.fetchmany(ROWS):
            columns = list(zip(*rows, strict=True))
            chunk = Chunk(
                numbers=range(len(rows)),
                columns={
                    name: ["" if text is None else text for text in column]
                    for name, column in zip(names, columns, strict=False)
                },
            )
            if kind.startswith("timestamp"):
                chunk.times = pd.Series(pd.to_datetime(list(columns[-1]), errors="coerce"))
            yield chunk


def _timestamp_kind(spec: DatasetSpec) -> str:
    """PostgreSQL's type of the timestamp column, after the table's columns were checked."""
    schema, _, table = str(spec.source.table).rpartition(".")
    with source_cursor(spec) as cursor:
        cursor.execute(
            "select column_name, data_type from information_schema.columns where table_name = %s "
            "and table_schema = any(case when %s = '' then current_schemas(false) else array[%s] "
            "end) order by ordinal_position",
            (table, schema, schema),
        )
        types = dict(cursor.fetchall())
    if not types:
        raise BadInput(
            f"source.table = {spec.source.table!r} is not a table of {redacted(str(spec.source.url))} "
            "that this login may read; correct it, or grant select."
        )
    check_columns(list(types), spec, str(spec.source.table))
    kind = str(types[spec.event.timestamp])
    numeric = kind in ("smallint", "integer", "bigint", "numeric", "double precision", "real")
    if not kind.startswith("timestamp") and not (numeric and spec.event.timestamp_format in UNIX):
        raise BadInput(
            f"event.timestamp = {spec.event.timestamp!r} is a column of type {kind!r}; a table is read "
            "by time, so make it timestamp or timestamptz, or a number with timestamp_format "
            f"{' or '.join(map(repr, UNIX))}."
        )
    return kind


def _moment(spec: DatasetSpec, kind: str) -> str:
    """SQL: the timestamp column as `timestamptz`."""
    column = _column(spec)
    if kind == "timestamp with time zone":
        return column
    if kind.startswith("timestamp"):
        zone = spec.event.timezone
        # Of an hour that the clock repeats PostgreSQL takes the second, and lines the first.
        later = f"({column} at time zone '{zone}')"
        earlier = f"({later} - interval '1 hour')"
        return f"(case when {earlier} at time zone '{zone}' = {column} then {earlier} else {later} end)"
    return f"to_timestamp({column} / {UNIX[spec.event.timestamp_format]}.0)"


def _between(
    spec: DatasetSpec, kind: str, window: Window | None = None
) -> tuple[str, tuple[object, ...]]:
    """SQL: whether a row has this window (None: any); NULL, `infinity` and year 1 have none.

    It is on the bare column, so that the source's index serves.
    """
    start = spec.period.start or EARLIEST
    end = spec.period.end or datetime(LAST_DAY.year, 1, 1, tzinfo=UTC)
    if window is not None:
        start, end = max(window.start, start), min(window.end, end)
    column = _column(spec)
    bounds = (_bound(spec, kind, start), _bound(spec, kind, end))
    return f"{column} >= %s and {column} < %s", bounds


def _column(spec: DatasetSpec) -> str:
    return _quoted(spec.event.timestamp)


def _quoted(name: str) -> str:
    """A column in a statement that has placeholders."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def _bound(spec: DatasetSpec, kind: str, moment: datetime) -> datetime | float:
    """A moment as the timestamp column has it."""
    if kind == "timestamp with time zone":
        return moment
    if kind.startswith("timestamp"):
        zone = ZoneInfo(spec.event.timezone)
        local = moment.astimezone(zone)
        naive = local.replace(tzinfo=None, fold=0)
        # An hour that the clock repeats is read as the first of the two: nothing is of the second.
        while local.fold and naive.replace(tzinfo=zone).astimezone(UTC) < moment:
            naive += timedelta(minutes=15)
        return naive
    return moment.astimezone(UTC).timestamp() * UNIX[spec.event.timestamp_format]


def _refuse_if_undated(spec: DatasetSpec, kind: str, as_of: datetime) -> None:
    """Refuse a table of which most rows have no usable time, as a file is refused."""
    column, table = _column(spec), str(spec.source.table)
    low, high = _bound(spec, kind, floor_of(spec)), _bound(spec, kind, as_of)
    with source_cursor(spec) as cursor:
        cursor.execute(
            f"select count(*), count(*) filter (where {column} is null), "
            f"count(*) filter (where {column} < %(low)s), count(*) filter (where {column} > %(high)s), "
            f"min({column}::text) filter (where {column} not between %(low)s and %(high)s) from {table}",
            {"low": low, "high": high},
        )
        rows, *counts, example = cursor.fetchone() or (0, 0, 0, 0, None)
    rules = ("unparseable_timestamp", "implausible_timestamp", "future_timestamp")
    undated = Counter(dict(zip(rules, counts, strict=True)))
    refuse_undated(table, spec, undated, rows, str(example or "NULL"))


def _path(spec: DatasetSpec, key: str) -> str:
    return f"{spec.source.table} {key}"
