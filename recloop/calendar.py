"""Windows: half-open slices `[start, end)` of data time, each with a key that sorts as they follow.

Days, weeks and months begin at midnight of the shop's own zone, and so last an hour more or less where
the clock is changed: `2011-06-06` is the first day. Hours are counted from midnight there, and named by
the moment in UTC at which they begin, `2011-06-06T1300Z`: an hour that the clock repeats is two.

A window is learnt in parts, each with a key too: `2011-06-06` is its first part, `2011-06-06+1` holds
events that came after the first had been learnt (docs/adr/0009-late-parts.md).

Belongs here: the arithmetic of windows. Keep out: what happened to a window (see `ledger/`). No
clock: times come in as arguments.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from recloop.errors import BadInput

Length = Literal["hour", "day", "week", "month"]
DAY_KEY, HOUR_KEY = "%Y-%m-%d", "%Y-%m-%dT%H%MZ"
"""Forms of keys, of strftime: a day in the shop's zone, a moment in UTC."""
MOST = {"hour": 12, "day": 31, "week": 8, "month": 12}
"""How many of a length a window may have."""
NOMINAL = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=365.2425 / 12),
}
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)
"""Windows exist between these days. What pandas and PostgreSQL compute there fits."""
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
    """One slice of behavior: `start` and `end` in UTC, `end` exclusive."""

    model_config = ConfigDict(frozen=True)

    key: str
    start: datetime
    end: datetime

    def days(self, zone: ZoneInfo) -> list[date]:
        """The days whose noon in `zone` lies in the window, oldest first: each day is of one window. A
        window of hours before or after noon has none."""
        first = self.start.astimezone(zone).date()
        days = (first + timedelta(days=n) for n in range((self.end - self.start).days + 2))
        return [
            day
            for day in days
            if self.start <= datetime(day.year, day.month, day.day, 12, tzinfo=zone) < self.end
        ]


class WindowCalendar:
    """Cuts time into windows of `every` hours, days, weeks (from Monday, ISO 8601) or months.

    Several days or weeks are counted from 1970-01-01 or the Monday after it, months from January of
    year 0, hours from each midnight. A day begins with its first moment, also where midnight is one
    that the clock skips or repeats.

    >>> WindowCalendar("week").at(datetime(2011, 6, 9, 12, tzinfo=UTC)).key
    '2011-06-06'
    >>> WindowCalendar("month", zone="Asia/Tokyo").at(datetime(2011, 6, 30, 15, tzinfo=UTC)).key
    '2011-07-01'
    >>> WindowCalendar("hour", 6).at(datetime(2011, 6, 9, 13, tzinfo=UTC)).key
    '2011-06-09T1200Z'
    """

    def __init__(self, length: Length, every: int = 1, zone: str = "UTC") -> None:
        if length not in MOST:
            raise BadInput(
                f"`length` should be one of {', '.join(MOST)}. Received: `length` = {length!r}."
            )
        if not 1 <= every <= MOST[length] or (length == "hour" and 24 % every):
            most = f"1 to {MOST[length]}" + (" that divides 24" if length == "hour" else "")
            raise BadInput(f"`every` should be {most} of a {length}. Received: `every` = {every}.")
        self.length, self.every = length, every
        self.zone = ZoneInfo(zone)
        self.step = every * NOMINAL[length]
        """How long a window usually is."""
        self._said = (length, every, zone)
        self.cycles = _cycles(length, every)
        """How many windows a day or a week has, where more than one: hours and weekdays differ."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WindowCalendar) and self._said == other._said

    def __hash__(self) -> int:
        return hash(self._said)

    @property
    def told(self) -> str:
        """`week`, or `2 weeks`."""
        return self.length if self.every == 1 else f"{self.every} {self.length}s"

    def at(self, moment: datetime) -> Window:
        """The window that contains `moment` (aware, any zone).

        Raises:
            BadInput: `moment` is naive, or not between `FIRST_DAY` and `LAST_DAY`.
        """
        if moment.tzinfo is None:
            raise BadInput(f"`moment` should be aware. Received: {moment!r}; add tzinfo=UTC.")
        day = moment.astimezone(self.zone).date() if 1 < moment.year < 9999 else moment.date()
        if not FIRST_DAY <= day <= LAST_DAY:
            raise BadInput(
                f"no window holds {moment}; windows lie between {FIRST_DAY} and {LAST_DAY}."
            )
        if self.length == "hour":
            starts = self._hours(day)
            place = bisect_right(starts, moment) - 1
            start, end = starts[place : place + 2]
            return Window(key=start.strftime(HOUR_KEY), start=start, end=end)
        first, following = self._first_day(day)
        start, end = self.midnight(first), self.midnight(following)
        return Window(key=first.isoformat(), start=start, end=end)

    def day_number(self, moment: datetime) -> int:
        """The day of a moment in the zone, in days since 1970-01-01."""
        return (moment.astimezone(self.zone).date() - EPOCH).days

    def whole_days(self, start: datetime, end: datetime) -> tuple[datetime, datetime]:
        """The midnights in the zone between which `[start, end)` lies, in UTC."""
        last = (end - timedelta(microseconds=1)).astimezone(self.zone).date()
        first = start.astimezone(self.zone).date()
        return self.midnight(first), self.midnight(last + timedelta(days=1))

    def midnight(self, day: date) -> datetime:
        """The first moment of a day in the zone, in UTC."""
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def parse(self, key: str) -> Window:
        """The window of a key.

        Raises:
            BadInput: not of the form of a key, not the beginning of a window, or of a year without
                windows.
        """
        text = str(key).strip()
        hours = self.length == "hour"
        form, shape = (HOUR_KEY, "T[0-9]{4}Z") if hours else (DAY_KEY, "")
        try:
            if not re.fullmatch(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{shape}", text):
                raise ValueError
            named = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError as error:
            like = (
                "moment in UTC of the form 2011-06-06T1300Z"
                if hours
                else "date of the form 2011-06-06"
            )
            raise BadInput(
                f"window {key!r} is not a {like}; `recloop status` lists the windows."
            ) from error
        if not hours and FIRST_DAY <= named.date() <= LAST_DAY:
            named = self.midnight(named.date())
        window = self.at(named)
        if window.key != text:
            raise BadInput(
                f"window {key!r} does not begin a {self.length if self.every == 1 else 'window'}; "
                f"did you mean {window.key!r}?"
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

    def _first_day(self, day: date) -> tuple[date, date]:
        """Of the window that holds a day: its first day, and that of the next window."""
        if self.length == "month":
            count = (day.year * 12 + day.month - 1) // self.every * self.every
            return tuple(  # type: ignore[return-value]
                date(months // 12, months % 12 + 1, 1) for months in (count, count + self.every)
            )
        days = self.every * (7 if self.length == "week" else 1)
        anchor = MONDAY if self.length == "week" else EPOCH
        first = day - timedelta(days=(day - anchor).days % days)
        return first, first + timedelta(days=days)

    def _hours(self, day: date) -> list[datetime]:
        """The moments at which the windows of a day begin, and the next day, in UTC. By the clock, so
        that where it is changed one of several hours is longer or shorter."""
        start, end = self.midnight(day), self.midnight(day + timedelta(days=1))
        hour, moments = timedelta(hours=1), list[datetime]()
        while start < end:
            local = start.astimezone(self.zone)
            if not moments or self.every == 1 or (local.hour % self.every == 0 and not local.fold):
                moments.append(start)
            start += hour
        return [*moments, end]


EPOCH, MONDAY = date(1970, 1, 1), date(1970, 1, 5)


def _cycles(length: Length, every: int) -> tuple[int, ...]:
    if length == "hour":
        return tuple(dict.fromkeys(n for n in (24 // every, 168 // every) if n > 1))
    return (7,) if (length, every) == ("day", 1) else ()
