"""From text columns to rows of `behavior.landing`: types, times in UTC, identities, faults.

Belongs here: what one line means. Keep out: reading (see `sources.py`), and whether a line that has a
window is good (see `validation/row_rules.py`); only lines that no window can be found for end here.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import md5
from typing import TYPE_CHECKING, Any

from recloop.behavior.dating import UNDATED, nearest_windows, time_faults, window_keys
from recloop.behavior.numbers import Written, numbers_of
from recloop.behavior.records import Chunk, has_undecodable, storable
from recloop.behavior.times import parse_times, utc_texts
from recloop.config.dataset import DatasetSpec
from recloop.database.connection import NULL

if TYPE_CHECKING:
    import numpy
    import pandas

SEPARATOR = "\x1f"
LANDING_COLUMNS = (
    "file_id", "line_no", "window_key", "event_id", "content_hash", "user_id", "item_id",
    "event_type", "event_timestamp", "value", "price", "user_attributes", "item_attributes", "faults",
)  # fmt: skip
Rejected = tuple[int, str | None, str, str, str | None, str | None]
"""(line number, event id, rule, line as JSON, window of the nearest line, when it is due) of a line that
no window can be found for. The window is None where the loss of the line counts in none; a line is due
when its time, which lay in the future, has come."""


@dataclass
class Parsed:
    """One chunk, ready for `COPY`."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """In the order of `LANDING_COLUMNS`, without `file_id`."""
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def windows(self) -> set[str]:
        return {row[1] for row in self.rows}


def parse_lines(
    chunk: Chunk,
    times: pandas.Series,
    spec: DatasetSpec,
    as_of: datetime,
    misplaced: numpy.ndarray | None = None,
) -> Parsed:
    """Type, date and identify the lines of a chunk.

    Args:
        times: `[lines]` as of `chunk_times`.
        as_of: aware; later timestamps are `future_timestamp`.
        misplaced: `[lines]` bool, lines out of the order of time.
    """
    import numpy as np
    import pandas as pd

    event = spec.event
    columns = chunk.columns | {
        name: spec.ids.normal_all(chunk.columns[name]) for name in (event.user_id, event.item_id)
    }
    event_ids, hashes = _identities(columns, spec)
    bad_text = np.zeros(len(chunk.numbers), dtype=bool)
    if chunk.undecodable:
        rows = zip(*chunk.columns.values(), strict=True)
        bad_text = np.array([has_undecodable("".join(row)) for row in rows], dtype=bool)
        columns = {name: [storable(text) for text in texts] for name, texts in columns.items()}

    rules = time_faults(times, spec, as_of, misplaced)
    dated = np.flatnonzero(pd.isna(rules))
    keys: list[Any] = [None] * len(times)
    for i, key in zip(dated.tolist(), window_keys(times.iloc[dated], spec), strict=True):
        keys[i] = key
    written = Written(spec.source.numbers, spec.source.unit)
    value, bad_value = _numbers(columns, event.value, written)
    price, bad_price = _numbers(columns, event.price, written)
    bad_number = bad_value | bad_price
    fields: list[Iterable[Any]] = [
        chunk.numbers,
        keys,
        event_ids,
        hashes,
        [text or NULL for text in columns[event.user_id]],
        [text or NULL for text in columns[event.item_id]],
        _types(columns, spec),
        utc_texts(times),
        value,
        price,
        _attributes(columns, spec.user_attributes.columns),
        _attributes(columns, spec.item_attributes.all),
        [_faults(t, n) for t, n in zip(bad_text.tolist(), bad_number.tolist(), strict=True)],
    ]
    parsed = Parsed(rows=list(zip(*fields, strict=True)))
    parsed.rejected = [
        (number, None, "malformed_line", json.dumps({"text": storable(text[:10_000])}), None, None)
        for number, text in chunk.malformed
    ]
    if len(dated) < len(times):
        near = nearest_windows(keys)
        for i in np.flatnonzero(pd.notna(rules)).tolist():
            line = {name: texts[i] for name, texts in columns.items()}
            text = json.dumps(line, ensure_ascii=False)
            rule = str(rules[i])
            where = near[i] if rule in UNDATED else None
            due = str(times.iloc[i]) if rule == "future_timestamp" else None
            parsed.rejected.append((chunk.numbers[i], event_ids[i], rule, text, where, due))
        parsed.rows = [parsed.rows[i] for i in dated.tolist()]
    return parsed


def as_csv(file_id: int, rows: Iterable[tuple[Any, ...]]) -> io.StringIO:
    """Landing rows as the CSV that `COPY` reads."""
    import csv

    buffer = io.StringIO()  # lines end in CR LF: csv quotes only what its own line end has in it
    csv.writer(buffer, lineterminator="\r\n").writerows((file_id, *row) for row in rows)
    return buffer


def chunk_times(chunk: Chunk, spec: DatasetSpec) -> pandas.Series:
    """`[lines]` timestamps in UTC; NaT where the text is none."""
    event = spec.event
    given: Any = chunk.times if chunk.times is not None else chunk.columns[event.timestamp]
    if event.time_of_day:
        both = zip(given, chunk.columns[event.time_of_day], strict=True)
        given = [f"{day.strip()} {time.strip()}" for day, time in both]
    return parse_times(given, event.timestamp_format, event.timezone)


def _identities(columns: dict[str, list[str]], spec: DatasetSpec) -> tuple[list[str], list[str]]:
    """Event ids and content hashes, as hexadecimal md5 (a uuid to PostgreSQL)."""
    hashes = _digests([columns[name] for name in spec.read_columns])
    if spec.identity == spec.read_columns:
        return hashes, hashes
    return _digests([columns[name] for name in spec.identity]), hashes


def _digests(columns: list[list[str]]) -> list[str]:
    rows = zip(*columns, strict=True)
    return [md5(_bytes(_joined(row)), usedforsecurity=False).hexdigest() for row in rows]


def _joined(row: tuple[str, ...]) -> str:
    """One text for each row of n texts: no two rows have the same, and none depends on another.

    Joined plain texts have n - 1 separators. Where a text has one itself, n of them come first, and
    `ascii` escapes the rest. Rejected: `repr`, whose escapes change with Python's Unicode tables.
    """
    text = SEPARATOR.join(row)
    return text if text.count(SEPARATOR) < len(row) else SEPARATOR * len(row) + ascii(row)


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a pair, as JSON can have: no byte ever stood for it
        return text.encode("utf-8", "surrogatepass")


def _numbers(
    columns: dict[str, list[str]], name: str | None, written: Written
) -> tuple[list[Any], numpy.ndarray]:
    """Values for `COPY`, and which texts are no finite number. A column of None is all NULL."""
    import numpy as np
    import pandas as pd

    if name is None:
        count = len(next(iter(columns.values())))
        return [NULL] * count, np.zeros(count, dtype=bool)
    codes, unique = pd.factorize(pd.Series(columns[name], dtype=object))
    texts = pd.Series(unique, dtype=object)
    numbers = numbers_of(texts, written)
    finite = np.isfinite(numbers)
    bad = ~finite & (texts.str.strip() != "").to_numpy(dtype=bool)
    shown = [repr(float(n)) if ok else NULL for n, ok in zip(numbers, finite, strict=True)]
    return [shown[code] for code in codes.tolist()], bad[codes]


def _types(columns: dict[str, list[str]], spec: DatasetSpec) -> list[str]:
    event = spec.event
    types = [event.type] * len(columns[event.timestamp])
    if event.type_column is not None:
        types = [text.strip() for text in columns[event.type_column]]
        types = [event.type if text in ("", NULL) else text for text in types]
    for when in event.type_when:
        pattern = re.compile(when.matches)
        texts = columns[when.column]
        hits = {text for text in set(texts) if pattern.search(text)}
        if hits:
            types = [when.type if t in hits else old for t, old in zip(texts, types, strict=True)]
    return types


def _attributes(columns: dict[str, list[str]], names: tuple[str, ...]) -> list[str]:
    """One JSON object per line: column name to text; empty texts are left out."""
    if not names:
        return [NULL] * len(next(iter(columns.values())))
    known: dict[tuple[str, ...], str] = {}
    texts = []
    for row in zip(*(columns[name] for name in names), strict=True):
        text = known.get(row)
        if text is None:
            shown = {n: t.strip() for n, t in zip(names, row, strict=True) if t.strip()}
            text = known[row] = json.dumps(shown, ensure_ascii=False)
        texts.append(text)
    return texts


def _faults(bad_text: bool, bad_number: bool) -> str:
    if not (bad_text or bad_number):
        return "{}"
    names = ["undecodable_text"] * bad_text + ["unparseable_number"] * bad_number
    return "{" + ",".join(names) + "}"
