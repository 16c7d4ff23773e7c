"""Windows of every length in four zones over ten years: they follow each other without a gap, also where
the clock is changed, and their keys sort as they do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop.calendar import EPOCH, MOST, WindowCalendar
from recloop.errors import BadInput
from recloop.features.days import day_numbers, midnights

ZONES = ("Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Asia/Kolkata")
"""An hour at night; midnight itself, which is skipped and repeated; half an hour; never, and :30."""
LENGTHS = [(length, every) for length in MOST for every in (1, 2, 3, 12) if every <= MOST[length]]
FIRST, LAST = datetime(2015, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
moments = st.datetimes(datetime(2015, 1, 1), datetime(2025, 1, 1), timezones=st.just(UTC))
zones = st.sampled_from((*ZONES, "UTC", "America/Sao_Paulo", "Pacific/Apia"))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("length", "every"), [one for one in LENGTHS if one[0] != "hour"])
def test_windows_of_ten_years_follow_each_other(zone: str, length: Any, every: int) -> None:
    calendar = WindowCalendar(length, every, zone)
    windows = calendar.between(FIRST, LAST)
    assert windows[0].start <= FIRST < windows[0].end
    assert windows[-1].start < LAST <= windows[-1].end
    for one, following in pairwise(windows):
        assert one.end == following.start
        assert one.key < following.key
    for one in windows:
        assert calendar.parse(one.key) == one
        local = one.start.astimezone(calendar.zone)
        assert local.date().isoformat() == one.key
        assert (one.start - MINUTE).astimezone(calendar.zone).date() < local.date()
        if length == "month":
            assert local.day == 1
            assert (local.year * 12 + local.month - 1) % every == 0
        if length == "week":
            assert local.weekday() == 0
    usual = max({w.end - w.start for w in windows}, key=[w.end - w.start for w in windows].count)
    if length in ("day", "week"):
        assert usual == every * timedelta(days=7 if length == "week" else 1)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("every", [1, 3, 12])
def test_hours_of_a_year_follow_each_other_and_restart_at_midnight(zone: str, every: int) -> None:
    calendar = WindowCalendar("hour", every, zone)
    windows = calendar.between(datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))
    assert all(one.end == following.start for one, following in pairwise(windows))
    assert [one.key for one in windows] == sorted({one.key for one in windows})
    changed = [one for one in windows if one.end - one.start != every * HOUR]
    days = {one.start.astimezone(calendar.zone).date() for one in changed}
    summers = 0 if zone == "Asia/Kolkata" else 2
    assert len(days) == (summers if every > 1 or zone == "Australia/Lord_Howe" else 0)
    for one in windows[:: max(1, len(windows) // 500)] + changed:
        assert calendar.parse(one.key) == one
    begin = [one.start.astimezone(calendar.zone) for one in windows]
    midnight = [one for one in begin if (one.hour, one.minute, one.fold) == (0, 0, 0)]
    assert len(midnight) >= 363


def test_both_changes_of_the_clock() -> None:
    """Berlin: 2011-03-27 has 23 hours, 2011-10-30 has 25."""
    days = WindowCalendar("day", zone="Europe/Berlin")
    for key, hours in (("2011-03-27", 23), ("2011-10-30", 25), ("2011-10-29", 24)):
        window = days.parse(key)
        assert (window.end - window.start) == hours * HOUR
    hours = WindowCalendar("hour", zone="Europe/Berlin")
    night = hours.between(days.parse("2011-10-30").start, days.parse("2011-10-30").end)
    assert [one.key[-5:] for one in night[:5]] == ["2200Z", "2300Z", "0000Z", "0100Z", "0200Z"]
    local = [one.start.astimezone(hours.zone).hour for one in night[:5]]
    assert local == [0, 1, 2, 2, 3]  # the hour that is repeated is two windows
    assert len(night) == 25
    sixes = WindowCalendar("hour", 6, "Europe/Berlin").between(night[0].start, night[-1].end)
    assert [(one.end - one.start) / HOUR for one in sixes] == [7, 6, 6, 6]


@given(moment=moments, zone=zones, cut=st.sampled_from(LENGTHS))
def test_every_moment_is_in_one_window(moment: datetime, zone: str, cut: Any) -> None:
    calendar = WindowCalendar(*cut, zone)
    window = calendar.at(moment)
    assert window.start <= moment < window.end
    assert calendar.at(window.start) == window
    assert calendar.at(window.end - timedelta(microseconds=1)) == window
    assert calendar.at(window.end).start == window.end
    assert calendar.parse(window.key) == window
    for day in window.days(calendar.zone):
        assert window.start <= datetime(day.year, day.month, day.day, 12, tzinfo=calendar.zone)


@given(times=st.lists(moments, min_size=1, max_size=8), zone=zones)
def test_days_of_arrays_are_those_of_moments(times: list[datetime], zone: str) -> None:
    calendar = WindowCalendar("day", zone=zone)
    found = day_numbers(
        np.array([t.replace(tzinfo=None) for t in times], "datetime64[us]"), calendar
    )
    local = [t.astimezone(ZoneInfo(zone)).date() for t in times]
    assert [EPOCH + timedelta(days=int(day)) for day in found] == local
    starts = [t.replace(tzinfo=UTC) for t in midnights(found, calendar).astype(datetime)]
    assert starts == [calendar.at(t).start for t in times]
    assert all(
        s == calendar.whole_days(t, t + MINUTE)[0] for s, t in zip(starts, times, strict=True)
    )


def test_postgresql_counts_days_alike(cursor: Any) -> None:
    """Every day of ten years, and the minutes around each of its beginnings."""
    for zone in (*ZONES, "America/Sao_Paulo"):
        calendar = WindowCalendar("day", zone=zone)
        days = [date(2015, 1, 1) + timedelta(days=n) for n in range(3653)]
        starts = [calendar.midnight(day) for day in days]
        asked = [moment for start in starts for moment in (start - MINUTE, start, start + MINUTE)]
        cursor.execute(
            "select features.day_of(moment, %s) from unnest(%s::timestamptz[]) with ordinality "
            "as given (moment, n) order by n",
            (zone, asked),
        )
        assert [day for (day,) in cursor.fetchall()] == [calendar.day_number(one) for one in asked]
        numbers = [(day - EPOCH).days for day in days]
        cursor.execute(
            "select features.midnight(day, %s) from unnest(%s::int[]) as given (day) order by day",
            (zone, numbers),
        )
        assert [start for (start,) in cursor.fetchall()] == starts


def test_a_day_that_a_zone_skipped_is_no_window() -> None:
    """Samoa went from 2011-12-29 to 2011-12-31."""
    calendar = WindowCalendar("day", zone="Pacific/Apia")
    before = calendar.parse("2011-12-29")
    assert calendar.at(before.end).key == "2011-12-31"
    with pytest.raises(BadInput, match="did you mean '2011-12-31'"):
        calendar.parse("2011-12-30")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fortnight",), "one of hour, day, week, month"),
        (("hour", 5), "1 to 12 that divides 24 of a hour"),
        (("day", 0), "1 to 31 of a day"),
        (("week", 9), "1 to 8"),
        (("month", 13), "1 to 12"),
    ],
)
def test_what_cannot_be_cut_is_told(arguments: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        WindowCalendar(*arguments)


@pytest.mark.parametrize(
    "key", ["2011-06-06", "2011-06-06T13", "2011-06-06T1300", "2011-06-06T2500Z"]
)
def test_what_is_no_hour_is_no_key(key: str) -> None:
    with pytest.raises(BadInput, match="is not a moment in UTC of the form 2011-06-06T1300Z"):
        WindowCalendar("hour").parse(key)


def test_a_key_within_a_window_is_told_the_windows_own() -> None:
    with pytest.raises(BadInput, match="did you mean '2011-06-06T1200Z'"):
        WindowCalendar("hour", 6).parse("2011-06-06T1300Z")
    with pytest.raises(BadInput, match="does not begin a month; did you mean '2011-06-01'"):
        WindowCalendar("month").parse("2011-06-06")
