"""From text columns to rows of `behavior.landing`: types, times in UTC, identities, faults.

Belongs here: what one line means. Keep out: reading (see `sources.py`), and whether a line that has a
window is good (see `validation/rows.py`); only lines that no window can be found for end here.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import md5
from typing import TYPE_CHECKING, Any

from recloop.behavior.dataset import DatasetSpec
from recloop.behavior.records import has_undecodable
from recloop.behavior.sources import Chunk
from recloop.behavior.times import parse_times, utc_texts
from recloop.database.connection import NULL

if TYPE_CHECKING:
    import numpy
    import pandas

SEPARATOR = "\x1f"
SURROGATE_OR_NUL = re.compile("[\0\ud800-\udfff]")
LANDING_COLUMNS = (
    "file_id", "line_no", "window_key", "event_id", "content_hash", "user_id", "item_id",
    "event_type", "event_timestamp", "value", "price", "user_attributes", "item_attributes", "faults",
)  # fmt: skip
Rejected = tuple[int, str | None, str, str]
"""(line number, event id, rule, line as JSON) of a line that no window can be found for."""


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

    columns, event = chunk.columns, spec.event
    event_ids, hashes = _identities(chunk, spec)
    bad_text = np.zeros(len(chunk.numbers), dtype=bool)
    if chunk.undecodable:
        rows = zip(*columns.values(), strict=True)
        bad_text = np.array([has_undecodable("".join(row)) for row in rows], dtype=bool)
        columns = {name: [_clean(text) for text in texts] for name, texts in columns.items()}

    rules = _window_faults(times, spec, as_of, misplaced)
    keys = _window_keys(times, spec)
    value, bad_value = _numbers(columns, event.value)
    price, bad_price = _numbers(columns, event.price)
    bad_number = bad_value | bad_price
    fields: list[Iterable[Any]] = [
        chunk.numbers,
        keys,
        event_ids,
        hashes,
        _texts(columns[event.user_id]),
        _texts(columns[event.item_id]),
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
        (number, None, "malformed_line", json.dumps({"text": _clean(text)[:10_000]}))
        for number, text in chunk.malformed
    ]
    broken = np.flatnonzero(pd.notna(rules))
    if len(broken):
        for i in broken.tolist():
            line = {name: texts[i] for name, texts in columns.items()}
            text = json.dumps(line, ensure_ascii=False)
            parsed.rejected.append((chunk.numbers[i], event_ids[i], str(rules[i]), text))
        kept = np.ones(len(parsed.rows), dtype=bool)
        kept[broken] = False
        parsed.rows = [row for row, keep in zip(parsed.rows, kept.tolist(), strict=True) if keep]
    return parsed


def as_csv(file_id: int, rows: Iterable[tuple[Any, ...]]) -> io.StringIO:
    """Landing rows as the CSV that `COPY` reads."""
    import csv

    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows((file_id, *row) for row in rows)
    return buffer


def chunk_times(chunk: Chunk, spec: DatasetSpec) -> pandas.Series:
    """`[lines]` timestamps in UTC; NaT where the text is none."""
    given: Any = chunk.times if chunk.times is not None else chunk.columns[spec.event.timestamp]
    return parse_times(given, spec.event.timestamp_format, spec.event.timezone)


def _identities(chunk: Chunk, spec: DatasetSpec) -> tuple[list[str], list[str]]:
    """Event ids and content hashes, as hexadecimal md5 (a uuid to PostgreSQL)."""
    everything = [chunk.columns[name] for name in spec.read_columns]
    hashes = _digests(everything)
    if spec.identity == spec.read_columns:
        return hashes, hashes
    return _digests([chunk.columns[name] for name in spec.identity]), hashes


def _digests(columns: list[list[str]]) -> list[str]:
    rows: Iterable[tuple[str, ...]] = zip(*columns, strict=True)
    join: Callable[[tuple[str, ...]], str] = SEPARATOR.join
    if any(SEPARATOR in "".join(texts) for texts in columns):  # joining would be ambiguous
        join = repr
    return [
        md5(join(row).encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
        for row in rows
    ]


def _window_faults(
    times: pandas.Series, spec: DatasetSpec, as_of: datetime, misplaced: numpy.ndarray | None
) -> numpy.ndarray:
    """`[lines]` object array: the rule that a line's time breaks, or None."""
    import numpy as np

    rules = np.full(len(times), None, dtype=object)
    if misplaced is not None:
        rules[misplaced] = "misplaced_timestamp"
    if spec.period.start is not None:
        rules[(times < spec.period.start).to_numpy()] = "outside_period"
    if spec.period.end is not None:
        rules[(times >= spec.period.end).to_numpy()] = "outside_period"
    rules[(times > as_of).to_numpy()] = "future_timestamp"
    rules[times.isna().to_numpy()] = "unparseable_timestamp"
    return rules


def _window_keys(times: pandas.Series, spec: DatasetSpec) -> list[str]:
    import pandas as pd

    codes, days = pd.factorize(times.dt.floor("D"))
    keys = [spec.calendar.at(day.to_pydatetime()).key for day in pd.DatetimeIndex(days)]
    keys.append("")  # code -1: no timestamp
    return [keys[code] for code in codes.tolist()]


def _numbers(columns: dict[str, list[str]], name: str | None) -> tuple[list[Any], numpy.ndarray]:
    """Values for `COPY`, and which texts are no finite number. A column of None is all NULL."""
    import numpy as np
    import pandas as pd

    if name is None:
        count = len(next(iter(columns.values())))
        return [NULL] * count, np.zeros(count, dtype=bool)
    texts = pd.Series(columns[name], dtype=object)
    codes, unique = pd.factorize(texts)
    stripped = pd.Series([text.strip() for text in unique], dtype=object)
    numbers = pd.to_numeric(stripped, errors="coerce").astype("float64").to_numpy()
    finite = np.isfinite(numbers)
    bad = ~finite & (stripped != "").to_numpy(dtype=bool)
    shown = [repr(float(n)) if ok else NULL for n, ok in zip(numbers, finite, strict=True)]
    return [shown[code] for code in codes.tolist()], bad[codes]


def _texts(texts: list[str]) -> list[str]:
    return [text.strip() or NULL for text in texts]


def _types(columns: dict[str, list[str]], spec: DatasetSpec) -> list[str]:
    event = spec.event
    count = len(columns[event.timestamp])
    types = [event.type] * count
    if event.type_column is not None:
        types = [text.strip() or event.type for text in columns[event.type_column]]
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


def _clean(text: str) -> str:
    """What PostgreSQL can store: U+FFFD for NUL and for bytes that are not of the encoding."""
    return SURROGATE_OR_NUL.sub("\ufffd", text)
