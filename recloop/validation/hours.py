"""Days and hours of a window by the shop's clock: what is missing, silent, or moved.

Hours of the week are named "3-14": Wednesday, 14:00 to 15:00 in the shop's zone.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import fmean
from zoneinfo import ZoneInfo

from recloop.calendar import Window
from recloop.config.dataset import DatasetSpec

Hours = Mapping[str, int]
"""Lines in each hour of the week that has any."""


@dataclass(frozen=True)
class ShopClock:
    """Days and hours of a window by the shop's clock. At its ends, a window has parts of days."""

    window: Window
    spec: DatasetSpec

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.spec.event.timezone)

    def is_open(self, day: date) -> bool:
        return self.spec.period.is_open(day, self.zone)

    def hours(self, day: date) -> dict[str, datetime]:
        """Of the day's hours those within the window and the period: "3-14" to when it begins (UTC).

        An hour that the clock skips is none.
        """
        found, end = {}, self.spec.period.end
        for hour in range(24):
            local = datetime(day.year, day.month, day.day, hour, tzinfo=self.zone)
            begins = local.astimezone(UTC)
            skipped = begins.astimezone(self.zone).hour != hour
            over = end is not None and begins + timedelta(hours=1) > end
            if self.window.start <= begins < self.window.end and not (skipped or over):
                found[f"{day.isoweekday()}-{hour}"] = begins
        return found

    def days(self) -> list[date]:
        """Open days that the window has a part of, oldest first."""
        first = self.window.start.astimezone(self.zone).date()
        count = (self.window.end - self.window.start).days + 1
        days = [first + timedelta(days=n) for n in range(count)]
        return [day for day in days if self.is_open(day) and self.hours(day)]


def missing_days(lines: Mapping[str, int], due: list[date], clock: ShopClock) -> list[date]:
    """Open days without a line, where the dataset file says which days are closed. A day that the window
    has a part of may have had its lines in the other part."""
    if not calendar_known(clock.spec):
        return []

    def whole(day: date) -> bool:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=clock.zone)
        margin = timedelta(hours=12)
        return clock.window.start <= noon - margin and noon + margin <= clock.window.end

    return [day for day in due if day.isoformat() not in lines and whole(day)]


def calendar_known(spec: DatasetSpec) -> bool:
    """Whether the dataset file says which days are closed, so that every other one must have lines."""
    return bool(spec.period.closed_weekdays or spec.period.closed_days)


def longest_silence(now: Hours, before: Sequence[Hours], clock: ShopClock) -> tuple[float, str]:
    """The largest share of a usual window's lines in consecutive open hours that have none now, though
    they were busy in each window before; and when it was. Windows shorter than a week are compared by
    the hour of the day."""
    short = clock.window.end - clock.window.start < timedelta(days=7)

    def named(hours: Hours) -> Counter[str]:
        found: Counter[str] = Counter()
        for hour, lines in hours.items():
            found[hour.partition("-")[2] if short else hour] += lines
        return found

    windows = [named(one) for one in before]
    busy = set.intersection(*({h for h, n in one.items() if n >= BUSY} for one in windows))
    usual = {hour: fmean(one[hour] / one.total() for one in windows) for hour in busy}
    mine = named(now)
    most, where, run = 0.0, "", 0.0
    for day in clock.days():
        for hour, begins in clock.hours(day).items():
            name = hour.partition("-")[2] if short else hour
            run = 0.0 if name in mine else run + usual.get(name, 0.0)
            if run > most:
                until = (begins + timedelta(hours=1)).astimezone(clock.zone)
                most, where = run, f"until {until:%A %Y-%m-%d %H:%M} {clock.zone.key}"
    return min(most, 1.0), where


BUSY = 5
"""Lines that an hour must have had in every window before to be missed when it has none."""


def of_the_day(*windows: Hours) -> dict[int, int]:
    """Lines in each hour of the day that has any."""
    found: defaultdict[int, int] = defaultdict(int)
    for one in windows:
        for hour, lines in one.items():
            found[int(hour.partition("-")[2])] += lines
    return dict(found)


def compare(now: Mapping[int, int], usual: Mapping[int, int]) -> tuple[float, float]:
    """How hours of the day differ from the usual ones, both as lines of each hour.

    Returns:
        Nats per line by which the usual hours fit better when moved by as many hours as fit best: below
        0 where they fit best unmoved. And the Jensen-Shannon distance, base 2 (Lin 1991): 0 equal, 1
        disjoint.
    """
    lines, others = sum(now.values()), sum(usual.values())
    mine = [now.get(hour, 0) / lines for hour in range(24)]
    theirs = [(usual.get(hour, 0) + 1) / (others + 24) for hour in range(24)]  # Laplace's rule
    fits = [
        sum(p * math.log(theirs[hour - moved]) for hour, p in enumerate(mine))
        for moved in range(24)
    ]
    both = [(p + q) / 2 for p, q in zip(mine, theirs, strict=True)]
    apart = sum(
        x * math.log2(x / m) / 2
        for one in (mine, theirs)
        for x, m in zip(one, both, strict=True)
        if x > 0
    )
    return max(fits[1:]) - fits[0], math.sqrt(max(0.0, apart))
