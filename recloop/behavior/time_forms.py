"""The form of a column of times of which nothing is known.

Belongs here: which forms are tried. Keep out: reading times of a known form (`times.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from recloop.behavior.times import parse_times

if TYPE_CHECKING:
    import pandas

FORMATS = (
    "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y", "%d/%m/%Y",
    "%m/%d/%y %H:%M", "%d/%m/%y %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y",
    "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y", "%B %d, %Y", "%b %d, %Y", "%d %b %Y", "%d %B %Y",
    "%a %b %d %H:%M:%S %z %Y", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p",
)  # fmt: skip
TIME_OF_DAY = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?"
PARSED = 0.97
"""Of a column's values, that must be of a form."""
PROBED = 2000


def form_of(column: pandas.Series) -> str | None:
    """The form of a column's times, if it has any."""
    import pandas as pd

    given = column[column != ""]
    probe = given.sample(min(PROBED, len(given)), random_state=0)
    if len(probe) < 0.5 * min(PROBED, len(column)) or not len(probe):
        return None
    newest = pd.Timestamp(datetime.now(UTC) + timedelta(days=2))
    for form in ("unix", "unix_ms", "iso", *FORMATS):
        try:
            moments = parse_times(list(probe), form, "UTC")
        except (ValueError, OverflowError):
            continue
        if form.startswith("unix") and not pd.to_numeric(probe, errors="coerce").notna().all():
            continue
        if ((moments > pd.Timestamp("1990-01-01", tz="UTC")) & (moments < newest)).mean() >= PARSED:
            return form
    return None


def is_time_of_day(column: pandas.Series) -> bool:
    """Whether a column holds times of day alone, as 10:30."""
    given = column[column != ""].head(PROBED)
    return len(given) > 0 and bool(given.str.fullmatch(TIME_OF_DAY).mean() >= PARSED)
