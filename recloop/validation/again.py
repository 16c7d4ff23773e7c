"""Judging again what a setting had put into the quarantine, once the setting, or the clock, is mended.

A line is judged again when it was read under other settings than today's (`source_file.reading`), when
row rules or their limits have changed since it was judged (`quarantine.judging`), and when its time,
which once lay in the future, has come (`quarantine.due`). So are lines that wait and were read under
other settings. They go back to `behavior.landing` under their old numbers, so that each line stays in
one state, and are decided on with their window; accepted events stay as they are.

Belongs here: which lines, and moving them back. Keep out: reading files (see `behavior/`), deciding
(see `window.py`).
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import md5
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor

from recloop.behavior import source_files
from recloop.behavior.download import file_sha256, locate
from recloop.behavior.lines import LANDING_COLUMNS, Parsed
from recloop.behavior.loading import copy_parsed, open_windows, parse_chunks
from recloop.behavior.records import Chunk
from recloop.behavior.shown import is_told, told_sources
from recloop.behavior.sources import files_of, read_file
from recloop.config.dataset import DatasetSpec, load_dataset
from recloop.config.limits import Limits, load_limits
from recloop.database.connection import Lock, transaction
from recloop.errors import SourceRefused
from recloop.ledger import window_states as ledger
from recloop.settings import Settings
from recloop.validation.checking import SOMEBODY
from recloop.validation.row_rules import parameters, row_rules

BOUNDED = "excess_late_lines"
"""The rule of late lines that were too many. Coming back they are late lines again, and bounded."""
LOST = "\ufffd"
"""What stands in a stored text for bytes that could not be stored."""

READING = "coalesce(%(told)s::jsonb ->> split_part(f.path, ' ', 1), %(reading)s)"
"""SQL: what a file, or a view of what servers were told, is read under today."""
STALE = f"""
select file_id, path, sha256, lines, state = 'landed', reading is distinct from {READING}, reading
from behavior.source_file f
where dataset = %(dataset)s and state <> 'refused' and (
    reading is distinct from {READING} and (
        exists (select from behavior.quarantine q where q.file_id = f.file_id)
        or exists (select from behavior.landing l where l.file_id = f.file_id))
    or exists (select from behavior.quarantine q where q.file_id = f.file_id and q.due <= %(as_of)s))
order by file_id
"""

# Rules that look at the line alone; a line that breaks none of them is decided on with its window.
RULES = """
create temp table again on commit drop as
select file_id, line_no, window_key, rule, array_remove(array[{predicates}]::text[], null) as rules
from (
    select q.file_id, q.line_no, q.window_key, q.rule, null::float8 as price_ratio, {columns}
    from behavior.quarantine q join behavior.source_file f using (file_id),
        jsonb_populate_record(null::behavior.landing, q.line) l
    where q.window_key is not null and q.judging is distinct from %(judging)s
        and f.dataset = %(dataset)s and f.reading = {reading}
) line
"""
STAY = """
update behavior.quarantine q set rule = a.rules[1], rules = a.rules, judging = %(judging)s
from again a where (q.file_id, q.line_no) = (a.file_id, a.line_no) and a.rules <> '{}'
"""
BACK = """
with back as (
    delete from behavior.quarantine q using again a
    where (q.file_id, q.line_no) = (a.file_id, a.line_no) and a.rules = '{{}}'
    returning q.file_id, q.line_no, q.rule, q.line
), noted as (
    insert into behavior.returned (file_id, line_no)
    select file_id, line_no from back where rule <> %(bounded)s on conflict do nothing
)
insert into behavior.landing ({columns})
select {columns_of_l} from back, jsonb_populate_record(null::behavior.landing, back.line) l
"""


@dataclass(frozen=True)
class Again:
    """How many quarantined lines were judged again, and what could not be: one sentence a file."""

    lines: int = 0
    stuck: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    """A version of a file with lines to judge again. `other`: it was read under other settings."""

    file_id: int
    path: str
    sha256: str
    lines: int
    current: bool
    other: bool
    reading: str | None


class _Stuck(Exception):
    """The file's lines cannot be judged again; the transaction is rolled back."""


def judging(spec: DatasetSpec, limits: Limits) -> str:
    """A fingerprint of what decides, beside `DatasetSpec.reading`, which rule a line breaks."""
    parts = (
        spec.rules.model_dump(mode="json", exclude_defaults=True),
        spec.ids.model_dump(mode="json", exclude_defaults=True),
        limits.rows.price_ratio,
        limits.window.late_share,
        limits.window.minimum_compared,
    )
    return md5(json.dumps(parts, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def judge_again(settings: Settings, as_of: datetime) -> Again:
    """Send back to `behavior.landing` what today's settings, or `as_of` (aware), judge otherwise.

    Repeating it changes nothing. The windows that lines come back to are due afterwards.

    Raises:
        BadInput: the dataset file cannot be used.
        ServiceAway: the database cannot be reached.
    """
    spec = load_dataset(settings)
    limits = load_limits(settings, spec)
    told = {str(one.source.table): one.reading for one in told_sources(settings, spec)}
    asked = {
        "dataset": spec.name,
        "told": json.dumps(told),
        "reading": spec.reading,
        "judging": judging(spec, limits),
        "as_of": as_of,
        "bounded": BOUNDED,
    }
    with transaction(settings.database_url) as cursor:
        cursor.execute(STALE, asked)
        files = [_File(*row) for row in cursor.fetchall()]
    lines, stuck = 0, list[str]()
    for file in files:
        try:
            with transaction(settings.database_url) as cursor:
                cursor.execute("select pg_advisory_xact_lock(%s)", (Lock.LAND,))
                if spec.source.kind == "table" or is_told(file.path):
                    today = told.get(file.path.partition(" ")[0], spec.reading)
                    lines += _forget(cursor, today, file)
                else:
                    count, sentence = _read_again(cursor, settings, spec, file, as_of)
                    lines += count
                    stuck += [sentence] * bool(sentence)
        except (_Stuck, SourceRefused) as error:
            stuck.append(str(error))
        except OSError as error:
            stuck.append(f"{file.path} cannot be read again: {error.strerror or error}.")
    with transaction(settings.database_url) as cursor:
        lines += _rules_again(cursor, spec, limits, asked)
    return Again(lines, tuple(stuck))


def _rules_again(cursor: Cursor, spec: DatasetSpec, limits: Limits, asked: dict[str, Any]) -> int:
    """Lines that a row rule had caught, by what the quarantine keeps of them; how many they were."""
    predicates = ", ".join(
        f"case when {rule.predicate} then '{rule.name}' end" for rule in row_rules(spec, limits)
    )
    columns = ", ".join(SOMEBODY.get(name, f"l.{name}") for name in LANDING_COLUMNS[3:])
    values = {**parameters(spec, limits), **asked, "nobody": spec.ids.nobody_in_sql}
    cursor.execute("savepoint judged")
    try:
        cursor.execute(
            RULES.format(predicates=predicates, columns=columns, reading=READING), values
        )
    except (psycopg2.DataError, psycopg2.errors.ProgramLimitExceeded):
        # a line that no rule can be computed on: its window's validation finds out which one
        cursor.execute("rollback to savepoint judged")
        cursor.execute(RULES.format(predicates="null", columns=columns, reading=READING), values)
    count = cursor.rowcount
    if not count:
        return 0
    cursor.execute("select window_key, count(*) filter (where rules = '{}') from again group by 1")
    left = dict(cursor.fetchall())
    cursor.execute(STAY, values)
    of_l = ", ".join(f"l.{name}" for name in LANDING_COLUMNS)
    cursor.execute(BACK.format(columns=", ".join(LANDING_COLUMNS), columns_of_l=of_l), values)
    ledger.note_left(cursor, left)
    return count


def _read_again(
    cursor: Cursor, settings: Settings, spec: DatasetSpec, file: _File, as_of: datetime
) -> tuple[int, str]:
    """Read the file's lines again that are not decided on, or stood in the future.

    Returns:
        How many of them were in the quarantine; and a sentence about those that could not be read.

    Raises:
        _Stuck: the file's lines are not those of then.
        SourceRefused: today's settings do not fit the file.
    """
    cursor.execute(
        "select line_no, window_key, rule, line from behavior.quarantine "
        "where file_id = %s and (%s or due <= %s)",
        (file.file_id, file.other, as_of),
    )
    held = {row[0]: row[1:] for row in cursor.fetchall()}
    landed: dict[int, str] = {}
    if file.other:
        cursor.execute(
            "select line_no, window_key from behavior.landing where file_id = %s", (file.file_id,)
        )
        landed = dict(cursor.fetchall())
    numbers, parsed, missing = held.keys() | landed.keys(), Parsed(), 0
    path = _path(settings, spec, file)
    if path is not None and file_sha256(path) == file.sha256 and file.current:
        total = 0
        for chunk, found in parse_chunks(read_file(path, spec), spec, as_of):
            total += chunk.lines
            parsed.rows += [row for row in found.rows if row[0] in numbers]
            parsed.rejected += [row for row in found.rejected if row[0] in numbers]
        if total != file.lines:
            raise _Stuck(
                f"{file.path} has {total} lines as source and columns are declared now, and had "
                f"{file.lines} when it was read, so that its {len(held)} quarantined lines cannot be "
                "told from the others; correct the dataset file, or deliver them in another file."
            )
    else:
        parsed = _from_elsewhere(spec, held, path, as_of)
        again = {row[0] for row in (*parsed.rows, *parsed.rejected)}
        # the lines of a version that did not note its settings are taken for read by today's
        missing = len(numbers - again) if file.reading is not None else 0
        numbers = again
    _replace(cursor, spec, file, numbers, held, landed, parsed)
    told = ""
    if missing:
        told = (
            f"{missing} lines of {file.path} were read under other settings and wait to be read again, "
            "but the file is gone or has changed; put it back as it was, and ingest again."
        )
    elif file.other:
        cursor.execute(
            "update behavior.source_file set reading = %s where file_id = %s",
            (spec.reading, file.file_id),
        )
    return len(held.keys() & numbers), told


def _replace(
    cursor: Cursor,
    spec: DatasetSpec,
    file: _File,
    numbers: Any,
    held: dict[int, Any],
    landed: dict[int, str],
    parsed: Parsed,
) -> None:
    """Put what was parsed in the place of the lines of these numbers."""
    for table in ("quarantine", "landing"):
        cursor.execute(
            f"delete from behavior.{table} where file_id = %s and line_no = any(%s)",
            (file.file_id, sorted(numbers)),
        )
    copy_parsed(cursor, file.file_id, parsed)
    back = [row[0] for row in parsed.rows if row[0] in held and held[row[0]][1] != BOUNDED]
    cursor.execute(
        "insert into behavior.returned (file_id, line_no) select %s, unnest(%s::bigint[]) "
        "on conflict do nothing",
        (file.file_id, back),
    )
    left = Counter(held[n][0] for n in held.keys() & numbers if held[n][0] is not None)
    ledger.note_left(cursor, left)
    if emptied := {*left, *landed.values()} - parsed.windows:
        ledger.forget_emptied(cursor, emptied)
    open_windows(cursor, spec, parsed.windows)


def _path(settings: Settings, spec: DatasetSpec, file: _File) -> Path | None:
    """Where the file lies, in whatever version, if it is there."""
    located = locate(settings, spec)
    if spec.source.kind == "file":
        return located if located.is_file() else None
    names = {source_files.name_of(path, located): path for path in files_of(spec, located)}
    return names.get(file.path)


def _from_elsewhere(
    spec: DatasetSpec, held: dict[int, Any], path: Path | None, as_of: datetime
) -> Parsed:
    """What can be made of a gone version's lines: of those without a window by the texts that the
    quarantine keeps, of the others by their copies in the version that lies at `path` now."""
    parsed, texts = Parsed(), dict[int, dict[str, str]]()
    numbers: dict[str, list[int]] = {}
    for number, (window, _, line) in sorted(held.items()):
        if window is not None:
            numbers.setdefault(line["content_hash"].replace("-", ""), []).append(number)
        elif line.keys() >= set(spec.read_columns) and LOST not in "".join(line.values()):
            texts[number] = line
    if texts:
        columns = {name: [line[name] for line in texts.values()] for name in spec.read_columns}
        for _, found in parse_chunks(iter([Chunk(list(texts), columns)]), spec, as_of):
            parsed.rows += found.rows
            parsed.rejected += found.rejected
    if numbers and path is not None:
        with suppress(SourceRefused):
            for _, found in parse_chunks(read_file(path, spec), spec, as_of):
                for row in found.rows:
                    parsed.rows += [(number, *row[1:]) for number in numbers.pop(row[3], ())]
    return parsed


def _forget(cursor: Cursor, reading: str, file: _File) -> int:
    """Of a table, drop what waits or was broken in one window, so that the next look reads it anew."""
    cursor.execute(
        "delete from behavior.quarantine where file_id = %s returning window_key", (file.file_id,)
    )
    keys = [key for (key,) in cursor.fetchall()]
    cursor.execute("delete from behavior.landing where file_id = %s", (file.file_id,))
    dropped = len(keys) + cursor.rowcount
    ledger.note_left(cursor, Counter(key for key in keys if key is not None))
    cursor.execute(
        "update behavior.source_file set superseded = superseded + %s, size = -1, reading = %s "
        "where file_id = %s",
        (dropped, reading, file.file_id),
    )
    return len(keys)
