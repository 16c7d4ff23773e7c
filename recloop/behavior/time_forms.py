"""The form of a column of times of which nothing is known.

Belongs here: which forms are tried. Keep out: reading times of a known form (`times.py`).
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from recloop.behavior.times import parse_times
from recloop.config.source_spec import UNIX, usable_format

if TYPE_CHECKING:
    import pandas

FORMATS = (
    "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y", "%d/%m/%Y",
    "%m/%d/%y %H:%M", "%d/%m/%y %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y",
    "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y", "%B %d, %Y", "%b %d, %Y", "%d %b %Y", "%d %B %Y",
    "%a %b %d %H:%M:%S %z %Y", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d.%m.%y %H:%M", "%d.%m.%y %H:%M:%S", "%d-%b-%y",
    "%d-%b-%y %I.%M.%S.%f %p", "%d/%b/%Y:%H:%M:%S %z", "%G-W%V-%u",
)  # fmt: skip
TIME_OF_DAY = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?"
PARSED = 0.97
"""Of a column's values, that must be of a form."""
PROBED = 2000
GUESSED = 20
"""Texts of a column of which each is looked at for a form."""


def form_of(column: pandas.Series) -> str | None:
    """The form of a column's times, if it has any; the likeliest of `forms_of`."""
    return next(iter(forms_of(column)), None)


EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


def forms_of(column: pandas.Series, any_time: bool = False) -> list[str]:
    """All forms that nearly all of a column's times can be of, and that say different times; the
    likeliest first.

    A file is of a stretch of time. Read with day and month in each other's place its days would lie
    scattered over more of it: of two forms the one by which the times lie closer together comes first.

    Args:
        any_time: also such as the times would lie before `EARLIEST` or after today.
    """
    given = column[column != ""]
    probe = given.sample(min(PROBED, len(given)), random_state=0)
    if len(probe) < 0.5 * min(PROBED, len(column)) or not len(probe):
        return []
    if probe.str.contains("[0-9]").mean() < PARSED:
        return []
    for form in (*UNIX, "iso"):
        if _read(probe, form, any_time) is not None:
            return [form]
    found: list[tuple[timedelta, str, pandas.Series]] = []
    for form in dict.fromkeys([*FORMATS, *_looked_up(probe)]):
        moments = _read(probe, form, any_time)
        if moments is not None and not any(moments.equals(one) for *_, one in found):
            found.append((moments.max() - moments.min(), form, moments))
    return [form for _, form, _ in sorted(found, key=lambda one: one[0])]


def _read(probe: pandas.Series, form: str, any_time: bool) -> pandas.Series | None:
    """The moments; None if too few texts are of the form."""
    import pandas as pd

    if form in UNIX and not pd.to_numeric(probe, errors="coerce").notna().all():
        return None
    try:
        moments = parse_times(list(probe), form, "UTC")
    except (ValueError, OverflowError):
        return None
    newest = pd.Timestamp(datetime.now(UTC) + timedelta(days=2))
    there = moments.notna() if any_time else (moments > EARLIEST) & (moments < newest)
    return moments if there.mean() >= PARSED else None


def _looked_up(probe: pandas.Series) -> list[str]:
    """Forms that pandas finds in some of the texts, with the day first and the month first."""
    from pandas.tseries.api import guess_datetime_format

    found = []
    for text in probe.head(GUESSED):
        for day_first in (False, True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of texts that can have the other order only
                guess = guess_datetime_format(text, dayfirst=day_first)
            zone = text.rstrip()[-3:]
            if guess and guess.endswith("%Z") and zone in ("UTC", "GMT"):
                guess = guess.removesuffix("%Z") + zone
            with suppress(ValueError):
                found += [usable_format(" ".join(guess.split()))] if guess else []
    return found


def are_days_of_excel(column: pandas.Series) -> bool:
    """Whether all are numbers of days since 1899-12-30 that lie between 1990 and 2064."""
    import pandas as pd

    given = pd.to_numeric(column[column != ""].head(PROBED), errors="coerce")
    return len(given) > 0 and bool(given.between(32_874, 60_000).all())


def is_time_of_day(column: pandas.Series) -> bool:
    """Whether a column holds times of day alone, as 10:30."""
    given = column[column != ""].head(PROBED)
    return len(given) > 0 and bool(given.str.fullmatch(TIME_OF_DAY).mean() >= PARSED)
