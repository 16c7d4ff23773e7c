"""Forms of sources: MovieLens with and without header, Parquet, zones, other encodings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from recloop.behavior.landing import land
from recloop.behavior.times import misplaced, parse_times
from recloop.errors import SourceRefused
from recloop.settings import Settings
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import WEEKS, as_text, ratings_week, shop_week, write
from tests.recloop.conftest import Query

RATINGS = "select user_id, item_id, value, event_timestamp from behavior.landing order by line_no"


def test_both_forms_of_movielens_are_the_same_events(
    settings: Settings, tmp_path: Path, query: Query
) -> None:
    lines = ratings_week("2011-01-10", 0)
    csv_form = tmp_path / "ratings.csv"
    csv_form.write_text(as_text(lines))
    settings = settings.model_copy(update={"dataset": "movielens", "data": csv_form})
    assert land(settings).lines == len(lines)
    first = query(RATINGS)
    moment = datetime.fromtimestamp(int(lines[0]["timestamp"]), UTC)
    assert first[0] == (lines[0]["userId"], lines[0]["movieId"], float(lines[0]["rating"]), moment)
    query("truncate behavior.landing, behavior.source_file")
    dat_form = tmp_path / "ratings.dat"
    dat_form.write_text(as_text(lines, "::", header=False))
    other = customised(settings, "movielens", tmp_path, source={"delimiter": "::", "header": False})
    assert land(other.model_copy(update={"data": dat_form})).lines == len(lines)
    assert query(RATINGS) == first


def test_a_headerless_file_with_another_width_is_refused(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "ratings.dat"
    path.write_text(as_text(ratings_week("2011-01-10", 0), "\t", header=False))
    settings = customised(
        settings, "movielens", tmp_path, source={"delimiter": "::", "header": False}
    )
    with pytest.raises(SourceRefused, match=r"schema.*source\.delimiter"):
        land(settings.model_copy(update={"data": path}))


def test_parquet_gives_the_events_of_the_csv(
    settings: Settings, tmp_path: Path, query: Query
) -> None:
    lines = shop_week(WEEKS[0])
    land(settings.model_copy(update={"data": write(tmp_path / "shop.csv", lines)}))
    columns = "user_id, item_id, event_type, value, price, event_timestamp, item_attributes"
    statement = f"select {columns} from behavior.landing order by line_no"
    from_csv = query(statement)
    query("truncate behavior.landing, behavior.source_file")
    frame = pd.DataFrame(lines)
    frame["InvoiceDate"] = pd.to_datetime(frame["InvoiceDate"], format="%m/%d/%Y %H:%M")
    frame["Quantity"] = frame["Quantity"].astype(int)
    frame["UnitPrice"] = frame["UnitPrice"].astype(float)
    frame["CustomerID"] = frame["CustomerID"].astype(float)  # as pandas has ids beside missing ones
    path = tmp_path / "shop.parquet"
    frame.to_parquet(path)
    other = customised(
        settings, "online_retail", tmp_path, source={"format": "parquet", "wheel": None}
    )
    assert land(other.model_copy(update={"data": path})).lines == len(lines)
    assert query(statement) == from_csv


def test_a_parquet_source_that_is_none_is_refused(settings: Settings, tmp_path: Path) -> None:
    path = write(tmp_path / "shop.parquet", shop_week(WEEKS[0]))
    settings = customised(settings, "online_retail", tmp_path, source={"format": "parquet"})
    with pytest.raises(SourceRefused, match=r"schema.*source\.format"):
        land(settings.model_copy(update={"data": path}))


@pytest.mark.parametrize(
    ("text", "form", "zone", "expected"),
    [
        ("2011-07-01 12:00", "iso", "Europe/London", "2011-07-01T11:00Z"),
        ("2011-01-01 12:00", "iso", "Europe/London", "2011-01-01T12:00Z"),
        ("2011-07-01T12:00:00+02:00", "iso", "Europe/London", "2011-07-01T10:00Z"),
        ("2011-07-01T12:00:00Z", "iso", "America/New_York", "2011-07-01T12:00Z"),
        ("7/1/2011 0:30", "%m/%d/%Y %H:%M", "Asia/Tokyo", "2011-06-30T15:30Z"),
        ("2011-10-30 01:30", "iso", "Europe/London", "2011-10-30T00:30Z"),  # twice: the first
        ("2011-03-27 01:30", "iso", "Europe/London", "2011-03-27T01:00Z"),  # never: the next
        ("978300760", "unix", "Asia/Tokyo", "2000-12-31T22:12:40Z"),
        ("978300760500", "unix_ms", "UTC", "2000-12-31T22:12:40.5Z"),
    ],
)
def test_times_become_utc(text: str, form: str, zone: str, expected: str) -> None:
    assert parse_times([text, "never"], form, zone).tolist() == [pd.Timestamp(expected), pd.NaT]


def test_a_line_ahead_is_misplaced_but_silence_and_late_lines_are_not() -> None:
    days = [50] + [1] * 30 + [12] * 3 + [200] + [12] * 30 + [2] * 40 + [12] * 10 + [100]
    times = pd.Series(pd.to_datetime("2011-01-01", utc=True) + pd.to_timedelta(days, unit="D"))
    found = misplaced(times.iloc[:0], times, times.iloc[:0])
    assert found.nonzero()[0].tolist() == [0, 34]


def test_the_zone_moves_lines_to_their_window(
    settings: Settings, tmp_path: Path, query: Query
) -> None:
    line = {**shop_week(WEEKS[0])[0], "InvoiceDate": "1/16/2011 22:30"}
    path = write(tmp_path / "shop.csv", [line])
    moment = datetime(2011, 1, 17, 3, 30, tzinfo=UTC)
    for window, key in (({}, "2011-01-10"), ({"zone": "UTC"}, "2011-01-17")):
        asked = customised(
            settings,
            "online_retail",
            tmp_path / key,
            event={"timezone": "America/New_York"},
            window=window,
        )
        land(asked.model_copy(update={"data": path}))
        assert query("select window_key, event_timestamp from behavior.landing") == [(key, moment)]
        query("truncate behavior.landing, behavior.source_file, ledger.window cascade")


def test_undecodable_bytes_cost_their_lines(
    settings: Settings, tmp_path: Path, query: Query
) -> None:
    lines = as_text(shop_week(WEEKS[0])).encode().splitlines(keepends=True)
    lines[10] = lines[10].replace(b"ITEM", b"IT\x81EM")
    lines[20] = lines[20].replace(b"ITEM", b"IT\x00EM")
    path = tmp_path / "shop.csv"
    path.write_bytes(b"".join(lines))
    land(settings.model_copy(update={"data": path}))
    statement = "select line_no, faults from behavior.landing where faults <> '{}' order by 1"
    assert query(statement) == [(10, ["undecodable_text"]), (20, ["undecodable_text"])]
