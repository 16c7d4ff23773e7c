"""Days of a shop are those of its clock, and a line without a time is missed in its window."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from recloop.behavior.landing import land
from recloop.calendar import WindowCalendar
from recloop.errors import WindowRefused
from recloop.settings import Settings
from recloop.stages.status import count_lines
from recloop.validation.window import validate_window
from tests.recloop.validation.test_window import rows

pytestmark = pytest.mark.slow

TOML = """
name = "made_up"
[source]
kind = "folder"
[window]
length = "{length}"
[period]
end = 2030-01-01T00:00:00Z
closed_weekdays = ["sunday"]
[columns]
user = "text"
item = "text"
at = "time"
[event]
user_id = "user"
item_id = "item"
timestamp = "at"
timezone = "{zone}"
[limits.rows]
share = 0.3
"""
WEEKS = [datetime(2024, 1, 8) + timedelta(days=7 * n) for n in range(3)]
KEYS = [f"{week:%Y-%m-%d}" for week in WEEKS]


def week(monday: datetime, skipped: int | None = None) -> list[str]:
    """Lines from Monday to Saturday, 9 to 20 by the shop's clock."""
    chance = random.Random(str(monday))
    moments = [
        monday + timedelta(days=day, hours=hour, minutes=5 * n)
        for day in range(6)
        for hour in range(9, 20)
        for n in range(6)
        if day != skipped
    ]
    return [
        f"u{chance.randrange(40)},i{chance.randrange(40)},{moment.isoformat()}"
        for moment in moments
    ]


def shop(settings: Settings, folder: Path, zone: str, weeks: list[list[str]]) -> Settings:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for key, lines in zip(KEYS, weeks, strict=False):
        (data / f"{key}.csv").write_text("\n".join(["user,item,at", *lines]) + "\n")
    (folder / "made_up.toml").write_text(TOML.format(zone=zone, length="week"))
    settings = settings.model_copy(update={"dataset": str(folder / "made_up.toml"), "data": data})
    land(settings)
    return settings


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo", "Pacific/Auckland"])
def test_closed_days_are_those_of_the_shop(settings: Settings, tmp_path: Path, zone: str) -> None:
    """Tokyo's Monday morning lies in the window before, whose only lines they are."""
    settings = shop(settings, tmp_path, zone, [week(monday) for monday in WEEKS[:2]])
    windows = [key for (key,) in rows(settings, "select window_key from ledger.window order by 1")]
    for key in windows[-2:]:
        assert validate_window(settings, key).passed


def test_a_missing_day_is_missed_by_the_clock_of_the_shop(
    settings: Settings, tmp_path: Path
) -> None:
    """Saturday's evening in Los Angeles is Sunday in UTC: its lines are no Sunday's."""
    lines = [*week(WEEKS[0], skipped=5), f"u1,i1,{WEEKS[0] + timedelta(days=6, hours=9)}"]
    settings = shop(settings, tmp_path, "America/Los_Angeles", [lines])
    with pytest.raises(WindowRefused) as told:
        validate_window(settings, KEYS[0])
    assert "missing_days = 1 (Saturday 2024-01-13)" in str(told.value)
    assert "closed_day_lines = 1 (2024-01-14)" in str(told.value)


def test_each_day_belongs_to_one_window_in_every_zone() -> None:
    for zone in map(ZoneInfo, ("UTC", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Kiritimati")):
        for calendar in (WindowCalendar("day"), WindowCalendar("week")):
            spring = datetime(2024, 3, 4, tzinfo=UTC)
            windows = calendar.between(spring, spring + timedelta(days=28))
            days = [day for window in windows for day in window.days(zone)]
            assert days == [days[0] + timedelta(days=n) for n in range(28)]
            assert abs((days[0] - date(2024, 3, 4)).days) <= 1


def test_lines_without_a_time_refuse_their_window_and_no_other(
    settings: Settings, tmp_path: Path
) -> None:
    """Of one file: 40 % of the second week's times are lost, which is a fifth of the file's.
    The week begins with two of them: they follow lines of the first week, and count there."""
    first, second = week(WEEKS[0]), week(WEEKS[1])
    lost = [
        f"{line.rpartition(',')[0]},NaN" if n % 5 < 2 else line for n, line in enumerate(second)
    ]
    settings = shop(settings, tmp_path, "UTC", [first + lost])
    assert validate_window(settings, KEYS[0]).passed
    with pytest.raises(
        WindowRefused, match=r"unparseable_timestamp = 39\.8% of lines \(157 of 394"
    ):
        validate_window(settings, KEYS[1])
    settings = shop(settings, tmp_path, "UTC", [first + second])  # delivered again, mended
    report = validate_window(settings, KEYS[1])
    assert (report.accepted, report.quarantined) == (len(second), {})
    assert count_lines(settings)["quarantined"] == {}


def test_a_live_feed_is_as_fresh_as_the_last_open_day(settings: Settings, tmp_path: Path) -> None:
    """Closed from Thursday on, the shop owes nothing after Wednesday."""
    lines = [line for line in week(WEEKS[0]) if line.split(",")[2] < "2024-01-11"]
    days = ", ".join(f"2024-01-{day}" for day in (11, 12, 13, 14))
    live = TOML.replace("end = 2030-01-01T00:00:00Z", f"closed_days = [{days}]")
    (tmp_path / "feed.csv").write_text("\n".join(["user,item,at", *lines]) + "\n")
    (tmp_path / "live.toml").write_text(live.format(zone="Europe/Berlin", length="week"))
    settings = settings.model_copy(
        update={"dataset": str(tmp_path / "live.toml"), "data": tmp_path}
    )
    land(settings)
    assert validate_window(settings, KEYS[0]).passed
