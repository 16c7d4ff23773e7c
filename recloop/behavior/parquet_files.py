"""Parquet as columns of text, with bounded memory.

Belongs here: opening, damage, and values for which CSV has no form. Keep out: what texts mean (see
`lines.py`).

Lists, structs and maps become JSON text, as in JSON lines; a decimal is written without an exponent;
bytes are taken for UTF-8, and those that are not make the line `undecodable_text`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recloop.behavior.containers import HEAD, packing_of, unread_kind
from recloop.behavior.records import Chunk, any_undecodable
from recloop.behavior.source_files import check_columns, in_short, refusal
from recloop.behavior.times import FAR_FUTURE, FAR_PAST
from recloop.config.dataset import DatasetSpec
from recloop.config.id_rules import EXACT

if TYPE_CHECKING:
    import pandas
    import pyarrow

ROWS = 50_000
MAGIC = (b"PAR1", b"PARE")  # the latter is encrypted


def read_parquet(path: Path, spec: DatasetSpec) -> Iterator[Chunk]:
    """The file's rows in chunks.

    Raises:
        SourceRefused: `schema`: it is no Parquet file, or has other columns; `unreadable_file`: it is
            damaged, which may show only after some chunks.
    """
    from pyarrow import ArrowException, parquet

    with path.open("rb") as raw:
        start = raw.read(HEAD)
    if not start.startswith(MAGIC):
        kind = unread_kind(path, start)
        found = f"packed by {packing_of(start)}" if packing_of(start) else kind and kind[0]
        what = f"; it is {found}" if found else ""
        raise refusal("schema", path, f"it is not a Parquet file{what}. Check source.format")
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            check_columns(file.schema_arrow.names, spec, path)
            done, size = 0, os.path.getsize(path)
            total = max(file.metadata.num_rows, 1)
            for batch in file.iter_batches(ROWS, columns=list(spec.read_columns)):
                numbers = range(done + 1, done + 1 + batch.num_rows)
                done += batch.num_rows
                yield _chunk(batch, numbers, spec, position=size * done // total)
    except (ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        problem = f"it is a damaged Parquet file ({in_short(error)}). Deliver the file again"
        raise refusal("unreadable_file", path, problem) from error


def _chunk(batch: pyarrow.RecordBatch, numbers: range, spec: DatasetSpec, position: int) -> Chunk:
    columns = {name: _texts(batch.column(name)) for name in spec.read_columns}
    return Chunk(
        numbers,
        columns,
        times=_times(batch.column(spec.event.timestamp)),
        undecodable=any_undecodable(columns),
        position=position,
    )


def _texts(column: pyarrow.Array) -> list[str]:
    """`[n]` texts of any column, as a CSV would have them: `17850.0` is `17850`, nulls are empty, times
    are written as `2011-01-03 08:00:00`."""
    from pyarrow import types

    column = _plain(column)
    kind = column.type
    if types.is_nested(kind):
        write = json.JSONEncoder(ensure_ascii=False, default=_leaf).encode
        return ["" if value is None else write(value) for value in column.to_pylist()]
    if types.is_integer(kind):
        return ["" if value is None else str(value) for value in column.to_pylist()]
    if types.is_decimal(kind):
        return ["" if value is None else f"{value:f}" for value in column.to_pylist()]
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        try:
            return ["" if text is None else text for text in column.to_pylist()]
        except UnicodeDecodeError:  # a writer that did not look what it wrote
            column = column.cast("binary")
    if _is_dated(kind):
        numbers = column.cast(_whole_type(kind)).to_pylist()
        return list(map(_time_text, _moments(column).tolist(), numbers))
    if types.is_time(kind) or types.is_duration(kind):  # of a day or a span: no moment
        column = column.cast(_whole_type(kind))
    return [_text(value) for value in column.to_pylist()]


def _times(column: pyarrow.Array) -> pandas.Series | None:
    """`[n]` moments (datetime64[ns]) of a column of timestamps or dates; None for another column.

    In the column's zone if it has one, else naive; null is NaT. Moments that pandas cannot hold come
    as `times.FAR_PAST` and `times.FAR_FUTURE`.
    """
    column = _plain(column)
    return _moments(column) if _is_dated(column.type) else None


def _plain(column: pyarrow.Array) -> pyarrow.Array:
    """The column without the forms that only save space, and without names for what it means."""
    import pyarrow

    while True:
        if isinstance(column, pyarrow.ExtensionArray) and not isinstance(column, pyarrow.UuidArray):
            column = column.storage
        elif pyarrow.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        elif pyarrow.types.is_run_end_encoded(column.type):
            column = column.decode()
        else:
            return column


def _is_dated(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return types.is_timestamp(kind) or types.is_date(kind)


def _moments(column: pyarrow.Array) -> pandas.Series:
    import numpy as np
    import pandas as pd
    import pyarrow

    kind = column.type
    unit = "D" if pyarrow.types.is_date32(kind) else getattr(kind, "unit", "ms")
    stored = np.dtype(f"datetime64[{unit}]")
    whole = column.cast(_whole_type(kind)).cast("int64")
    low, high = np.array([FAR_PAST, FAR_FUTURE], stored).astype("int64")
    numbers = whole.fill_null(0).to_numpy(zero_copy_only=False).clip(low, high)
    moments = numbers.astype(stored).astype("datetime64[ns]")
    moments[whole.is_null().to_numpy(zero_copy_only=False)] = np.datetime64("NaT")
    times = pd.Series(moments)
    zone = getattr(kind, "tz", None)
    return times.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else times


def _whole_type(kind: pyarrow.DataType) -> str:
    """The integers that a type of times is stored as."""
    return f"int{kind.bit_width}"


def _time_text(time: Any, number: int | None) -> str:
    if number is None:
        return ""
    return str(time) if FAR_PAST < time.strftime("%Y-%m-%d") < FAR_FUTURE else str(number)


def _text(value: Any) -> str:
    if value is None or value != value:  # NaN and NaT differ from themselves
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return str(int(value))
    return _leaf(value)


def _leaf(value: Any) -> str:
    """Also of a value within a list or a struct for which JSON has no form."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
