"""Days of the shop's zone: features of the same wall-clock times are the same in every zone, whatever
the clock does meanwhile; and windows of hours come to the same rows as whole weeks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from recloop.calendar import WindowCalendar
from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.features.daily import TABLES, build_features
from recloop.features.training_set import build_training_set
from recloop.settings import Settings
from tests.recloop.features.oracle import Event, random_events, rows_of, store_events
from tests.recloop.features.test_training_set import table

WEEKS = WindowCalendar("week")
MOMENTS = ("event_timestamp", "newest_event_at")


def in_zone(events: list[Event], zone: str) -> list[Event]:
    """The same wall-clock times in a zone; those that it skips an hour later."""
    found = []
    for event in events:
        local = event.at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        found.append(replace(event, at=local))
    return found


def built(settings: Settings, events: list[Event], calendar: WindowCalendar) -> dict[str, Any]:
    """Rows of each table, by the day that they are stamped after, without moments."""
    meaning = Meaning(name="Description", text=("Description",), calendar=calendar)
    store_events(settings.database_url, events)
    weeks = WindowCalendar("week", zone=calendar.zone.key)
    first, last = (weeks.at(moment(e.at for e in events)) for moment in (min, max))
    for window in calendar.between(first.start, last.end):
        build_features(settings, window.key, meaning)
    found = {}
    for name in TABLES:
        rows = rows_of(settings.database_url, name)
        for row in rows:
            stamp = row["event_timestamp"]
            assert calendar.whole_days(stamp, stamp.replace(microsecond=1))[0] == stamp
            row["day"] = calendar.day_number(stamp)
            for moment in MOMENTS:
                row.pop(moment, None)
        found[name] = sorted(map(repr, rows))
    return found


def emptied(settings: Settings) -> None:
    with transaction(settings.database_url) as cursor:
        tables = ", ".join(f"features.{name}" for name in TABLES)
        cursor.execute(f"truncate behavior.event, features.built_window, {tables}")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Europe/Berlin", "America/Havana"])
def test_the_same_wall_clock_gives_the_same_features(settings: Settings, zone: str) -> None:
    events = random_events(5, count=200)
    wanted = built(settings, events, WEEKS)
    assert all(wanted[name] for name in TABLES if name != "item_content")
    emptied(settings)
    calendar = WindowCalendar("week", zone=zone)
    assert built(settings, in_zone(events, zone), calendar) == wanted


def test_windows_of_hours_come_to_the_rows_of_whole_weeks(settings: Settings) -> None:
    zone = "Europe/Berlin"
    some = in_zone(random_events(6, count=60, days=4), zone)
    wanted = built(settings, some, WindowCalendar("week", zone=zone))
    emptied(settings)
    assert built(settings, some, WindowCalendar("hour", 4, zone)) == wanted


def test_a_training_set_of_an_hour_knows_the_day_before_in_its_zone(settings: Settings) -> None:
    zone = "America/New_York"
    calendar = WindowCalendar("hour", zone=zone)
    meaning = Meaning(calendar=calendar)
    moments = ["2011-01-04 23:30", "2011-01-05 00:30", "2011-01-05 09:15"]
    local = [datetime.fromisoformat(one).replace(tzinfo=ZoneInfo(zone)) for one in moments]
    one = random_events(1, count=1)[0]
    events = [
        replace(one, user=1, item=n + 1, kind="purchase", at=moment.astimezone(UTC))
        for n, moment in enumerate(local)
    ]
    store_events(settings.database_url, events)
    histories = []
    for window in (calendar.at(moment) for moment in local):
        build_features(settings, window.key, meaning)
        [query] = table(build_training_set(settings, window.key, meaning), "queries")
        histories.append(query["history"])
    assert histories == [[], [1], [1]]  # of the evening before, both times
