"""What is measured of a window, and the bands in which its measures should lie.

Belongs here: the numbers that window rules judge. Keep out: limits (`config/limits.py`), what is learnt
of them (`learnt.py`) and verdicts (`suite.py`). None is "too little to compare": the rule is not judged.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2.extensions import cursor as Cursor

from recloop.calendar import Window
from recloop.config.dataset import LARGEST, SMALLEST, DatasetSpec
from recloop.config.limits import Limits
from recloop.validation import hours, learnt
from recloop.validation.baselines import Past
from recloop.validation.learnt import ROWS, Band, Measure, amount, share
from recloop.validation.row_rules import undated_near

MEASURE = Path(__file__).with_suffix(".sql").read_text()
EXACT = 1e9
"""Units of a measure that is no mean over users."""
RECENT = 8
"""Windows whose hours are the usual ones: they move with the seasons."""
DRIFT = 0.03
"""Distances between distributions below this are one: their logarithms would be noise."""


@dataclass(frozen=True)
class Statistics:
    """Raw measures, judged values (rule name to number or None), what is usual, words for messages."""

    raw: dict[str, Any]
    values: dict[str, float | None]
    bands: dict[str, Band]
    details: dict[str, str] = field(default_factory=dict)


def measure(
    cursor: Cursor, window: Window, trailing: list[str], spec: DatasetSpec, limits: Limits
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
    zone = ZoneInfo(spec.event.timezone)
    due = [day for day in window.days(zone) if spec.period.is_open(day, zone)]
    undated = undated_near(cursor, window.key)
    opened = float(len(due))
    parts_of_days = spec.calendar.step < DAY
    if parts_of_days:
        today = window.start.astimezone(zone).date()
        opened = (window.end - window.start) / DAY * spec.period.is_open(today, zone)
    raw |= {"zone": zone.key, "undated": undated, "open_days": opened}
    before = measured_before(cursor, window, spec, limits)
    clock = hours.ShopClock(window, spec)
    known = [one for one in before if one and one["hours"] and one["zone"] == zone.key]
    alike = [one["hours"] for one in known[-RECENT:]]
    measures, silent = _measures(raw, alike, None if parts_of_days else clock)
    past = [one and one["past"] for one in before]
    bands = learnt.bands(measures, past, spec.calendar.cycles, limits.learnt)
    if not raw["lines"] and len(known) < limits.learnt.bootstrap_windows:
        bands.clear()  # a day off does no harm, and which days are off is not known yet
    values: dict[str, float | None] = {
        name: learnt.natural(learnt.rule_of(name), one.value) for name, one in measures.items()
    }
    hard, details = _hard(raw, window, newest, due, clock, spec)
    cursor.execute(
        "insert into behavior.window_statistics values (%s, %s) "
        "on conflict (window_key) do update set statistics = excluded.statistics",
        (
            window.key,
            json.dumps(
                {
                    "values": values | hard,
                    "hours": raw["hours"],
                    "zone": zone.key,
                    "measures": {
                        name: [one.value, one.units, bands[name].width if name in bands else None]
                        for name, one in measures.items()
                    },
                }
            ),
        ),
    )
    return Statistics(raw, values | hard, bands, details | silent)


def measured_before(
    cursor: Cursor, window: Window, spec: DatasetSpec, limits: Limits
) -> list[dict[str, Any] | None]:
    """What was measured of the accepted windows before this one, oldest first; None where there is no
    such window."""
    cursor.execute(
        "select starts, statistics, coalesce(acceptance -> 'rules', '[]') "
        "from ledger.window join behavior.window_statistics using (window_key) "
        "where ends <= %s and state in ('validated', 'featured') and statistics ? 'measures' "
        "order by starts desc limit %s",
        (window.start, limits.learnt.history_windows),
    )
    rows = cursor.fetchall()
    found: dict[datetime, dict[str, Any]] = {}
    for starts, statistics, rules in rows:
        past = {
            name: Past(value, units, name in rules)
            for name, (value, units, _) in statistics["measures"].items()
        }
        found[starts] = {"hours": statistics["hours"], "zone": statistics["zone"], "past": past}
    if not found:
        return []
    first = spec.calendar.at(max(min(found), window.start - REACH * spec.calendar.step))
    slots = spec.calendar.between(first.start, window.start)
    return [found.get(slot.start) for slot in slots]


DAY = timedelta(days=1)
REACH = 400
"""Windows, those that there were not among them, beyond which nothing is looked at."""


def _measures(
    raw: dict[str, Any], alike: Sequence[dict[str, int]], clock: hours.ShopClock | None
) -> tuple[dict[str, Measure], dict[str, str]]:
    """Every measure that the window allows, and words for messages. `clock`: None where windows are but
    parts of days, of which hours of the day say nothing."""
    good, lines, people = raw["good"], raw["lines"], float(raw["effective_users"] or 1)
    undated = sum(raw["undated"].values())
    lost = lines - good + undated
    quarantined = {rule: share(n, lines) for rule, n in raw["broken"].items()}
    for rule, n in raw["undated"].items():
        quarantined[rule] = share(n, lines + undated)
    found: dict[str, Measure | None] = {
        "quarantined_share": share(lost, lines + undated),
        "duplicate_share": share(raw["all_lines"] - lines, raw["all_lines"]),
        **{ROWS + rule: one for rule, one in quarantined.items()},
    }
    told = {}
    if raw["open_days"]:
        found["lines_per_day"] = amount(max(lines, 0.5) / raw["open_days"], people)
    if good:
        pairs, seen, known = raw["pairs"]
        found |= {
            "lines_per_user": amount(good / raw["users"], people),
            "top_user_share": amount(raw["top_user"] / good, people),
            "top_item_share": amount(raw["top_item"] / good, min(people, raw["top_item"])),
            "copied_share": share(good - raw["different"], good),
            "seen_pair_share": share(seen, pairs, people),
            "repeat_pair_share": share(seen, known, people * known / pairs if pairs else None),
        }
    if good and alike:
        found |= {
            "new_user_share": share(raw["new_users"], raw["users"]),
            "new_item_share": share(raw["new_item_lines"], good, raw["items"]),
            "item_drift": raw["item_drift"] and amount(max(raw["item_drift"], DRIFT), people),
        }
    if good and alike and clock:
        silent, told["silent_share"] = hours.longest_silence(raw["hours"], alike, clock)
        found["silent_share"] = Measure(silent, EXACT)
        found |= _of_the_day(raw["hours"], alike, people)
    found |= _levels(raw)
    found |= {  # a statistic of a rule's own name needs no more words than the rule
        rule.name: amount(float(raw[rule.name] or 0), people) if rule.scale == "amount" else None
        for rule in learnt.TABLE
        if rule.name not in found and rule.name in raw
    }
    return {name: one for name, one in found.items() if one is not None}, told


def _of_the_day(
    now: dict[str, int], alike: Sequence[dict[str, int]], people: float
) -> dict[str, Any]:
    """How the hours of the day differ from the usual ones; nothing where all times are midnight."""
    mine, usual = hours.of_the_day(now), hours.of_the_day(*alike)
    if len(mine) < 2 and len(usual) < 2:
        return {}
    shifted, apart = hours.compare(mine, usual)
    return {
        "hour_shift": Measure(shifted, 4 * people),
        "hour_drift": amount(max(apart, DRIFT), people),
    }


def _levels(raw: dict[str, Any]) -> dict[str, Measure | None]:
    """Of prices, values and texts, each against the item's own."""
    found: dict[str, Measure | None] = {}
    change, noise, count, far = raw["prices"]
    if count >= FEW:
        found["price_level"] = Measure(change, 1 / max(noise, 1e-6) ** 2)
        found["price_shift"] = share(far, count)
    change, spread, count = raw["given_values"]
    if count >= FEW:
        people = min(count, float(raw["effective_users"] or 1))
        found["value_level"] = Measure(change, people / max(spread, 1e-3) ** 2)
    known, changed, foreign = raw["texts"]
    if known:
        found["changed_text_share"] = share(changed, known)
        found["foreign_text_share"] = share(foreign, known)
    return found


FEW = 20
"""Lines of known items below which their level says nothing."""


def _hard(
    raw: dict[str, Any],
    window: Window,
    newest: datetime | None,
    due: list[date],
    clock: hours.ShopClock,
    spec: DatasetSpec,
) -> tuple[dict[str, float | None], dict[str, str]]:
    """What limits of the configuration judge, and words for messages."""
    closed = [day for day in raw["days"] if not clock.is_open(date.fromisoformat(day))]
    missing = hours.missing_days(raw["days"], due, clock)
    values: dict[str, float | None] = {
        "minimum_lines": float(raw["lines"]) if due and hours.calendar_known(spec) else None,
        "missing_days": float(len(missing)) if due else None,
        "closed_day_lines": float(sum(raw["days"][day] for day in closed)),
        "freshness_days": None,
    }
    if spec.live and newest is not None and due:
        last = due[-1] + timedelta(days=1)
        end = min(window.end, datetime(last.year, last.month, last.day, tzinfo=clock.zone))
        values["freshness_days"] = max(0.0, (end - newest) / timedelta(days=1))
    details = {
        "missing_days": ", ".join(f"{day:%A} {day}" for day in missing),
        "closed_day_lines": ", ".join(closed),
    }
    return values, {name: text for name, text in details.items() if text}
