"""Columns that have types (Parquet's, through Arrow) as the texts that a CSV would have, and as times.

Belongs here: what is kept of a typed value. Keep out: reading files (see `sources.py`), and what texts
mean (see `lines.py`, `times.py`). pandas stays out, too: it makes floats of whole numbers as soon as
one of them is missing, and floats hold no id beyond 2^53.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recloop.behavior.ids import EXACT

if TYPE_CHECKING:
    import pandas
    import pyarrow


def column_texts(column: pyarrow.Array) -> list[str]:
    """`[n]` texts of any column; nulls are empty, times are written as `2011-01-03 08:00:00`."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pyarrow.types.is_timestamp(kind) or pyarrow.types.is_date(kind):
        numbers = column.cast(_whole_type(kind)).to_pylist()
        return [
            _time_text(time, number)
            for time, number in zip(_moments(column).tolist(), numbers, strict=True)
        ]
    if pyarrow.types.is_time(kind) or pyarrow.types.is_duration(
        kind
    ):  # of a day or a span: no moment
        column = column.cast(_whole_type(kind))
    return as_texts(column.to_pylist())


def column_times(column: pyarrow.Array) -> pandas.Series | None:
    """`[n]` moments (datetime64[ns]) of a column of timestamps or dates; None for another column.

    In the column's zone if it has one, else naive; null is NaT. Moments that pandas cannot hold come
    as `times.FAR_PAST` and `times.FAR_FUTURE`.
    """
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    dated = pyarrow.types.is_timestamp(column.type) or pyarrow.types.is_date(column.type)
    return _moments(column) if dated else None


def _moments(column: pyarrow.Array) -> pandas.Series:
    import numpy as np
    import pandas as pd
    import pyarrow

    from recloop.behavior.times import FAR_FUTURE, FAR_PAST

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


def as_texts(values: list[Any]) -> list[str]:
    """Values of a typed source as the text a CSV would have: `17850.0` is `17850`, null is empty."""
    texts = []
    for value in values:
        if value is None or value != value:  # NaN and NaT differ from themselves
            texts.append("")
        elif isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
            texts.append(str(int(value)))
        elif isinstance(value, bytes):
            texts.append(value.decode("utf-8", "surrogateescape"))
        else:
            texts.append(str(value))
    return texts


def _whole_type(kind: pyarrow.DataType) -> str:
    """The integers that a type of times is stored as."""
    return f"int{kind.bit_width}"


def _time_text(time: Any, number: int | None) -> str:
    from recloop.behavior.times import FAR_FUTURE, FAR_PAST

    if number is None:
        return ""
    held = FAR_PAST < time.strftime("%Y-%m-%d") < FAR_FUTURE
    return str(time) if held else f"{number}"
