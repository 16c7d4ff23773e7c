"""The schedule that a dataset file asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from recloop.config.rules import Schedule, ScheduleRules, read_clock, read_family, read_schedule
from recloop.errors import BadInput
from recloop.settings import Settings


def settings_with(tmp_path: Path, toml: str) -> Settings:
    path = tmp_path / "shop.toml"
    path.write_text(toml)
    return Settings(home=tmp_path, dataset=str(path))


def test_online_retail_is_weekly_and_ends_with_its_last_window() -> None:
    schedule = read_schedule(Settings())
    assert schedule.cron == "0 0 * * 1"
    assert schedule.start == datetime(2010, 11, 29, tzinfo=UTC)  # a Monday; data from Wednesday on
    assert schedule.end == datetime(2011, 12, 12, tzinfo=UTC)


def test_daily_feed_without_an_end_goes_on(tmp_path: Path) -> None:
    text = '[window]\nlength = "day"\n[period]\nstart = 2026-02-03T05:00:00Z\n'
    schedule = read_schedule(settings_with(tmp_path, text))
    assert (schedule.cron, schedule.end) == ("0 0 * * *", None)
    assert schedule.start == datetime(2026, 2, 3, tzinfo=UTC)


def test_what_a_dataset_file_may_say_or_leave_out_is_read_alike(tmp_path: Path) -> None:
    text = '[period]\nstart = "2026-02-03T01:00:00+02:00"\n'
    schedule = read_schedule(settings_with(tmp_path, text))
    assert (schedule.window.length, schedule.start) == ("week", datetime(2026, 2, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[window]\nlength = "year"\n', "'year'"),
        ('[event]\ntimezone = "Mars"\n', "'Mars'"),
        ("[window\n", "not valid TOML"),
        ('[window]\nlength = "day"\n[period]\nstart = "soon"\n', "'soon'"),
        ("[period]\nstart = 2026-02-03\n", "needs a zone"),
        ("[period]\nend = 2026-02-03T00:00:00\n", "needs a zone"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        read_schedule(settings_with(tmp_path, text))


def schedule_of(tmp_path: Path, window: str, zone: str = "UTC") -> Schedule:
    text = f'[window]\n{window}\n[event]\ntimezone = "{zone}"\n[period]\nstart = 2026-02-03T05:00:00Z\n'
    return read_schedule(settings_with(tmp_path, text))


@pytest.mark.parametrize(
    ("window", "zone", "told"),
    [
        ('length = "hour"', "Europe/Berlin", ("0 * * * *", "UTC", "2026-02-03T0500Z")),
        ('length = "hour"\nevery = 6', "Asia/Kolkata", ("30 * * * *", "UTC", "2026-02-03T0030Z")),
        ('length = "day"', "Asia/Tokyo", ("0 0 * * *", "Asia/Tokyo", "2026-02-03")),
        ('length = "day"\nzone = "UTC"', "Asia/Tokyo", ("0 0 * * *", "UTC", "2026-02-03")),
        ('length = "month"', "America/Havana", ("0 0 1 * *", "America/Havana", "2026-02-01")),
    ],
)
def test_runs_are_due_when_windows_end_in_their_zone(
    tmp_path: Path, window: str, zone: str, told: tuple[str, str, str]
) -> None:
    schedule = schedule_of(tmp_path, window, zone)
    first = schedule.calendar.at(schedule.start)
    assert (schedule.cron, schedule.zone, first.key) == told
    assert schedule.start == first.start
    local = first.start.astimezone(ZoneInfo(schedule.zone))
    assert f"{local:{schedule.key_format}}" == first.key


def test_a_window_of_several_units_is_due_with_its_last(tmp_path: Path) -> None:
    weeks = schedule_of(tmp_path, 'length = "week"\nevery = 2', "Europe/Berlin")
    window = weeks.calendar.at(weeks.start)
    first, last = weeks.partitions(window.key, window.key)
    assert first == window.key < last
    assert (weeks.window_of(first), weeks.window_of(last)) == (None, window.key)
    night = schedule_of(tmp_path, 'length = "hour"\nevery = 6', "Europe/Berlin")
    changed = "2026-10-24T2200Z"  # seven hours
    assert night.partitions(changed, changed) == (changed, "2026-10-25T0400Z")
    assert night.window_of("2026-10-25T0300Z") is None
    assert night.window_of("2026-10-25T0400Z") == changed


@pytest.mark.parametrize("zone", ["America/Santiago", "America/Havana", "Africa/Cairo"])
def test_a_run_on_a_day_without_midnight_is_about_the_day_before(tmp_path: Path, zone: str) -> None:
    """Airflow's cron names the day that begins; of every other day the one that ended."""
    schedule = schedule_of(tmp_path, 'length = "day"', zone)
    days = schedule.calendar.between(
        datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    )
    for day, following in pairwise(days):
        for named in (day.key, following.key):
            assert schedule.over(named, following.start) == day.key


def clock_of(tmp_path: Path, toml: str) -> ScheduleRules:
    (tmp_path / "update.toml").write_text(toml)
    return read_clock(Settings(config=tmp_path))


def test_the_clock_is_read_without_the_rest_of_the_file(tmp_path: Path) -> None:
    given = (
        '[policy]\nnonsense = 1\n[schedules]\nperiodic_update = "15 2 * * 1"\nfull_rebuild = ""\n'
    )
    clock = clock_of(tmp_path, given)
    assert (clock.periodic_update, clock.full_rebuild) == ("15 2 * * 1", "")
    assert clock.maintain_models == read_clock(Settings()).maintain_models


def test_a_dag_that_the_clock_does_not_know_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean `periodic_update`"):
        clock_of(tmp_path, '[schedules]\nperiodic_updates = "0 0 * * *"\n')


def test_missing_dataset_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="config/datasets"):
        read_schedule(Settings(home=tmp_path, dataset="nowhere"))


def test_a_model_that_is_no_table_is_a_sentence(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, 'model = "sessions"\n')
    with pytest.raises(BadInput, match=r"`model` should be a table; write \[model\]"):
        read_family(settings)
