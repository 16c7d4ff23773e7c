"""Windows: half-open slices `[start, end)` of data time in UTC, each with a key.

A window is learnt in parts, each with a key too: `2011-06-06` is its first part, `2011-06-06+1` holds
events that came after the first had been learnt (docs/adr/0009-late-parts.md).

Belongs here: the arithmetic of windows. Keep out: what happened to a window (see `ledger/`). No
clock: times come in as arguments.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from recloop.errors import BadInput

Length = Literal["day", "week"]
KEY_FORMAT = "%Y-%m-%d"
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)
"""Windows exist between these days (UTC). What pandas and PostgreSQL compute there fits."""
LATE = "+"


def counted(windows: int) -> str:
    """`1 window`, `2 windows`."""
    return "1 window" if windows == 1 else f"{windows:,} windows"


def part_key(window_key: str, number: int) -> str:
    """The key of a window's part: 0 is the one learnt first, late parts count from 1.

    >>> part_key("2011-06-06", 0), part_key("2011-06-06", 2)
    ('2011-06-06', '2011-06-06+2')
    """
    return f"{window_key}{LATE}{number}" if number else window_key


def whole(key: str) -> str:
    """The key of the window that a part belongs to.

    >>> whole("2011-06-06+2"), whole("2011-06-06")
    ('2011-06-06', '2011-06-06')
    """
    return key.partition(LATE)[0]


def part_number(key: str) -> int:
    """0 for the part learnt first, 1 and up for late parts.

    Raises:
        BadInput: what follows the `+` is no such number.
    """
    window_key, late, number = key.partition(LATE)
    if not late:
        return 0
    if not number.isdecimal() or part_key(window_key, int(number)) != key:
        raise BadInput(
            f"{key!r} is not the key of a part; late parts are called {part_key(window_key, 1)}, "
            f"{part_key(window_key, 2)}, …; `recloop status` lists them."
        )
    return int(number)


class Window(BaseModel):
    """One slice of behavior: `key` is the date of `start` (`2011-06-06`), UTC, `end` exclusive."""

    model_config = ConfigDict(frozen=True)

    key: str
    start: datetime
    end: datetime

    def days(self, zone: ZoneInfo) -> list[date]:
        """The days whose noon in `zone` lies in the window, oldest first. Each day is of one window;
        in UTC a window is made of whole days."""
        first = self.start.astimezone(zone).date()
        days = (first + timedelta(days=n) for n in range((self.end - self.start).days + 1))
        return [
            day
            for day in days
            if self.start <= datetime(day.year, day.month, day.day, 12, tzinfo=zone) < self.end
        ]


class WindowCalendar:
    """Cuts time into windows of one length. Weeks begin on Monday 00:00 UTC (ISO 8601).

    >>> WindowCalendar("week").at(datetime(2011, 6, 9, 12, tzinfo=UTC)).key
    '2011-06-06'
    """

    def __init__(self, length: Length) -> None:
        if length not in ("day", "week"):
            raise BadInput(f"`length` should be 'day' or 'week'. Received: `length` = {length!r}.")
        self.length = length
        self.step = timedelta(days=1 if length == "day" else 7)
        self.cycles = (7,) if length == "day" else ()
        """How many windows a week has, where that is more than one: weekdays differ."""

    def at(self, moment: datetime) -> Window:
        """The window that contains `moment` (aware, any zone).

        Raises:
            BadInput: `moment` is naive, or not between `FIRST_DAY` and `LAST_DAY`.
        """
        if moment.tzinfo is None:
            raise BadInput(f"`moment` should be aware. Received: {moment!r}; add tzinfo=UTC.")
        day = moment.astimezone(UTC).date() if 1 < moment.year < 9999 else moment.date()
        if not FIRST_DAY <= day <= LAST_DAY:
            raise BadInput(
                f"no window holds {moment}; windows lie between {FIRST_DAY} and {LAST_DAY}."
            )
        if self.length == "week":
            day -= timedelta(days=day.weekday())
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return Window(key=day.isoformat(), start=start, end=start + self.step)

    def parse(self, key: str) -> Window:
        """The window of a key.

        Raises:
            BadInput: not a date, not the first day of a window, or of a year without windows.
        """
        text = str(key).strip()
        try:
            if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
                raise ValueError
            start = datetime.fromisoformat(text).replace(tzinfo=UTC)
        except ValueError as error:
            raise BadInput(
                f"window {key!r} is not a date of the form 2011-06-06; "
                "`recloop status` lists the windows."
            ) from error
        window = self.at(start)
        if window.start != start:
            raise BadInput(
                f"window {key!r} does not begin a {self.length}; did you mean {window.key!r}?"
            )
        return window

    def between(self, start: datetime, end: datetime) -> list[Window]:
        """All windows that overlap `[start, end)`, oldest first."""
        windows = []
        window = self.at(start)
        while window.start < end:
            windows.append(window)
            window = self.at(window.end)
        return windows
