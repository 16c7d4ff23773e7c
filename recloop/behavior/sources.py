"""Files as a stream of column chunks, whatever their form; refuses what the TOML does not declare.

Belongs here: listing files, which form a file has, how much of it may be broken. Keep out: the forms
themselves (see `records.py`, `json_lines.py`, `parquet_files.py`), what the values mean (see
`lines.py`), remembering what was read (see `landing.py`).
"""

from __future__ import annotations

import codecs
import io
import itertools
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from recloop.behavior.containers import opened
from recloop.behavior.json_arrays import is_array, objects_in
from recloop.behavior.json_lines import is_json, read_objects
from recloop.behavior.parquet_files import read_parquet
from recloop.behavior.records import (
    TOLERATED_SHARE,
    Chunk,
    has_undecodable,
    read_records,
    tolerated,
)
from recloop.behavior.source_files import check_columns, refusal, written_out
from recloop.config.dataset import DatasetSpec
from recloop.errors import BadInput, SourceRefused

log = logging.getLogger(__name__)
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF16 = re.compile(r"u(tf)?[-_ ]?(16|32)", re.IGNORECASE)


def files_of(spec: DatasetSpec, located: Path) -> list[Path]:
    """The source's files, in the order of their names; those being written (`.x`, `x~`) are not.

    Raises:
        BadInput: the folder cannot be listed.
    """
    if spec.source.kind == "file":
        return [located]
    if spec.source.pattern:
        found = [str(path) for path in located.glob(spec.source.pattern) if path.is_file()]
    else:  # one pass over the folder, which may hold thousands
        suffixes = spec.source.suffixes
        try:
            with os.scandir(located) as entries:
                found = [e.path for e in entries if e.name.endswith(suffixes) and _is_file(e)]
        except OSError as error:
            raise BadInput(
                f"the folder {str(located)!r} cannot be listed ({error.strerror}); let this user read "
                "it, or point RECLOOP_DATA or source.path at another."
            ) from error
    delivered = [path for path in sorted(found) if _is_delivered(os.path.basename(path))]
    if not delivered:
        _tell_of_others(spec, located)
    return [Path(path) for path in delivered]


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def _is_delivered(name: str) -> bool:
    return not name.startswith((".", "_")) and not name.endswith("~")


def _tell_of_others(spec: DatasetSpec, located: Path) -> None:
    others = sorted(written_out(path.name) for path in located.iterdir() if path.is_file())
    wanted = spec.source.pattern or " or ".join(f"*{suffix}" for suffix in spec.source.suffixes)
    if others:
        log.warning(
            "no file in %s is called %s, as source.pattern wants; the %d there are such as %s",
            written_out(str(located)), wanted, len(others), others[0],
        )  # fmt: skip


def read_file(path: Path, spec: DatasetSpec) -> Iterator[Chunk]:
    """The file's lines in order.

    Raises:
        SourceRefused: `empty_file`, `unreadable_file`, `schema`, `undecodable_text` or
            `malformed_line`; the message begins with the rule. It may come after chunks: take none of
            them then.
        OSError: the system does not let us read it.
    """
    if path.stat().st_size == 0:
        raise refusal("empty_file", path, "it has 0 bytes. Deliver the file again")
    chunks = read_parquet(path, spec) if spec.source.format == "parquet" else _read_text(path, spec)
    total = malformed = undecodable = 0
    for chunk in chunks:
        total += chunk.lines
        malformed += len(chunk.malformed)
        if chunk.undecodable:
            rows = zip(*chunk.columns.values(), strict=True)
            undecodable += sum(has_undecodable("".join(row)) for row in rows)
        yield chunk
    if total == 0:
        raise refusal("empty_file", path, "it has no lines of data. Deliver the file again")
    if malformed > tolerated(total):
        problem = (
            f"{malformed} of {total} lines do not have {len(spec.columns)} fields (limit: "
            f"{TOLERATED_SHARE:.0%}). Check source.delimiter = {spec.source.delimiter!r} and the "
            "quotes and decimal signs of the file"
        )
        raise refusal("malformed_line", path, problem)
    if undecodable > total / 2:
        raise undecodable_file(path, spec, f"{undecodable} of {total} lines")


def undecodable_file(path: Path, spec: DatasetSpec, what: str) -> SourceRefused:
    """The refusal of a file whose text is in another encoding."""
    if spec.source.format == "parquet":
        problem = (
            "hold bytes that are no UTF-8 text. Write text, or declare such a column "
            '"ignore" under [columns] of the dataset file'
        )
    else:
        with opened(path) as file:
            start = file.start
        utf16 = start.startswith(UTF16_MARKS) or start.count(0) > len(start) // 4
        looks = "; it looks like UTF-16" if utf16 else ""
        problem = (
            f"cannot be read as source.encoding = {spec.source.encoding!r}{looks}. Save the "
            "file in that encoding, or correct source.encoding in the dataset file"
        )
    return refusal("undecodable_text", path, f"{what} {problem}")


def _read_text(path: Path, spec: DatasetSpec) -> Iterator[Chunk]:
    with opened(path) as file:
        encoding = spec.source.encoding
        if file.start.startswith(UTF16_MARKS) and not UTF16.match(encoding):
            raise undecodable_file(path, spec, "its beginning")
        if file.start.startswith(codecs.BOM_UTF8):
            encoding = "utf-8-sig"
        try:
            text = io.TextIOWrapper(file.stream, encoding, errors="surrogateescape", newline="")
            with text:
                if is_array(file.start, encoding):
                    yield from read_objects(objects_in(text), file.position, spec, path)
                else:
                    yield from _read_lines(path, spec, text, file.position)
        except UnicodeError as error:
            raise undecodable_file(path, spec, "a part of it") from error


def _read_lines(
    path: Path, spec: DatasetSpec, text: Iterator[str], position: Callable[[], int]
) -> Iterator[Chunk]:
    lines: Iterator[str] = itertools.dropwhile(lambda line: not line.strip("\r\n "), text)
    head = list(itertools.islice(lines, 2))
    if not head:
        raise refusal("empty_file", path, "it has no lines. Deliver the file again")
    head[0] = head[0].lstrip("\ufeff")
    lines = itertools.chain(head, lines)
    if is_json(path, head, spec):
        return read_objects(lines, position, spec, path)
    return _read_csv(lines, position, spec, path)


def _read_csv(
    lines: Iterator[str], position: Callable[[], int], spec: DatasetSpec, path: Path
) -> Iterator[Chunk]:
    names = list(spec.columns)
    records = read_records(lines, position, spec.source, None if spec.source.header else len(names))
    if spec.source.header:
        header = next(records)
        names = [name.strip() for name in header.rows[0]]
        if header.undecodable:
            raise undecodable_file(path, spec, "its header")
        check_columns(names, spec, path)
    for chunk in records:
        if not spec.source.header and len(chunk.malformed) > len(chunk.rows):
            raise refusal(
                "schema",
                path,
                f"most lines have another number of fields than the {len(names)} of "
                f"[columns]; the first reads {chunk.malformed[0][1][:80]!r}. Correct "
                "source.delimiter, source.header or [columns]",
            )
        by_name = dict(zip(names, _transposed(chunk.rows, len(names)), strict=True))
        yield Chunk(
            numbers=chunk.numbers,
            columns={name: by_name[name] for name in spec.read_columns},
            malformed=chunk.malformed,
            undecodable=chunk.undecodable,
            position=chunk.position,
        )


def _transposed(rows: list[list[str]], width: int) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * width
