"""Files as a stream of column chunks, whatever their format; refuses what the TOML does not declare.

Belongs here: listing files, checking their columns, reading CSV and Parquet with bounded memory.
Keep out: what the values mean (see `lines.py`), remembering what was read (see `landing.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recloop.behavior.dataset import DatasetSpec
from recloop.behavior.records import has_undecodable, read_records
from recloop.behavior.typed_columns import column_texts, column_times
from recloop.errors import SourceRefused

if TYPE_CHECKING:
    import pandas

PARQUET_ROWS = 50_000
TOLERATED_SHARE = 0.01
"""Malformed lines beyond this share, and beyond `TOLERATED_LINES`, refuse the file."""
TOLERATED_LINES = 3


@dataclass
class Chunk:
    """Columns of the same length `n`, as text; empty text is a missing value."""

    numbers: Sequence[int]
    """Data line of each row, 1 = first."""
    columns: dict[str, list[str]]
    times: pandas.Series | None = None
    """The timestamp column, when the source has real timestamps rather than text."""
    malformed: list[tuple[int, str]] = field(default_factory=list)
    undecodable: bool = False
    position: int = 0

    @property
    def lines(self) -> int:
        return len(self.numbers) + len(self.malformed)


def files_of(spec: DatasetSpec, located: Path) -> list[Path]:
    """The source's files, in the order of their names; those being written (`.x`, `x~`) are not."""
    if spec.source.kind == "file":
        return [located]
    found = (p for p in located.glob(spec.source.glob) if p.is_file())
    return sorted(p for p in found if not p.name.startswith((".", "_")) and p.name[-1] != "~")


def read_file(path: Path, spec: DatasetSpec) -> Iterator[Chunk]:
    """The file's lines in order.

    Raises:
        SourceRefused: `empty_file`, `schema`, `undecodable_text` or `malformed_line`; the message
            begins with the rule. It may come after chunks: take none of them then.
    """
    if path.stat().st_size == 0:
        raise refusal("empty_file", path, "it has 0 bytes. Deliver the file again")
    chunks = _read_parquet(path, spec) if spec.source.format == "parquet" else _read_csv(path, spec)
    total = malformed = undecodable = 0
    for chunk in chunks:
        total += chunk.lines
        malformed += len(chunk.malformed)
        if chunk.undecodable:
            rows = zip(*chunk.columns.values(), strict=True)
            undecodable += sum(has_undecodable("".join(row)) for row in rows)
        yield chunk
    if total == 0:
        raise refusal("empty_file", path, "it has a header and no lines. Deliver the file again")
    if malformed > max(TOLERATED_LINES, TOLERATED_SHARE * total):
        raise refusal(
            "malformed_line",
            path,
            f"{malformed} of {total} lines do not have {len(spec.columns)} fields (limit: "
            f"{TOLERATED_SHARE:.0%}). Check source.delimiter = {spec.source.delimiter!r} and the "
            "quotes and decimal signs of the file",
        )
    if undecodable > total / 2:
        raise undecodable_file(path, spec, f"{undecodable} of {total} lines")


def refusal(rule: str, path: Path | str, problem: str) -> SourceRefused:
    """The error of a refused source: rule, source, value, remedy."""
    name = path.name if isinstance(path, Path) else path
    return SourceRefused(f"{rule}: {name} is refused, {problem}. None of its lines were taken.")


def undecodable_file(path: Path, spec: DatasetSpec, what: str) -> SourceRefused:
    """The refusal of a file in another encoding."""
    with path.open("rb") as stream:
        start = stream.read(256)
    looks = ""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or start.count(0) > len(start) // 4:
        looks = "; it looks like UTF-16"
    return refusal(
        "undecodable_text",
        path,
        f"{what} cannot be read as source.encoding = {spec.source.encoding!r}{looks}. Save the "
        "file in that encoding, or correct source.encoding in the dataset file",
    )


def check_columns(found: Sequence[str], spec: DatasetSpec, path: Path | str) -> None:
    """Every declared column and no other, in any order.

    Raises:
        SourceRefused: `schema`, naming the column.
    """
    declared = list(spec.columns)
    repeated = sorted({name for name in found if found.count(name) > 1})
    extra = [name for name in found if name not in spec.columns]
    missing = [name for name in declared if name not in found]
    problems = []
    if repeated:
        problems.append(f"column {repeated[0]!r} appears twice. Remove one")
    if extra:
        names = ", ".join(map(repr, extra[:5]))
        problems.append(
            f"it has {len(extra)} undeclared column(s) {names}. Remove them from the source, or "
            f'list them under [columns] of dataset {spec.name!r} (type "ignore" if unused)'
        )
    if missing:
        names = ", ".join(map(repr, missing[:5]))
        problems.append(
            f"it lacks {len(missing)} declared column(s) {names}; found are "
            f"{', '.join(map(repr, found[:12]))}. Deliver them, or correct [columns] and "
            "source.delimiter of the dataset file"
        )
    if problems:
        raise refusal("schema", path, "; ".join(problems))


def _read_csv(path: Path, spec: DatasetSpec) -> Iterator[Chunk]:
    declared = list(spec.columns)
    try:
        chunks = read_records(path, spec.source, None if spec.source.header else len(declared))
        if spec.source.header:
            header = next(chunks)
            names = [name.strip().lstrip("\ufeff") for name in header.rows[0]]
            if header.undecodable or "\xff\xfe" in names[0]:
                raise undecodable_file(path, spec, "its header")
            check_columns(names, spec, path)
        else:
            names = declared
        for records in chunks:
            if not spec.source.header and len(records.malformed) > len(records.rows):
                raise refusal(
                    "schema",
                    path,
                    f"most lines have another number of fields than the {len(declared)} of "
                    f"[columns]; the first reads {records.malformed[0][1][:80]!r}. Correct "
                    "source.delimiter, source.header or [columns]",
                )
            by_name = dict(zip(names, _transposed(records.rows, len(names)), strict=True))
            yield Chunk(
                numbers=records.numbers,
                columns={name: by_name[name] for name in spec.read_columns},
                malformed=records.malformed,
                undecodable=records.undecodable,
                position=records.position,
            )
    except UnicodeError as error:
        raise undecodable_file(path, spec, "a part of it") from error


def _transposed(rows: list[list[str]], width: int) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * width


def _read_parquet(path: Path, spec: DatasetSpec) -> Iterator[Chunk]:
    import pyarrow
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise refusal(
            "schema", path, f"it is not a Parquet file ({error}). Check source.format"
        ) from error
    with opened as file:
        check_columns(file.schema_arrow.names, spec, path)
        done, size = 0, os.path.getsize(path)
        total = max(file.metadata.num_rows, 1)
        for batch in file.iter_batches(PARQUET_ROWS, columns=list(spec.read_columns)):
            columns, times = {}, None
            for name in spec.read_columns:
                columns[name] = column_texts(batch.column(name))
                if name == spec.event.timestamp:
                    times = column_times(batch.column(name))
            numbers = range(done + 1, done + 1 + batch.num_rows)
            done += batch.num_rows
            yield Chunk(numbers, columns, times, position=size * done // total)
