"""JSON lines as columns: one object a line, keys are columns.

Belongs here: what a JSON value is as the text that a CSV would have. Keep out: what the text means (see
`lines.py`), packed files (see `containers.py`).

Numbers keep the digits that were written (`12345678901234567890`, `1.10`), a missing key and `null`
are missing values, lists and objects stay JSON text. A line that is no object, names a key twice or has
one that is not declared is malformed, as a CSV line with a field too many is.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from recloop.behavior.records import TOLERATED_SHARE, Chunk, any_undecodable, tolerated
from recloop.behavior.source_files import refusal, undeclared
from recloop.config.dataset import DatasetSpec

CHUNK_LINES = 50_000
SUFFIXES = {".jsonl", ".ndjson"}
ARRAY = re.compile(r'\s*\[\s*(?:[{\["\]\d-]|$)')
_SPACE = re.compile(r"[ \t\n\r]*")
ONE_A_LINE = "Write it as JSON lines, one object a line (`jq -c '.[]'` does that to an array)"


def is_json(path: Path, head: list[str], spec: DatasetSpec) -> bool:
    """Whether a text that begins with these lines is JSON lines.

    Raises:
        SourceRefused: it is JSON in another form.
    """
    suffixes = {suffix.lower() for suffix in path.suffixes[-2:]}
    return begins_json(path, head, spec.source.format == "jsonl" or bool(suffixes & SUFFIXES))


def begins_json(path: Path, head: list[str], expected: bool = False) -> bool:
    """The same, of a file of which nothing is known but whether JSON lines are expected."""
    if any(_object(line) is not None for line in head):
        return True
    if ARRAY.match(head[0]):
        raise refusal(
            "unreadable_file", path, f"it is a JSON array, and not of objects. {ONE_A_LINE}"
        )
    if expected:
        return True
    if head[0].lstrip().startswith("{"):
        problem = f"it is a JSON document over several lines. {ONE_A_LINE}"
        raise refusal("unreadable_file", path, problem)
    return False


def read_objects(
    lines: Iterator[str], position: Callable[[], int], spec: DatasetSpec, path: Path
) -> Iterator[Chunk]:
    """The lines in chunks; blank ones are none.

    Raises:
        SourceRefused: at the end, of too many lines: `schema`: they have undeclared keys;
            `malformed_line`: they are no objects.
    """
    number = strange = broken = 0
    keys = dict[str, None]()
    while texts := list(itertools.islice(lines, CHUNK_LINES)):
        numbers, rows, malformed = list[int](), list[dict[str, str]](), list[tuple[int, str]]()
        for text in texts:
            if not text.strip():
                continue
            number += 1
            row = _object(text)
            extra = [key for key in row or () if key not in spec.columns]
            if row is None or extra:
                malformed.append((number, text.rstrip("\r\n")))
                strange += bool(extra)
                keys.update(dict.fromkeys(extra if len(keys) < 100 else ()))
                continue
            numbers.append(number)
            rows.append(_texts(row, text))
        columns = {name: [row.get(name, "") for row in rows] for name in spec.read_columns}
        yield Chunk(
            numbers,
            columns,
            malformed=malformed,
            undecodable=any_undecodable(columns),
            position=position(),
        )
        broken += len(malformed)
    if strange > min(tolerated(number), number / 2):
        raise refusal("schema", path, undeclared(list(keys), spec))
    if broken > tolerated(number):
        problem = f"{broken} of {number} lines are no JSON objects (limit: {TOLERATED_SHARE:.0%})"
        raise refusal("malformed_line", path, f"{problem}. {ONE_A_LINE}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key appears twice")
    return found


_DECODER = json.JSONDecoder(
    parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_unique
)


def _object(text: str) -> dict[str, Any] | None:
    """The object that a line is, numbers as text; None if it is none."""
    try:
        found = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _texts(row: dict[str, Any], text: str) -> dict[str, str]:
    """The object's values as text; `text` is the line that it was read from."""
    written: dict[str, str] | None = None
    texts = {}
    for key, value in row.items():
        if isinstance(value, str):
            texts[key] = value
        elif isinstance(value, bool):
            texts[key] = "true" if value else "false"
        elif value is not None:
            written = written or _as_written(text)
            texts[key] = written[key]
    return texts


def _as_written(text: str) -> dict[str, str]:
    """Each value of a line that is an object, letter by letter: nested numbers keep their digits."""
    found = {}
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, at = scanstring(text, at + 1)
        begin = _skip(text, _skip(text, at) + 1)
        _, end = _DECODER.raw_decode(text, begin)
        found[key] = text[begin:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
