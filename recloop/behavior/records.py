"""Cutting delimited text into records, so that one broken line costs that line and no other.

Belongs here: quotes, delimiters, fields that span lines. Keep out: bytes (see `containers.py`) and what
the fields mean (see `lines.py`).
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recloop.config.source_spec import Source

if TYPE_CHECKING:
    import pandas

CHUNK_LINES = 50_000
LONGEST_RECORD = 100
"""Physical lines that one quoted record may span; beyond, its opening quote is taken for a stray."""


@dataclass
class Records:
    """Some consecutive records. `numbers[i]` is the data line (1 = first) of `rows[i]`."""

    rows: list[list[str]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    malformed: list[tuple[int, str]] = field(default_factory=list)
    undecodable: bool = False
    """Some text here holds bytes that are not of the encoding (as lone surrogates), or NUL."""
    position: int = 0
    """Bytes of the file read so far."""


def read_records(
    lines: Iterator[str], position: Callable[[], int], source: Source, width: int | None = None
) -> Iterator[Records]:
    """The records of a text's lines in chunks; the first chunk holds the header alone if there is one.

    `width`: expected number of fields; None: that of the header. Blank lines are no records.
    """
    if source.header:
        first = next(lines, None)
        if first is None:
            return
        header = _parse([first], source.delimiter) or [[first]]
        width = len(header[0])
        yield Records(header, [0], undecodable=has_undecodable(first))
    number = 0
    while chunk := list(itertools.islice(lines, CHUNK_LINES)):
        records, number = _cut(chunk, lines, source.delimiter, width, number)
        records.position = position()
        yield records


def _cut(
    chunk: list[str], more: Iterator[str], delimiter: str, width: int | None, number: int
) -> tuple[Records, int]:
    """Records of `chunk`, and the number of the last one. The usual case parses all at once."""
    records = Records()
    parsed = _parse(chunk, delimiter)
    if parsed is None or len(parsed) != len(chunk):  # a stray quote, or a record of several lines
        parsed = list(_parse_carefully(chunk, more, delimiter, width))
    records.undecodable = has_undecodable("".join(chunk))
    expected = width if width is not None else (len(parsed[0]) if parsed else 0)
    if all(map(expected.__eq__, map(len, parsed))):
        records.rows = parsed
        records.numbers = list(range(number + 1, number + 1 + len(parsed)))
        return records, number + len(parsed)
    for fields in parsed:
        if not fields or fields == [""]:
            continue
        number += 1
        if len(fields) == expected:
            records.rows.append(fields)
            records.numbers.append(number)
        else:
            records.malformed.append((number, delimiter.join(fields)))
    return records, number


def _parse(lines: list[str], delimiter: str) -> list[list[str]] | None:
    """One list of fields per record; None if quotes do not match up."""
    if len(delimiter) > 1:
        return [line.rstrip("\r\n").split(delimiter) for line in lines]
    try:
        return list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return None


def _parse_carefully(
    chunk: list[str], more: Iterator[str], delimiter: str, width: int | None
) -> Iterator[list[str]]:
    """Line by line: a record grows over further lines only until it has the right width."""
    waiting = list(reversed(chunk))
    while waiting:
        held = [waiting.pop()]
        parsed = _parse(held, delimiter)
        while parsed is None and len(held) < LONGEST_RECORD:
            following = waiting.pop() if waiting else next(more, None)
            if following is None:
                break
            held.append(following)
            if '"' in following:
                parsed = _parse(held, delimiter)
        if parsed is not None and len(parsed) <= 1:
            fields = parsed[0] if parsed else []
            if len(held) == 1 or width is None or len(fields) == width:
                yield fields
                continue
        waiting.extend(reversed(held[1:]))
        yield [held[0].rstrip("\r\n")]  # malformed: by itself, whatever followed is read again


# What every form of source becomes: a chunk, columns of text, some thousand lines at a time.

SURROGATE_OR_NUL = re.compile("[\0\ud800-\udfff]")
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
    """(data line, text) of lines that have no columns."""
    undecodable: bool = False
    """Some text here holds bytes that are no text (as lone surrogates), or NUL."""
    position: int = 0
    """Bytes of the file read so far."""

    @property
    def lines(self) -> int:
        return len(self.numbers) + len(self.malformed)


def has_undecodable(text: str) -> bool:
    """Whether `text` came from bytes that are not of its encoding, or holds a NUL."""
    if "\0" in text:
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def storable(text: str) -> str:
    """What PostgreSQL can store: U+FFFD for NUL and for bytes that are not of the encoding."""
    return SURROGATE_OR_NUL.sub("\ufffd", text)


def any_undecodable(columns: dict[str, list[str]]) -> bool:
    """Whether a text of any column is such."""
    return any(has_undecodable("".join(texts)) for texts in columns.values())


def tolerated(total: int) -> float:
    """How many of a file's lines may be malformed; those are quarantined."""
    return max(TOLERATED_LINES, TOLERATED_SHARE * total)
