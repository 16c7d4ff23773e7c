"""Arrivals: complete windows with something to ingest, found without reading for good."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recloop.behavior import arrivals
from recloop.behavior.arrivals import windows_with_new_lines
from recloop.behavior.landing import land
from recloop.database.connection import transaction
from recloop.errors import CheckCrashed, WindowRefused
from recloop.settings import Settings
from recloop.stages.status import count_lines
from recloop.validation.window import validate_window
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import FORMAT, WEEKS, shop_week, write

pytestmark = pytest.mark.slow


@pytest.fixture
def live(folder_settings: Settings, tmp_path: Path) -> Settings:
    """The folder, live: without an end of the period."""
    return customised(folder_settings, "online_retail", tmp_path, period={"end": None})


def arrive(settings: Settings, week: str, **extra: str) -> Path:
    assert settings.data is not None
    return write(settings.data / f"{week}.csv", [{**x, **extra} for x in shop_week(week)])


def test_a_window_waits_until_it_is_complete(live: Settings) -> None:
    during, after = datetime(2011, 1, 14, tzinfo=UTC), datetime(2011, 1, 17, tzinfo=UTC)
    assert windows_with_new_lines(live, during) == []
    arrive(live, WEEKS[0])
    assert windows_with_new_lines(live, during) == []
    assert windows_with_new_lines(live, after) == [WEEKS[0]]
    land(live, as_of=after)
    assert windows_with_new_lines(live, after) == [WEEKS[0]]
    validate_window(live, WEEKS[0])
    assert windows_with_new_lines(live, after) == []


def test_a_feed_that_goes_silent_is_noticed(live: Settings) -> None:
    arrive(live, WEEKS[0])
    land(live)
    validate_window(live, WEEKS[0])
    assert windows_with_new_lines(live, datetime(2011, 1, 23, tzinfo=UTC)) == []
    assert windows_with_new_lines(live, datetime(2011, 1, 24, tzinfo=UTC)) == [WEEKS[1]]
    assert windows_with_new_lines(live, datetime(2026, 1, 1, tzinfo=UTC)) == []


def test_a_later_window_makes_earlier_ones_complete(live: Settings) -> None:
    arrive(live, WEEKS[0])
    arrive(live, WEEKS[2])
    during = datetime(2011, 1, 30, tzinfo=UTC)
    assert windows_with_new_lines(live, during) == [WEEKS[0]]
    land(live)
    assert windows_with_new_lines(live, during) == WEEKS[:2]  # the silent week has to be judged


def test_all_windows_of_a_historical_dataset_are_complete(folder_settings: Settings) -> None:
    for week in WEEKS[:2]:
        arrive(folder_settings, week)
    assert windows_with_new_lines(folder_settings) == WEEKS[:2]


def test_a_refused_window_wakes_again_only_when_new_lines_come(folder_settings: Settings) -> None:
    path = arrive(folder_settings, WEEKS[0], CustomerID="")
    land(folder_settings)
    with pytest.raises(WindowRefused):
        validate_window(folder_settings, WEEKS[0])
    assert windows_with_new_lines(folder_settings) == []
    write(path, shop_week(WEEKS[0]))
    assert windows_with_new_lines(folder_settings) == [WEEKS[0]]
    land(folder_settings)
    assert windows_with_new_lines(folder_settings) == [WEEKS[0]]
    validate_window(folder_settings, WEEKS[0])


def test_a_file_that_would_be_refused_wakes_once(folder_settings: Settings) -> None:
    arrive(folder_settings, WEEKS[0])
    land(folder_settings)
    validate_window(folder_settings, WEEKS[0])
    arrive(folder_settings, WEEKS[1], Channel="web")
    assert windows_with_new_lines(folder_settings) == [WEEKS[1]]
    assert "'Channel'" in land(folder_settings).refused[0]
    assert windows_with_new_lines(folder_settings) == []


def test_the_module_is_light_to_import() -> None:
    heavy = "{'pandas', 'numpy', 'pyarrow', 'great_expectations'}"
    code = f"import sys, recloop.behavior.arrivals; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lines_that_do_not_add_up_are_a_crashed_check(folder_settings: Settings) -> None:
    arrive(folder_settings, WEEKS[0])
    land(folder_settings)
    with transaction(folder_settings.database_url) as cursor:
        cursor.execute("delete from behavior.landing where line_no <= 3")
    with pytest.raises(CheckCrashed, match="862 were read, 859 are accounted for"):
        count_lines(folder_settings)


def test_a_look_costs_two_transactions_and_no_file_however_many_are_known(
    folder_settings: Settings, transactions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for week in WEEKS:
        arrive(folder_settings, week)
    land(folder_settings)
    transactions.clear()
    for name in ("read_file", "file_sha256"):
        monkeypatch.setattr(arrivals, name, lambda *_: pytest.fail("a known file was opened"))
    assert windows_with_new_lines(folder_settings) == WEEKS  # landed, and not judged yet
    assert len(transactions) == 2


def test_a_file_that_waits_is_read_by_one_look_only(
    live: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    during, after = datetime(2011, 1, 14, tzinfo=UTC), datetime(2011, 1, 17, tzinfo=UTC)
    path = arrive(live, WEEKS[0])
    assert windows_with_new_lines(live, during) == []
    with monkeypatch.context() as patched:
        patched.setattr(arrivals, "read_file", lambda *_: pytest.fail("it was read again"))
        patched.setattr(arrivals, "file_sha256", lambda *_: pytest.fail("it was hashed again"))
        assert windows_with_new_lines(live, during) == []
        assert windows_with_new_lines(live, after) == [WEEKS[0]]
    write(path, shop_week(WEEKS[1]))
    assert windows_with_new_lines(live, datetime(2011, 1, 24, tzinfo=UTC)) == [WEEKS[1]]


def test_a_file_that_went_away_stops_no_look(
    folder_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, there = arrive(folder_settings, WEEKS[0]), arrive(folder_settings, WEEKS[1])
    monkeypatch.setattr(arrivals, "files_of", lambda *_: [gone, there])
    gone.unlink()
    assert windows_with_new_lines(folder_settings) == [WEEKS[1]]


def test_a_file_of_a_day_wakes_every_hour_of_it(folder_settings: Settings, tmp_path: Path) -> None:
    hours = customised(folder_settings, "online_retail", tmp_path, window={"length": "hour"})
    arrive(hours, WEEKS[0])
    lines = {
        f"{datetime.strptime(line['InvoiceDate'], FORMAT):%Y-%m-%dT%H00Z}"
        for line in shop_week(WEEKS[0])
    }
    woken = set(windows_with_new_lines(hours))
    assert woken >= lines
