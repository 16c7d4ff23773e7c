"""A table of another PostgreSQL as a source: by window, repeatable, mendable."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from recloop.behavior.arrivals import windows_with_new_lines
from recloop.behavior.landing import land
from recloop.behavior.table import changed_windows
from recloop.config.dataset import load_dataset
from recloop.database import embedded
from recloop.database.connection import copy_rows, libpq_url, transaction
from recloop.errors import BadInput, ServiceAway, SourceRefused, WindowRefused
from recloop.settings import Settings
from recloop.stages import ingest_stages
from recloop.stages.status import count_lines
from recloop.validation.window import validate_window
from tests.recloop.behavior.shop import FORMAT, WEEKS, shop_week
from tests.recloop.conftest import Query

pytestmark = pytest.mark.slow

Source = Callable[[str], None]


@pytest.fixture
def table(
    settings: Settings, server_url: str, tmp_path: Path
) -> tuple[Settings, Callable[[str], None]]:
    """Two weeks of the shop in a table of another database, and a way to change it."""
    url = embedded.create_database(server_url, f"source_{tmp_path.name[-20:].replace('-', '_')}")

    def change(statement: str) -> None:
        with transaction(url) as cursor:
            cursor.execute(statement)

    change(
        "create schema shop; create table shop.sale (invoice text, item text, name text, "
        "pieces int, sold_at timestamptz, price numeric(10, 2), customer int)"
    )
    lines = shop_week(WEEKS[0]) + shop_week(WEEKS[1])
    with transaction(url) as cursor:
        copy_rows(
            cursor,
            "shop.sale",
            ["invoice", "item", "name", "pieces", "sold_at", "price", "customer"],
            [
                (
                    line["InvoiceNo"],
                    line["StockCode"],
                    line["Description"],
                    line["Quantity"],
                    datetime.strptime(line["InvoiceDate"], FORMAT).isoformat() + "+00",
                    line["UnitPrice"],
                    line["CustomerID"],
                )
                for line in lines
            ],
        )
    path = tmp_path / "sales.toml"
    path.write_text(
        f"""
        name = "sales"
        [source]
        kind = "table"
        url = "{libpq_url(url)}"
        table = "shop.sale"
        [columns]
        invoice = "text"
        item = "text"
        name = "text"
        pieces = "number"
        sold_at = "time"
        price = "number"
        customer = "text"
        [event]
        id = ["invoice", "item", "pieces"]
        user_id = "customer"
        item_id = "item"
        timestamp = "sold_at"
        value = "pieces"
        price = "price"
        [item_attributes]
        name = "name"
        text = ["name"]
        """
    )
    return settings.model_copy(update={"dataset": str(path)}), change


def test_a_window_is_read_and_read_again(table: Any, query: Query) -> None:
    settings, _ = table
    for _ in range(2):
        report = land(settings, WEEKS[1])
        assert query("select window_key, count(*) from behavior.landing group by 1") == [
            (WEEKS[1], len(shop_week(WEEKS[1])))
        ]
    assert report.lines == 0
    assert land(settings).windows == (WEEKS[0],)
    assert land(settings).lines == 0
    assert count_lines(settings)["total"] == len(shop_week(WEEKS[0])) + len(shop_week(WEEKS[1]))


def test_reading_after_validation_brings_late_rows_only(table: Any, query: Query) -> None:
    settings, change = table
    land(settings)
    accepted = validate_window(settings, WEEKS[0]).accepted
    change(
        "insert into shop.sale select '999999', item, name, pieces, sold_at, price, customer "
        f"from shop.sale where sold_at < '{WEEKS[1]}' limit 3"
    )
    assert windows_with_new_lines(settings) == WEEKS[:2]
    assert land(settings).lines == 3
    report = validate_window(settings, WEEKS[0])
    assert (report.lines, report.accepted, report.duplicates) == (3, 3, 0)
    assert query("select count(*) from behavior.event") == [(accepted + 3,)]
    validate_window(settings, WEEKS[1])
    assert windows_with_new_lines(settings) == []
    assert count_lines(settings)["pending"] == 0


def test_a_look_counts_no_more_than_may_still_come(table: Any, query: Query) -> None:
    settings, change = table
    land(settings)
    for week in WEEKS[:2]:
        validate_window(settings, week)
    change("create index on shop.sale (sold_at); analyze shop.sale")
    change(
        "insert into shop.sale select '999999', item, name, pieces, sold_at - interval '8 weeks', "
        "price, customer from shop.sale limit 3"
    )
    assert windows_with_new_lines(settings) == []  # 28 days behind the newest, and later
    path = Path(settings.dataset)
    path.write_text(path.read_text().replace('kind = "table"', 'kind = "table"\nlate_days = 90'))
    assert windows_with_new_lines(settings) == ["2010-11-15"]
    assert land(settings).lines == 3  # by hand, all are counted


def test_a_corrected_table_mends_a_refused_window(table: Any) -> None:
    settings, change = table
    change("update shop.sale set customer = null where pieces > 1")
    land(settings, WEEKS[0])
    with pytest.raises(WindowRefused, match="missing_user"):
        validate_window(settings, WEEKS[0])
    change("update shop.sale set customer = 12000 where customer is null")
    land(settings, WEEKS[0])
    assert validate_window(settings, WEEKS[0]).quarantined == {}
    assert count_lines(settings)["quarantined"] == {}


def test_rows_without_a_time_are_counted(table: Any) -> None:
    settings, change = table
    change(
        "update shop.sale set sold_at = null where invoice = (select min(invoice) from shop.sale)"
    )
    for _ in range(2):
        land(settings)
    counts = count_lines(settings)
    assert counts["quarantined"]["unparseable_timestamp"] > 0
    assert counts["total"] == len(shop_week(WEEKS[0])) + len(shop_week(WEEKS[1]))


ODD_TIMES = {"infinity": "future", "-infinity": "implausible", "0044-03-15 BC": "implausible",
             "20000-01-01": "future", "9999-12-31": "future", "1970-01-01": "implausible"}  # fmt: skip


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "bigint", "double precision"])
def test_odd_times_of_a_table_are_counted_and_open_no_window(
    table: Any, query: Query, kind: str
) -> None:
    settings, change = table
    path = Path(settings.dataset)
    total = len(shop_week(WEEKS[0])) + len(shop_week(WEEKS[1]))
    rules = [f"{rule}_timestamp" for rule in ODD_TIMES.values()]
    times = ODD_TIMES
    if kind in ("bigint", "double precision"):
        path.write_text(
            path.read_text().replace("[item_attr", 'timestamp_format = "unix"\n[item_attr')
        )
        change(f"alter table shop.sale alter sold_at type {kind} using extract(epoch from sold_at)")
        times = dict.fromkeys(["0", "-62135596800", "9223372036854775807", "-9223372036854775808"])
        rules = ["implausible_timestamp"] * 3 + ["future_timestamp"]
        if kind == "double precision":
            times |= dict.fromkeys(["1e300", "NaN", "Infinity"])
            rules += ["future_timestamp", "unparseable_timestamp", "unparseable_timestamp"]
    else:
        change(f"alter table shop.sale alter sold_at type {kind}")
    for n, time in enumerate(times):
        change(
            f"insert into shop.sale select 'odd{n}', item, name, pieces, '{time}', price, customer "
            "from shop.sale limit 1"
        )
    assert set(windows_with_new_lines(settings)) == set(WEEKS[:2])
    for lines in (total + len(times), 0):
        assert land(settings).lines == lines
        assert query("select window_key from ledger.window order by 1") == [(w,) for w in WEEKS[:2]]
    counts = count_lines(settings)
    assert (counts["total"], counts["pending"]) == (total + len(times), total)
    assert counts["quarantined"] == {rule: rules.count(rule) for rule in rules}
    assert windows_with_new_lines(settings) == WEEKS[:2]


def test_a_table_that_dates_nowhere_is_refused(table: Any) -> None:
    settings, change = table
    change("update shop.sale set sold_at = to_timestamp(extract(epoch from sold_at) / 1000)")
    with pytest.raises(SourceRefused, match=r"implausible_timestamp: shop\.sale.*1970"):
        land(settings)
    assert count_lines(settings)["total"] == 0


def test_local_and_unix_times_of_a_table(table: Any, query: Query) -> None:
    settings, change = table
    path = Path(settings.dataset)
    text = path.read_text() + '\n[window]\nzone = "UTC"\n'
    land(settings, WEEKS[1])
    expected = query("select min(event_timestamp), max(event_timestamp) from behavior.landing")
    change(
        "alter table shop.sale alter sold_at type timestamp using sold_at at time zone 'Asia/Tokyo'"
    )
    path.write_text(text.replace("[item_attr", 'timezone = "Asia/Tokyo"\n[item_attr'))
    query("truncate behavior.landing, behavior.source_file")
    land(settings, WEEKS[1])
    found = "select min(event_timestamp), max(event_timestamp) from behavior.landing"
    assert query(found) == expected
    change(
        "alter table shop.sale alter sold_at type bigint using "
        "extract(epoch from sold_at at time zone 'Asia/Tokyo')"
    )
    for unit, factor in (("unix", 1), ("unix_us", 1_000_000)):
        change(f"update shop.sale set sold_at = sold_at * {factor}")
        path.write_text(text.replace("[item_attr", f'timestamp_format = "{unit}"\n[item_attr'))
        query("truncate behavior.landing, behavior.source_file")
        land(settings, WEEKS[1])
        assert query(found) == expected


def test_what_a_table_must_be(table: Any, query: Query) -> None:
    settings, change = table
    change("alter table shop.sale add channel text")
    with pytest.raises(SourceRefused, match=r"schema: shop\.sale .*'channel'"):
        land(settings)
    assert query("select state from behavior.source_file") == [("refused",)]
    path = Path(settings.dataset)
    path.write_text(path.read_text().replace("shop.sale", "shop.sales"))
    with pytest.raises(BadInput, match=r"shop\.sales.*not a table"):
        land(settings)
    text = path.read_text()
    path.write_text(text.replace("?host=/", "?host=/nowhere/"))
    with pytest.raises(ServiceAway, match=r"source\.url"):
        land(settings)
    path.write_text(text.replace("?host=/", "?hots=/"))
    with pytest.raises(BadInput, match=r"source\.url"):
        land(settings)


def test_rows_that_a_setting_had_left_out_are_read_anew_when_it_is_mended(table: Any) -> None:
    settings, _ = table
    path = Path(settings.dataset)
    whole = path.read_text()
    path.write_text(whole + f"\n[period]\nend = {WEEKS[1]}T00:00:00Z\n")
    ingest_stages.read(settings, None)
    validate_window(settings, WEEKS[0])
    rows = {week: len(shop_week(week)) for week in WEEKS[:2]}
    assert count_lines(settings)["quarantined"] == {"outside_period": rows[WEEKS[1]]}
    path.write_text(whole)
    landed, again = ingest_stages.read(settings, None)
    assert (landed.lines, again.lines, again.stuck) == (rows[WEEKS[1]], rows[WEEKS[1]], ())
    assert validate_window(settings, WEEKS[1]).accepted == rows[WEEKS[1]]
    counts = count_lines(settings)
    assert (counts["total"], counts["quarantined"]) == (sum(rows.values()), {})
    assert ingest_stages.read(settings, None)[0].lines == 0


@pytest.mark.parametrize("name", ["off %", 'so "named"', "100%s"])
def test_a_column_may_be_called_anything(table: Any, query: Query, name: str) -> None:
    settings, change = table
    quoted = name.replace('"', '""')
    change(f'alter table shop.sale rename column price to "{quoted}"')
    path = Path(settings.dataset)
    key = json.dumps(name)
    text = path.read_text().replace('price = "number"', f'{key} = "number"')
    path.write_text(text.replace('price = "price"', f"price = {key}"))
    land(settings)
    assert query("select count(*) from behavior.landing where price is null") == [(0,)]


def test_the_options_of_an_url_leave_the_sessions_zone_at_utc(table: Any, query: Query) -> None:
    """Else rows on both sides of a change of the clock come with two offsets."""
    settings, change = table
    change("alter role postgres set timezone to 'Europe/Berlin'")
    try:
        change(
            "insert into shop.sale select '7' || n, item, name, pieces, "
            "timestamptz '2024-03-28 12:00:00Z' + n * interval '1 hour', price, customer "
            "from (select * from shop.sale limit 1) one, generate_series(1, 100) n"
        )
        path = Path(settings.dataset)
        url = re.search(r'url = "(.+?)"', path.read_text())[1]
        joined = "&" if "?" in url else "?"
        path.write_text(path.read_text().replace(url, f"{url}{joined}options=-csearch_path%3Dshop"))
        land(settings)
    finally:
        change("alter role postgres reset timezone")
    count = "select count(*) from behavior.landing where event_timestamp > '2024-01-01'"
    assert query(count) == [(100,)]


def test_hours_of_the_night_in_which_the_clock_is_set_back(table: Any, query: Query) -> None:
    """London: 01:30 is twice on 2011-10-30, and a column without a zone does not say which."""
    settings, change = table
    change("alter table shop.sale alter sold_at type timestamp using sold_at at time zone 'UTC'")
    change("delete from shop.sale where ctid not in (select ctid from shop.sale limit 4)")
    for row, time in enumerate(("00:30", "01:10", "01:50", "02:20")):
        change(
            f"update shop.sale set sold_at = '2011-10-30 {time}', invoice = '{row}' where ctid = "
            f"(select ctid from shop.sale where invoice not in ('0', '1', '2', '3') limit 1)"
        )
    path = Path(settings.dataset)
    text = path.read_text().replace("[item_attr", 'timezone = "Europe/London"\n[item_attr')
    path.write_text(text + '\n[window]\nlength = "hour"\n')
    expected = {"2011-10-29T2300Z": 1, "2011-10-30T0000Z": 2, "2011-10-30T0200Z": 1}
    assert changed_windows(settings, load_dataset(settings)) == expected
    assert land(settings).lines == 4
    found = query("select window_key, count(*) from behavior.landing group by 1 order by 1")
    assert dict(found) == expected
    assert changed_windows(settings, load_dataset(settings)) == {}
    assert land(settings).lines == 0
