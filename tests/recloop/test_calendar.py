"""Keys of windows: what cannot be one is refused before anything is written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg2.errors import CheckViolation

from recloop.behavior.dating import named_window
from recloop.behavior.source_files import refuse_another
from recloop.calendar import WindowCalendar
from recloop.config.dataset import load_dataset
from recloop.database.connection import transaction
from recloop.database.schema import migrate
from recloop.errors import BadInput
from recloop.ledger.window_states import note_landed
from recloop.settings import Settings
from recloop.stages import ingest_stages, update_stages
from recloop.stages.ingest_stages import ingest_windows
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import WEEKS, shop_week, write

NO_KEYS = (
    "1-01-01", "2011-1-10", "20110110", "2011-13-40", "2011-02-30", "0000-01-03", "-0044-03-15",
    "10000-01-03", "2011-W02", "2011-01-10T00:00", "٢٠١١-٠١-١٠", "", "today", "2011-01-10+1",
)  # fmt: skip


@pytest.mark.parametrize("key", NO_KEYS)
def test_what_is_no_date_of_ten_characters_is_no_key(key: str) -> None:
    with pytest.raises(BadInput, match="is not a date of the form"):
        WindowCalendar("week").parse(key)


def test_the_last_days_of_the_calendar_are_in_no_window() -> None:
    for key in ("9999-12-27", "0001-01-01"):
        with pytest.raises(BadInput, match="no window holds"):
            WindowCalendar("week").parse(key)
    with pytest.raises(BadInput, match="no window holds"):
        WindowCalendar("day").at(datetime(9999, 12, 31, 23, tzinfo=UTC))


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("0001-01-01", "no window holds"),
        ("2010-11-22", "ends before period.start"),
        ("2011-12-12", "begins after period.end"),
        ("2030-01-07", "begins after period.end"),
        ("2011-01-11", "did you mean '2011-01-10'"),
        ("9999-12-27", "no window holds"),
        ("2011-13-40", "is not a date"),
    ],
)
def test_a_window_that_no_line_can_be_in_leaves_no_trace(
    settings: Settings, tmp_path: Path, key: str, why: str
) -> None:
    settings = settings.model_copy(update={"data": write(tmp_path / "a.csv", shop_week(WEEKS[0]))})
    for named in (
        lambda: ingest_windows(settings, window=key),
        lambda: update_stages.plan(key, settings=settings),
        lambda: ingest_stages.land(key, settings),
    ):
        with pytest.raises(BadInput, match=why):
            named()
    with transaction(settings.database_url) as cursor:
        cursor.execute("select window_key from ledger.window where window_key <> %s", (WEEKS[0],))
        assert cursor.fetchall() == []


def test_a_live_dataset_has_no_window_that_has_not_begun_and_none_before_1990(
    settings: Settings, tmp_path: Path
) -> None:
    live = customised(settings, "online_retail", tmp_path, period={"end": None, "start": None})
    spec, now = load_dataset(live), datetime(2026, 3, 4, 12, tzinfo=UTC)
    assert named_window(spec, "2026-03-02", now).key == "2026-03-02"
    assert named_window(spec, "1990-01-01", now).key == "1990-01-01"
    with pytest.raises(BadInput, match="has not begun; it is 2026-03-04 12:00 UTC"):
        named_window(spec, "2026-03-09", now)
    with pytest.raises(BadInput, match="lies before 1990-01-01"):
        named_window(spec, "1989-12-25", now)


def test_a_window_that_an_earlier_version_should_not_have_noted_does_not_stop_ingesting(
    settings: Settings, tmp_path: Path
) -> None:
    with transaction(settings.database_url) as cursor:
        cursor.execute("alter table ledger.window drop constraint window_key_is_a_date")
        cursor.execute(
            "insert into ledger.window (window_key, starts, ends, state) "
            "values ('1-01-01', '0001-01-01+00', '0001-01-08+00', 'landed')"
        )
    migrate(settings.database_url)
    source = settings.model_copy(update={"data": write(tmp_path / "a.csv", shop_week(WEEKS[0]))})
    assert ingest_windows(source)["done"] == [WEEKS[0]]


def test_a_database_of_before_hours_takes_them(settings: Settings) -> None:
    hour = WindowCalendar("hour").parse("2011-01-10T0100Z")
    with transaction(settings.database_url) as cursor:
        cursor.execute("alter table ledger.window drop constraint window_key_is_a_date")
        cursor.execute(
            "alter table ledger.window add constraint window_key_is_a_date "
            r"check (window_key ~ '^\d{4}-\d{2}-\d{2}$') not valid"
        )
    for _ in range(2):
        migrate(settings.database_url)
    with transaction(settings.database_url) as cursor:
        note_landed(cursor, [hour])
        with pytest.raises(CheckViolation):
            cursor.execute(
                "insert into ledger.window (window_key, starts, ends, state) "
                "values ('tomorrow', '2030-01-01+00', '2030-01-02+00', 'landed')"
            )


def test_in_winter_too_a_home_that_was_cut_in_utc_is_told_from_one_in_london(
    settings: Settings, tmp_path: Path
) -> None:
    days = WindowCalendar("day").between(
        datetime(2010, 10, 1, tzinfo=UTC), datetime(2011, 1, 14, tzinfo=UTC)
    )
    with transaction(settings.database_url) as cursor:
        note_landed(cursor, days)
    window = {"length": "day"}
    london = {"timezone": "Europe/London"}
    asked = customised(settings, "online_retail", tmp_path / "a", window=window, event=london)
    with transaction(settings.database_url) as cursor, pytest.raises(BadInput, match="day in zone"):
        refuse_another(cursor, load_dataset(asked))
    kept = {**window, "zone": "UTC"}
    asked = customised(settings, "online_retail", tmp_path / "b", window=kept, event=london)
    with transaction(settings.database_url) as cursor:
        refuse_another(cursor, load_dataset(asked))


def test_calendars_that_cut_alike_are_one() -> None:
    week = WindowCalendar("week", zone="Asia/Tokyo")
    assert week == WindowCalendar("week", 1, "Asia/Tokyo")
    assert len({week, WindowCalendar("week", 1, "Asia/Tokyo")}) == 1
    others = [WindowCalendar("week"), WindowCalendar("day", 7, "Asia/Tokyo"), "week"]
    assert week not in others
