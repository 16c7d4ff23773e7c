"""Texts and local times to UTC.

Belongs here: formats and zones of timestamps, and lines out of the order of time. Keep out: which
window a time falls in (see `recloop/windows.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recloop.database.connection import NULL

if TYPE_CHECKING:
    import numpy
    import pandas

OFFSET = r"(?:[Zz]|[+-]\d{2}:?\d{2})$"
NEIGHBOURS = 25
"""How many lines on one side say what time it is."""
TOLERANCE_DAYS = 1


def parse_times(values: Any, form: str, zone: str) -> pandas.Series:
    """`[n]` timestamps in UTC, NaT where a value is none.

    Args:
        values: texts, or a Series of timestamps.
        form: strptime's codes, `iso`, `unix` (seconds) or `unix_ms`.
        zone: zone of values without an offset. An hour that the clock shows twice is taken for the
            first; one that it skips is moved to the next that exists.
    """
    import pandas as pd

    if not isinstance(values, list):
        series = pd.to_datetime(pd.Series(values).reset_index(drop=True), errors="coerce")
        return _localized(series, zone) if series.dt.tz is None else series.dt.tz_convert("UTC")
    codes, unique = pd.factorize(pd.Series(values, dtype=object))
    texts = pd.Series(unique, dtype=object).str.strip()
    if form in ("unix", "unix_ms"):
        numbers = pd.to_numeric(texts, errors="coerce")
        unit = "s" if form == "unix" else "ms"
        parsed = pd.to_datetime(numbers, unit=unit, errors="coerce", utc=True)
    else:
        parsed = _from_texts(texts, "ISO8601" if form == "iso" else form, zone)
    return parsed.take(codes).reset_index(drop=True)


def _from_texts(texts: pandas.Series, form: str, zone: str) -> pandas.Series:
    import pandas as pd

    offset = texts.str.contains(OFFSET, regex=True).fillna(False).astype(bool)
    if form != "ISO8601":
        offset[:] = "%z" in form
    aware = pd.to_datetime(texts.where(offset), format=form, errors="coerce", utc=True)
    naive = pd.to_datetime(texts.mask(offset), format=form, errors="coerce")
    return aware.where(offset, _localized(naive, zone))


def _localized(naive: pandas.Series, zone: str) -> pandas.Series:
    first = [True] * len(naive)  # of two equal hours in autumn, the one in summer time
    local = naive.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return local.dt.tz_convert("UTC")


def utc_texts(times: pandas.Series) -> list[str]:
    """What PostgreSQL reads as `timestamptz`; NULL for NaT."""
    import numpy as np
    import pandas as pd

    codes, unique = pd.factorize(times)
    moments = pd.DatetimeIndex(unique).tz_convert("UTC").tz_localize(None)
    texts = [f"{t}+00" for t in np.datetime_as_string(moments.to_numpy(), unit="us")]
    texts.append(NULL)
    return [texts[code] for code in codes.tolist()]


def misplaced(
    before: pandas.Series, times: pandas.Series, after: pandas.Series, count: int = NEIGHBOURS
) -> numpy.ndarray:
    """`[n]` bool: lines of a file in the order of time that jump a day or more into the future.

    Such a line is later than the median of the `count` lines that follow and of those before it. In
    an ordered file this never happens, however long a silence between two lines is. Lines that lie
    behind are none of these: they are late, which is no fault.

    Args:
        before, after: timestamps of the neighbouring chunks' last and first lines.
    """
    import numpy as np
    import pandas as pd

    if not len(times):
        return np.zeros(0, dtype=bool)

    def seconds(moments: pandas.Series) -> numpy.ndarray:
        index = pd.DatetimeIndex(moments)
        numbers = index.as_unit("us").asi8.astype("float64") / 1e6
        return np.where(index.isna(), np.nan, numbers)

    head, middle, tail = seconds(before), seconds(times), seconds(after)
    joined = pd.Series(np.concatenate([head, middle, tail]))
    past = joined.shift(1).rolling(count, min_periods=1).median()
    future = joined[::-1].shift(1).rolling(count, min_periods=1).median()[::-1]
    tolerance = TOLERANCE_DAYS * 86_400
    wrong = (joined > future + tolerance) & (past.isna() | (joined > past + tolerance))
    return wrong.to_numpy()[len(head) : len(head) + len(middle)]
