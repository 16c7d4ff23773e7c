"""Texts and local times to UTC.

Belongs here: formats and zones of timestamps, and lines out of the order of time. Keep out: which
window a time falls in, and whether it is a plausible one (see `dating.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from recloop.config.source_spec import UNIX
from recloop.database.connection import NULL

if TYPE_CHECKING:
    import numpy
    import pandas

FAR_PAST, FAR_FUTURE = "1680-01-01", "2260-01-01"
"""UTC. Times before and after are taken for these: pandas counts nanoseconds from 1677 to 2262."""
DATE = r"\d{4}(?:\d{4}|([-/. \\])\d{1,2}\1\d{1,2}(?!\d))"
"""What an ISO time begins with: a day. A year or a month alone is none, nor are `now` and `today`."""
DIALECTS = {
    r"\s*(?:UTC|GMT)$": "Z",  # of databases
    r"(:\d{2}),(?=\d)": r"\1.",  # of loggers
    r"\[[\w/+-]+\]$": "",  # of Java, after the offset
}
"""What others write in ISO times, and what that stands for."""
OTHERWISE = r"(?:UTC|GMT|\])$|,\d"
"""All of them have something of this."""
OFFSET = r"(?:[Zz]|[Tt ].*[+-]\d{2}(?::?\d{2})?)$"
NEIGHBOURS = 25
"""How many lines on one side say what time it is."""
TOLERANCE_DAYS = 1


def parse_times(values: Any, form: str, zone: str) -> pandas.Series:
    """`[n]` timestamps in UTC, NaT where a value is none. No text and no number raises.

    Args:
        values: texts, or a Series of timestamps.
        form: strptime's codes, `iso`, or one of `source_spec.UNIX`.
        zone: zone of values without an offset. An hour that the clock shows twice is taken for the
            first; one that it skips is moved to the next that exists.
    """
    import pandas as pd

    if not isinstance(values, list):
        series = pd.to_datetime(pd.Series(values).reset_index(drop=True), errors="coerce")
        return _in_utc(series, zone)
    codes, unique = pd.factorize(pd.Series(values, dtype=object))
    texts = pd.Series(unique, dtype=object).str.strip()
    if form in UNIX:
        parsed = _from_numbers(texts, 1e6 / UNIX[form])
    elif form == "iso":
        odd = texts.str.contains(OTHERWISE).fillna(False).astype(bool)
        for found, meant in DIALECTS.items() if odd.any() else ():
            texts[odd] = texts[odd].str.replace(found, meant, regex=True)
        parsed = _from_texts(texts, "ISO8601", zone)
    else:
        parsed = _from_texts(texts, form, zone)
    return parsed.take(codes).reset_index(drop=True)


def _from_numbers(texts: pandas.Series, microseconds: float) -> pandas.Series:
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(texts, errors="coerce").astype("float64").to_numpy()
    low, high = (np.datetime64(t, "us").astype("int64") for t in (FAR_PAST, FAR_FUTURE))
    with np.errstate(over="ignore"):
        since_1970 = (np.nan_to_num(numbers, nan=0.0) * microseconds).clip(low, high)
    moments = since_1970.round().astype("int64").astype("datetime64[us]")
    moments[~np.isfinite(numbers)] = np.datetime64("NaT")
    return pd.Series(moments.astype("datetime64[ns]")).dt.tz_localize("UTC")


def _from_texts(texts: pandas.Series, form: str, zone: str) -> pandas.Series:
    import pandas as pd

    dated = texts.str.match(DATE) if form == "ISO8601" else texts.str.contains("[0-9]")
    offset = texts.str.contains(OFFSET) if form == "ISO8601" else dated & _says_zone(form)
    parsed = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[ns, UTC]")
    for mask, utc in ((dated & offset, True), (dated & ~offset, False)):
        chosen = texts[mask.fillna(False).astype(bool)]
        if len(chosen):
            parsed[chosen.index] = _parsed(chosen, form, zone, utc)
    for index, text in texts[dated & parsed.isna()].items():
        parsed[index] = _far(text, form)
    return parsed


def _says_zone(form: str) -> bool:
    return "%z" in form or form.endswith(("UTC", "GMT"))


def _parsed(texts: pandas.Series, form: str, zone: str, utc: bool) -> pandas.Series:
    import pandas as pd

    try:
        return _in_utc(pd.to_datetime(texts, format=form, errors="coerce", utc=utc), zone)
    except (ValueError, TypeError, OverflowError):  # for one of them: "coerce" is not thorough
        if len(texts) == 1:
            return pd.Series(pd.NaT, index=texts.index, dtype="datetime64[ns, UTC]")
        half = len(texts) // 2
        halves = (texts.iloc[:half], texts.iloc[half:])
        return pd.concat([_parsed(part, form, zone, utc) for part in halves])


def _far(text: str, form: str) -> Any:
    """A time of a year that pandas cannot hold, as `FAR_PAST` or `FAR_FUTURE`; else NaT."""
    import pandas as pd

    try:
        iso = form == "ISO8601"  # the zone does not matter here
        year = (datetime.fromisoformat(text) if iso else datetime.strptime(text, form)).year
    except ValueError:
        return pd.NaT
    far = FAR_PAST if year < 1680 else FAR_FUTURE if year >= 2260 else None
    return pd.Timestamp(far, tz="UTC") if far else pd.NaT


def _in_utc(times: pandas.Series, zone: str) -> pandas.Series:
    import pandas as pd

    if times.dt.tz is not None:
        return times.dt.tz_convert("UTC").dt.as_unit("ns")
    times = times.dt.as_unit("us").clip(pd.Timestamp(FAR_PAST), pd.Timestamp(FAR_FUTURE))
    first = [True] * len(times)  # of two equal hours in autumn, the one in summer time
    local = times.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return local.dt.tz_convert("UTC").dt.as_unit("ns")


def utc_texts(times: pandas.Series) -> list[str]:
    """What PostgreSQL reads as `timestamptz`; NULL for NaT."""
    import numpy as np
    import pandas as pd

    codes, unique = pd.factorize(times)
    moments = pd.DatetimeIndex(unique).tz_convert("UTC").tz_localize(None)
    texts = [f"{t}+00" for t in np.datetime_as_string(moments.to_numpy(), unit="us")]
    return [texts[code] if code >= 0 else NULL for code in codes.tolist()]


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
