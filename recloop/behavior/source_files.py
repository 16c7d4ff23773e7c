"""`behavior.source_file`: which version of each file was read, and what became of it.

One version of a path is current (`landed`). A newer one supersedes it: lines of the older that wait
in `behavior.landing`, or that no window could be found for, make way and are counted as superseded;
lines already decided on stay, and turn up again as duplicates.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from recloop.config.dataset import DatasetSpec
from recloop.errors import BadInput, SourceRefused


@dataclass(frozen=True)
class KnownFiles:
    """What is remembered of a dataset's files: those that count, and those that were refused."""

    read_looks: frozenset[tuple[str, int, int]]
    """(path, size, modification time in ns) of each file whose lines count."""
    refused_looks: frozenset[tuple[str, int, int]]
    read_bytes: frozenset[tuple[str, str]]
    """(path, sha256) of each file whose lines count."""

    def read(self, path: str, found: os.stat_result) -> bool:
        """Whether the file looks as when its lines were read."""
        return (path, found.st_size, found.st_mtime_ns) in self.read_looks

    def seen(self, path: str, found: os.stat_result) -> bool:
        """Whether the file looks as when it was last read, or last refused."""
        look = (path, found.st_size, found.st_mtime_ns)
        return look in self.read_looks or look in self.refused_looks

    def holds(self, spec: DatasetSpec, path: str, sha256: str) -> bool:
        """Whether these bytes were read: at this path, or for a single file at any (a copy of it)."""
        if spec.source.kind == "file":
            return any(sha256 == known for _, known in self.read_bytes)
        return (path, sha256) in self.read_bytes


def known_files(cursor: Cursor, dataset: str) -> KnownFiles:
    """Everything remembered of a dataset's files, by one query however many they are."""
    cursor.execute(
        "select state, path, size, modified_ns, sha256 from behavior.source_file "
        "where dataset = %s and state in ('landed', 'refused')",
        (dataset,),
    )
    rows = cursor.fetchall()
    return KnownFiles(
        read_looks=frozenset(row[1:4] for row in rows if row[0] == "landed"),
        refused_looks=frozenset(row[1:4] for row in rows if row[0] == "refused"),
        read_bytes=frozenset((row[1], row[4]) for row in rows if row[0] == "landed"),
    )


def refuse_another(cursor: Cursor, spec: DatasetSpec) -> None:
    """Refuse to read a dataset into a home that holds another, or the same in windows of another
    length: events and windows do not say whose they are.

    Raises:
        BadInput: it is so. Nothing was read.
    """
    cursor.execute(
        "select dataset from behavior.source_file where dataset <> %s and state = 'landed' limit 1",
        (spec.name,),
    )
    if (other := cursor.fetchone()) is not None:
        raise BadInput(
            f"this home holds the data of dataset {other[0]!r}, and the dataset file's name is "
            f"{spec.name!r}. Give it a home and a database of its own (RECLOOP_HOME, and "
            "RECLOOP_DATABASE_URL where you bring one), or a file in config/recommenders/ beside "
            f"one for {other[0]!r}; or name it {other[0]!r} again."
        )
    # A year of days tells: in winter London's windows are UTC's.
    cursor.execute(
        "select window_key, starts, ends from ledger.window order by starts desc limit 400"
    )
    for key, start, end in cursor.fetchall():
        now = spec.calendar.at(start)
        if (now.key, now.start, now.end) != (key, start, end):
            raise BadInput(
                f"`window.length` is {spec.calendar.told} in zone {spec.calendar.zone.key}, and window "
                f"{key} of this home is from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC: windows"
                " that are learnt cannot be cut anew. Restore length and every of [window], and its "
                "zone (event.timezone, if it is not set; UTC in a home that knew no other), or begin a "
                "home of its own (RECLOOP_HOME)."
            )


def name_of(path: Path, located: Path) -> str:
    """What a file is remembered as: its path in the folder, or its absolute path.

    PostgreSQL keeps text, so bytes of a name that are not UTF-8 are written out: `caf\\xe9.csv`.
    """
    name, folder = str(path), str(located)
    return written_out(name if name == folder else name.removeprefix(folder).lstrip("/"))


def current(
    cursor: Cursor, dataset: str, path: str, found: os.stat_result
) -> tuple[int, bool] | None:
    """Id of the version of `path` whose lines count, and whether the file looks as it did then."""
    cursor.execute(
        "select file_id, (size, modified_ns) is not distinct from (%s::bigint, %s::bigint) "
        "from behavior.source_file where dataset = %s and path = %s and state = 'landed'",
        (found.st_size, found.st_mtime_ns, dataset, path),
    )
    return cursor.fetchone()


def known(cursor: Cursor, spec: DatasetSpec, path: str, sha256: str) -> bool:
    """Whether these bytes were read: at this path, or for a single file at any (a copy of it)."""
    cursor.execute(
        "select 1 from behavior.source_file where dataset = %s and sha256 = %s "
        "and state = 'landed' and (path = %s or %s)",
        (spec.name, sha256, path, spec.source.kind == "file"),
    )
    return cursor.fetchone() is not None


def touch(cursor: Cursor, dataset: str, path: str, found: os.stat_result) -> None:
    """Remember size and modification time of a file whose bytes did not change."""
    cursor.execute(
        "update behavior.source_file set size = %s, modified_ns = %s "
        "where dataset = %s and path = %s and state = 'landed'",
        (found.st_size, found.st_mtime_ns, dataset, path),
    )


def supersede(cursor: Cursor, file_id: int) -> None:
    """Drop the version's undecided lines; a newer version is about to bring them again."""
    cursor.execute("delete from behavior.landing where file_id = %s", (file_id,))
    dropped = cursor.rowcount
    cursor.execute(
        "delete from behavior.quarantine where file_id = %s and window_key is null", (file_id,)
    )
    cursor.execute(
        "update behavior.source_file set state = 'superseded', superseded = superseded + %s "
        "where file_id = %s",
        (dropped + cursor.rowcount, file_id),
    )


def begin(cursor: Cursor, dataset: str, path: str, sha256: str, found: os.stat_result) -> int:
    """Open a row for a version that is about to be read; forget its earlier refusal."""
    cursor.execute(
        "delete from behavior.source_file where dataset = %s and path = %s and state = 'refused'",
        (dataset, path),
    )
    cursor.execute(
        "insert into behavior.source_file (dataset, path, sha256, lines, state, size, modified_ns) "
        "values (%s, %s, %s, 0, 'landed', %s, %s) returning file_id",
        (dataset, path, sha256, found.st_size, found.st_mtime_ns),
    )
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def finish(cursor: Cursor, file_id: int, lines: int, reading: str) -> None:
    """Record how many data lines were read, and under which settings (`DatasetSpec.reading`)."""
    cursor.execute(
        "update behavior.source_file set lines = %s, reading = %s, landed_under = %s where file_id = %s",
        (lines, reading, reading, file_id),
    )


def refuse(
    cursor: Cursor, dataset: str, path: str, sha256: str, found: os.stat_result | None, reason: str
) -> None:
    """Remember that this version was refused, and why. It counts in no total of lines.

    A table has no `sha256` ("") and is not `found` (None).
    """
    look = (found.st_size, found.st_mtime_ns) if found else (None, None)
    cursor.execute(
        "insert into behavior.source_file "
        "(dataset, path, sha256, lines, state, reason, size, modified_ns) "
        "values (%s, %s, %s, 0, 'refused', %s, %s, %s) "
        "on conflict (dataset, path, sha256) where state = 'refused' do update set "
        "reason = excluded.reason, size = excluded.size, modified_ns = excluded.modified_ns",
        (dataset, path, sha256, reason, *look),
    )


# Refusing a whole file or table: the sentence says which rule, what was found, and the remedy.

UNSHOWABLE = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and (as lone surrogates) bytes of a file's name that are not UTF-8."""


def written_out(name: str) -> str:
    r"""A file's name as PostgreSQL and a terminal can take it: bytes that are no text as `\xe9`."""
    return UNSHOWABLE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", name)


def refusal(rule: str, path: Path | str, problem: str) -> SourceRefused:
    """The error of a refused source: rule, source, value, remedy."""
    name = written_out(path.name if isinstance(path, Path) else path)
    return SourceRefused(f"{rule}: {name} is refused, {problem}. None of its lines were taken.")


def in_short(error: Exception) -> str:
    """A library's message as a part of our sentence."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return written_out(first)[:200].rstrip(". ")


def check_columns(found: Sequence[str], spec: DatasetSpec, path: Path | str) -> None:
    """Every declared column and no other, in any order.

    Raises:
        SourceRefused: `schema`, naming the column.
    """
    repeated = sorted({name for name in found if found.count(name) > 1})
    extra = [name for name in found if name not in spec.columns]
    missing = [name for name in spec.columns if name not in found]
    problems = []
    if repeated:
        problems.append(f"column {repeated[0]!r} appears twice. Remove one")
    if extra:
        problems.append(undeclared(extra, spec))
    if missing:
        names = ", ".join(map(repr, missing[:5]))
        problems.append(
            f"it lacks {len(missing)} declared column(s) {names}; found are "
            f"{', '.join(map(repr, found[:12]))}. Deliver them, or correct [columns] and "
            "source.delimiter of the dataset file"
        )
    if problems:
        raise refusal("schema", path, "; ".join(problems))


def undeclared(names: Sequence[str], spec: DatasetSpec) -> str:
    """What is wrong with columns that the dataset file does not list."""
    shown = ", ".join(map(repr, names[:5]))
    return (
        f"it has {len(names)} undeclared column(s) {shown}. Remove them from the source, or "
        f'list them under [columns] of dataset {spec.name!r} (type "ignore" if unused)'
    )
