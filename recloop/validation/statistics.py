"""What is measured of a window, and how it compares with the windows before it.

Belongs here: the numbers that window rules judge. Keep out: limits (`config/limits.py`) and verdicts
(`suite.py`). None is "too little to compare": the rule is not judged.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2.extensions import cursor as Cursor

from recloop.calendar import Window
from recloop.config.dataset import LARGEST, SMALLEST, DatasetSpec
from recloop.config.limits import WindowLimits
from recloop.ledger import window_states as ledger
from recloop.validation.row_rules import undated_near

MEASURE = Path(__file__).with_suffix(".sql").read_text()
USUAL_LINES = 5
"""Lines that an hour of the week must have had in every trailing window to be a usual one."""
Relate = Callable[[float, list[float]], float | None]
"""From a window's value and those of windows before it to the number that a rule judges."""
SMOOTHING = 0.01
"""Added to shares before their ratio is taken, so that a rise from nothing is finite."""


@dataclass(frozen=True)
class Statistics:
    """Raw measures, judged values (rule name to number or None), and words for messages."""

    raw: dict[str, Any]
    values: dict[str, float | None]
    details: dict[str, str] = field(default_factory=dict)


def measure(
    cursor: Cursor, window: Window, trailing: list[str], spec: DatasetSpec, limits: WindowLimits
) -> Statistics:
    """Measure the window's checked lines and store the result.

    Args:
        trailing: keys of the accepted windows before it, newest first.
    """
    cursor.execute(
        MEASURE,
        {
            "window": window.key,
            "since": spec.calendar.parse(min(trailing)).start if trailing else window.start,
            "start": window.start,
            "trailing": trailing,
            "types": list(spec.event.positives.types),
            "zone": spec.event.timezone,
            "smallest": SMALLEST,
            "largest": LARGEST,
        },
    )
    names = [column.name for column in cursor.description or ()]
    row = cursor.fetchone()
    assert row is not None
    raw = dict(zip(names, row, strict=True))
    newest = raw.pop("newest")
    cursor.execute(
        "select window_key, statistics -> 'raw' from behavior.window_statistics "
        "where window_key = any(%s)",
        (trailing,),
    )
    before = dict(cursor.fetchall())
    overruled = {
        rule: [before[key] for key in keys if key in before]
        for rule, keys in ledger.overruled(cursor, trailing).items()
    }
    zone = ZoneInfo(spec.event.timezone)
    due = [day for day in window.days(zone) if spec.period.is_open(day, zone)]
    raw["zone"] = zone.key
    raw["undated"] = undated_near(cursor, window.key)
    raw["open_days"] = len(due)
    undated = sum(raw["undated"].values())
    lost = raw["lines"] - raw["good"] + undated
    raw["quarantined_share"] = _share(lost, raw["lines"] + undated)
    raw["volume"] = raw["lines"] / len(due) if due else None
    values, details = _compare(raw, list(before.values()), overruled, window, due, spec, limits)
    if spec.live and newest is not None and due:
        last = due[-1] + timedelta(days=1)
        end = min(window.end, datetime(last.year, last.month, last.day, tzinfo=zone))
        values["freshness_days"] = max(0.0, (end - newest) / timedelta(days=1))
    cursor.execute(
        "insert into behavior.window_statistics values (%s, %s) "
        "on conflict (window_key) do update set statistics = excluded.statistics",
        (window.key, json.dumps({"raw": raw, "values": values})),
    )
    return Statistics(raw, values, details)


def _compare(
    raw: dict[str, Any],
    before: list[dict[str, Any]],
    overruled: dict[str, list[dict[str, Any]]],
    window: Window,
    due: list[date],
    spec: DatasetSpec,
    limits: WindowLimits,
) -> tuple[dict[str, float | None], dict[str, str]]:
    enough = len(before) >= limits.minimum_trailing
    some_lines = raw["lines"] >= limits.minimum_compared

    def against(rule: str, name: str, relate: Relate) -> float | None:
        """`name` against what is usual; or, if that is nearer, against a trailing window whose break of
        this rule a person accepted: a level that was vouched for is no surprise a second time."""
        usual = [b[name] for b in before if b.get(name) is not None]
        now = raw.get(name)
        if now is None or not some_lines or len(usual) < limits.minimum_trailing:
            return None
        levels = [usual, *([b[name]] for b in overruled.get(rule, ()) if b.get(name) is not None)]
        found = [x for x in (relate(float(now), level) for level in levels) if x is not None]
        return min(found, key=_factor if rule.endswith("_ratio") else float, default=None)

    clock = _ShopClock(window, spec)
    hours = [b["hours"] for b in before if b.get("zone", "UTC") == clock.zone.key] if enough else []
    missing = _missing_days(raw, hours, clock, due)
    closed = [day for day in raw["days"] if not clock.is_open(date.fromisoformat(day))]
    silence, where = _longest_silence(raw, hours, clock)
    # A rule without a line below judges the statistic of its name, as it was measured.
    values = {name: raw[name] for name in WindowLimits.model_fields if name in raw}
    values |= {
        "minimum_lines": float(raw["lines"]) if due else None,
        "volume_ratio": against("volume_ratio", "volume", _ratio_to_median) if due else None,
        "missing_days": float(len(missing)) if due else None,
        "closed_day_lines": float(sum(raw["days"][day] for day in closed)),
        "silent_hours": silence,
        "freshness_days": None,
        "quarantined_share": raw["quarantined_share"] if some_lines else None,
        "quarantined_share_rise": against("quarantined_share_rise", "quarantined_share", _rise),
        "duplicate_share": _share(raw["all_lines"] - raw["lines"], raw["all_lines"]),
        "copied_share": raw["copied_share"] if some_lines else None,
        "price_median_ratio": against("price_median_ratio", "price_median", _ratio_to_median),
        "price_shift": against("price_shift", "price_shift", lambda now, _: now),
        "value_median_ratio": against("value_median_ratio", "value_median", _ratio_to_median),
        "item_drift_rise": against("item_drift_rise", "item_drift", _rise),
        "changed_text_share": raw["changed_text_share"] if enough and some_lines else None,
        "repeat_pair_ratio": against("repeat_pair_ratio", "repeat_pair_share", _smoothed_ratio),
    }
    details = {
        "missing_days": ", ".join(f"{day:%A} {day}" for day in missing),
        "closed_day_lines": ", ".join(closed),
        "silent_hours": where,
    }
    return values, {name: text for name, text in details.items() if text}


@dataclass(frozen=True)
class _ShopClock:
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


def _missing_days(
    raw: dict[str, Any], before: list[dict[str, int]], clock: _ShopClock, due: list[date]
) -> list[date]:
    """Open days without a line: any whole one, if the calendar is declared; else those that had lines
    on the same weekday, in the same hours, of every trailing window (`before`, by hour)."""

    def usual(day: date) -> bool:
        totals = [sum(hours.get(name, 0) for name in clock.hours(day)) for hours in before]
        return bool(totals) and min(totals) >= USUAL_LINES

    def whole(day: date) -> bool:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=clock.zone)
        margin = timedelta(hours=12)
        return clock.window.start <= noon - margin and noon + margin <= clock.window.end

    known = clock.spec.period.closed_weekdays or clock.spec.period.closed_days
    absent = [day for day in due if day.isoformat() not in raw["days"]]
    return [day for day in absent if (known and whole(day)) or usual(day)]


def _longest_silence(
    raw: dict[str, Any], before: list[dict[str, int]], clock: _ShopClock
) -> tuple[float | None, str]:
    """The most consecutive hours of one open day without a line although all are usually busy."""
    if not before or not raw["lines"]:
        return None, ""
    longest, where = 0, ""
    for day in clock.days():
        if day.isoformat() not in raw["days"]:
            continue  # a missing day, which has a rule of its own
        run = 0
        for name, begins in clock.hours(day).items():
            if min(hours.get(name, 0) for hours in before) < USUAL_LINES:
                continue
            run = 0 if name in raw["hours"] else run + 1
            if run > longest:
                longest = run
                until = (begins + timedelta(hours=1)).astimezone(clock.zone)
                where = f"{day:%A} {day} until {until:%H:%M} {clock.zone.key}"
    return float(longest), where


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _ratio_to_median(now: float, usual: list[float]) -> float | None:
    middle = statistics.median(usual)
    return now / middle if middle and math.isfinite(now / middle) else None


def _factor(ratio: float) -> float:
    """How far a ratio is from 1, up or down."""
    return abs(math.log(ratio)) if ratio > 0 else math.inf


def _rise(now: float, usual: list[float]) -> float:
    return now - statistics.fmean(usual)


def _smoothed_ratio(now: float, usual: list[float]) -> float:
    """A fall is measured from the mean, a rise from the largest: at the start of a history, when ever
    more pairs were seen before, the share rises from window to window by itself."""
    mean, largest = statistics.fmean(usual), max(usual)
    base = mean if now < mean else min(now, largest)
    return (now + SMOOTHING) / (base + SMOOTHING)
