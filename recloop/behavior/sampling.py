"""The first lines of a file of which nothing is known: how it is written, and its columns as texts.

Belongs here: encoding, delimiter, header. Keep out: what the columns mean (`roles.py`).
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recloop.behavior.column_names import NAMES, says
from recloop.behavior.containers import opened
from recloop.behavior.json_arrays import is_array, objects_in
from recloop.behavior.json_lines import begins_json
from recloop.behavior.source_files import refusal

if TYPE_CHECKING:
    import pandas

LINES = 300_000
"""Lines that are looked at."""
HEAD_BYTES = 1 << 22
HEAD_LINES = 200
FIELDS = 1000
"""Columns that a file has at most; more is a matrix, or all of it in one line."""
DELIMITERS = (",", "\t", ";", "|", "::", " ")
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Sample:
    """What was read: `frame` has every column as texts, missing ones empty."""

    format: str
    encoding: str
    delimiter: str
    header: bool
    frame: pandas.DataFrame
    whole: bool
    """Whether the sample is the whole file."""


def take(path: Path) -> Sample:
    """Read the first lines.

    Raises:
        SourceRefused: it is no table of text, JSON lines or Parquet that could be read.
    """
    try:
        return _take(path)
    except (ValueError, OSError, csv.Error) as error:  # of pandas and Arrow, too
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        problem = (
            f"it cannot be read as a table ({said}). Mend it, or write it as CSV or JSON lines"
        )
        raise refusal("unreadable_file", path, problem) from error


def _take(path: Path) -> Sample:
    with path.open("rb") as raw:
        if raw.read(4) == b"PAR1":
            return _parquet(path)
    with opened(path) as file:
        head = file.stream.peek(HEAD_BYTES)[:HEAD_BYTES]
        head = head if len(head) >= HEAD_BYTES else file.stream.read(HEAD_BYTES)
    encoding = _encoding(head)
    if is_array(head, encoding):
        return _json(path, encoding, array=True)
    lines = head.decode(encoding, "replace").splitlines()[:HEAD_LINES]
    said = [line for line in lines if line.strip()]
    if said and begins_json(path, said):
        return _json(path, encoding, array=False)
    delimiter = _delimiter(lines)
    if delimiter is None:
        raise refusal(
            "unreadable_file",
            path,
            f"its lines are not split alike by any of {', '.join(map(repr, DELIMITERS))}. Write it as "
            "CSV, JSON lines or Parquet",
        )
    rows = _split(lines, delimiter)
    width = max(map(len, rows), default=0)
    if width > FIELDS:
        problem = (
            f"a line of it has {width:,} fields. Write one event a line, of {FIELDS:,} at most"
        )
        raise refusal("unreadable_file", path, problem)
    _refuse_above(path, rows)
    header = _has_header(rows)
    twice = [name for name, count in Counter(rows[0]).items() if count > 1 and name]
    named = not re.search(r"\d", "".join(rows[0]))  # an event has a time
    if twice and named and any(says(name, role) for name in rows[0] for role in NAMES):
        problem = (
            f"two of its columns are called {twice[0]!r}. Name each otherwise, or leave one out"
        )
        raise refusal("schema", path, problem)
    names = (
        [name.strip() for name in rows[0]]
        if header
        else [f"column_{n + 1}" for n in range(len(rows[0]))]
    )
    frame = _read(path, encoding, delimiter, names, header)
    if frame.empty:
        raise refusal("empty_file", path, "it has no lines of data. Deliver the file again")
    return Sample("csv", encoding, delimiter, header, frame, len(frame) < LINES)


def _refuse_above(path: Path, rows: list[list[str]]) -> None:
    """Refuse a file with something else above its table, as a title, or with too few names."""
    width = Counter(map(len, rows)).most_common(1)[0][0]
    usual = sorted(sum(map(bool, row)) for row in rows)[len(rows) // 2]
    above = 0
    for row in rows[: len(rows) // 2]:
        if len(row) >= width and sum(map(bool, row)) > usual / 2:
            break
        above += 1
    if not 0 < above < len(rows) // 2:
        return
    problem = (
        f"its table begins in line {above + 1}, below {rows[0][0]!r}. Remove what stands above it"
    )
    if above == 1 and len(rows[0]) == width - 1:
        problem = (
            f"its first line has {width - 1} fields and the others {width}. Give each column a name"
        )
    raise refusal("unreadable_file", path, problem)


def _read(path: Path, encoding: str, delimiter: str, names: list[str], header: bool) -> Any:
    import pandas as pd

    with opened(path) as file, io.TextIOWrapper(file.stream, encoding, "replace", "") as text:
        return pd.read_csv(
            text,
            sep=delimiter,
            names=names,
            header=0 if header else None,
            index_col=False,
            dtype=str,
            keep_default_na=False,
            nrows=LINES,
            on_bad_lines="skip",
            engine="c" if len(delimiter) == 1 else "python",
        ).fillna("")


def _parquet(path: Path) -> Sample:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    batch = next(file.iter_batches(LINES), None)
    frame = (batch.to_pandas() if batch else file.read().to_pandas()).reset_index(drop=True)
    texts = frame.astype(object).where(frame.notna(), "").astype(str)
    return Sample("parquet", "utf-8", ",", True, texts, file.metadata.num_rows <= LINES)


def _json(path: Path, encoding: str, array: bool) -> Sample:
    import pandas as pd

    with opened(path) as file, io.TextIOWrapper(file.stream, encoding, "replace") as text:
        lines: Any = text
        if array:  # laid out over many lines, or in one
            first = itertools.islice(objects_in(text), LINES)
            lines = io.StringIO("\n".join(json.dumps(json.loads(one)) for one in first))
        frame = pd.read_json(lines, lines=True, nrows=LINES, dtype=False, convert_dates=False)
    texts = frame.astype(object).where(frame.notna(), "").astype(str)
    return Sample("jsonl", encoding, ",", True, texts, len(frame) < LINES)


def _encoding(head: bytes) -> str:
    for mark, name in MARKS.items():
        if head.startswith(mark):
            return name
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # may end within a character
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _delimiter(lines: list[str]) -> str | None:
    """The one that splits nearly all lines into the same number of fields, the most of them. One that
    would leave a closing quote within a field, as a blank inside quotes does, comes last."""
    return _best_delimiter(lines, strict=True) or _best_delimiter(lines, strict=False)


def _best_delimiter(lines: list[str], strict: bool) -> str | None:
    best, most = None, 1
    for delimiter in DELIMITERS:
        try:
            rows = _split(lines, delimiter, strict)
        except csv.Error:
            continue
        if not rows:
            return None
        if (
            delimiter == " "
            and sum(row[0].endswith((",", ";", "|")) for row in rows) > len(rows) / 2
        ):
            continue  # it stands after another, which is the delimiter
        widths = Counter(map(len, rows))
        width, count = widths.most_common(1)[0]
        if count >= 0.9 * widths.total() and width > most:
            best, most = delimiter, width
    return best


def _split(lines: list[str], delimiter: str, strict: bool = False) -> list[list[str]]:
    kept = [line for line in lines if line.strip()]
    if len(delimiter) > 1:
        return [line.split(delimiter) for line in kept]
    rows = csv.reader(kept, delimiter=delimiter, strict=strict)
    return [row for row in rows if row]


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: distinct, no number where the others have one, and
    nothing of the shape of what stands below, as `user_17` over `user_23`."""
    first, others = rows[0], rows[1:20]
    if len(set(first)) < len(first) or not others:
        return len(set(first)) == len(first)
    for at, name in enumerate(first):
        alike = [_shape(row[at]) == _shape(name) for row in others if at < len(row)]
        if re.search(r"\d", name) and sum(alike) > len(alike) / 2:
            return False
    numbers = [
        all(_is_number(row[at]) for row in others if at < len(row)) for at in range(len(first))
    ]
    return not any(
        _is_number(name) for name, number in zip(first, numbers, strict=True) if number
    ) and (any(numbers) or all(not _is_number(name) for name in first))


def _shape(text: str) -> str:
    return re.sub(r"\d+", "0", text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
