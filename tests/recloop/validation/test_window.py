"""Validating windows: repetition, late lines, re-judging, keys and versions, what a crash is."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from recloop.behavior.landing import land
from recloop.database import embedded
from recloop.database.connection import transaction
from recloop.database.schema import migrate
from recloop.errors import BadInput, CheckCrashed, ServiceAway, WindowRefused
from recloop.settings import Settings
from recloop.stages.status import count_lines
from recloop.validation import accepting, judging, window
from recloop.validation.window import validate_window
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import WEEKS, Line, shop_week, write

pytestmark = pytest.mark.slow

FIRST = WEEKS[0]


@pytest.fixture
def shop(settings: Settings, tmp_path: Path) -> Settings:
    """One clean week, landed."""
    path = write(tmp_path / "shop.csv", shop_week(FIRST))
    settings = settings.model_copy(update={"data": path})
    land(settings)
    return settings


def rows(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    with transaction(settings.database_url) as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def put(settings: Settings, lines: list[Line]) -> None:
    """Replace the source's file, and land it."""
    assert settings.data is not None
    write(settings.data, lines)
    land(settings)


def test_validating_twice_changes_nothing(shop: Settings) -> None:
    first = validate_window(shop, FIRST)
    everything = "select * from behavior.event order by event_id"
    events, ledger = rows(shop, everything), rows(shop, "select * from ledger.window")
    assert validate_window(shop, FIRST) == first
    assert rows(shop, everything) == events
    assert rows(shop, "select * from ledger.window") == ledger


def test_two_runs_at_once_accept_once(shop: Settings) -> None:
    reports = []
    runs = [
        threading.Thread(target=lambda: reports.append(validate_window(shop, FIRST)))
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(reports) == 2
    assert reports[0] == reports[1]
    assert rows(shop, "select lines, accepted from ledger.window") == [
        (len(shop_week(FIRST)), len(shop_week(FIRST)))
    ]


def test_a_window_that_nothing_landed_in_is_bad_input(shop: Settings) -> None:
    with pytest.raises(BadInput, match="no landed lines"):
        validate_window(shop, "2011-03-07")
    with pytest.raises(BadInput, match="did you mean '2011-01-10'"):
        validate_window(shop, "2011-01-11")


def test_late_lines_are_added_and_known_ones_are_duplicates(shop: Settings) -> None:
    whole = shop_week(FIRST)
    before = validate_window(shop, FIRST)
    late = [{**line, "InvoiceNo": "7" + line["InvoiceNo"][1:]} for line in whole[:5]]
    late[0] = {**late[0], "CustomerID": ""}
    put(shop, whole + late)
    report = validate_window(shop, FIRST)
    assert (report.accepted, report.duplicates) == (4, len(whole))
    assert report.quarantined == {"missing_user": 1}
    assert report.data_hash != before.data_hash
    assert rows(shop, "select lines, accepted, duplicates, state from ledger.window") == [
        (2 * len(whole) + 5, len(whole) + 4, len(whole), "validated")
    ]
    counts = count_lines(shop)
    assert (counts["accepted"], counts["pending"]) == (len(whole) + 4, 0)


def test_events_of_each_kind_that_is_learnt_from_are_counted(
    shop: Settings, tmp_path: Path
) -> None:
    """Every fifth line is taken back; nothing is counted apart where one kind is learnt from."""
    assert shop.data is not None
    whole = [
        {**line, "InvoiceNo": ("C" if n % 5 == 0 else "") + line["InvoiceNo"]}
        for n, line in enumerate(shop_week(FIRST))
    ]
    kinds = {"purchase": len(whole) - len(whole[::5]), "cancel": len(whole[::5])}
    learnt = {"learn_from": {"types": ["purchase", "cancel"]}}
    several = customised(shop, "online_retail", tmp_path, event=learnt)
    put(several, whole)
    found = validate_window(several, FIRST)
    assert found.kinds == kinds
    late = {**whole[1], "InvoiceNo": "7" + whole[1]["InvoiceNo"][1:]}
    put(several, [*whole, late])
    assert validate_window(several, FIRST).kinds == {"purchase": 1}
    ((told,),) = rows(several, "select kinds from ledger.window")
    assert told == kinds | {"purchase": kinds["purchase"] + 1}


def test_too_many_late_lines_are_quarantined(shop: Settings) -> None:
    whole = shop_week(FIRST)
    accepted = validate_window(shop, FIRST).accepted
    put(shop, [{**line, "InvoiceNo": "7" + line["InvoiceNo"][1:]} for line in whole])
    report = validate_window(shop, FIRST)
    assert report.quarantined == {"excess_late_lines": len(whole)}
    assert rows(shop, "select count(*) from behavior.event") == [(accepted,)]


def test_a_refused_window_keeps_its_lines_until_limits_change(
    shop: Settings, tmp_path: Path
) -> None:
    lines = [line for line in shop_week(FIRST) if not line["InvoiceDate"].startswith("01/12/")]
    put(shop, lines)
    for _ in range(2):
        with pytest.raises(WindowRefused, match="missing_days = 1"):
            validate_window(shop, FIRST)
    assert rows(shop, "select state, accepted from ledger.window") == [("refused", 0)]
    assert count_lines(shop)["quarantined"] == {"window_refused": len(lines)}
    mended = customised(shop, "online_retail", tmp_path, limits={"window": {"missing_days": 1}})
    assert validate_window(mended, FIRST).accepted == len(lines)


def test_an_empty_window_passes_only_if_all_its_days_are_closed(
    settings: Settings, tmp_path: Path
) -> None:
    path = write(tmp_path / "shop.csv", shop_week("2010-12-13") + shop_week("2011-01-10"))
    settings = settings.model_copy(update={"data": path})
    land(settings)
    report = validate_window(settings, "2010-12-27")
    assert (report.passed, report.lines) == (True, 0)
    with pytest.raises(WindowRefused, match=r"minimum_lines = 0, .*Deliver the window's lines"):
        validate_window(settings, "2011-01-03")


def test_keys_follow_the_order_of_events(shop: Settings) -> None:
    validate_window(shop, FIRST)
    lines = shop_week(FIRST)
    for table, name, column in (("item", "item", "StockCode"), ("account", "user", "CustomerID")):
        found = rows(
            shop, f"select {name}_key, {name}_id, first_seen from behavior.{table} order by 1"
        )
        assert [row[0] for row in found] == list(range(1, len(found) + 1))
        assert [row[2] for row in found] == sorted(row[2] for row in found)
        assert {row[1] for row in found} == {line[column] for line in lines}


def test_a_replay_gives_the_same_events_and_hash(
    shop: Settings, server_url: str, tmp_path: Path
) -> None:
    from tests.conftest import copy_database

    again = shop.model_copy(update={"database_url": copy_database(server_url)})
    land(again)
    columns = "event_id, user_key, item_key, event_type, value, price"
    statement = f"select {columns} from behavior.event order by event_timestamp, event_id"
    first, second = validate_window(shop, FIRST), validate_window(again, FIRST)
    assert first.data_hash == second.data_hash
    assert rows(shop, statement) == rows(again, statement)


def test_the_data_hash_is_of_all_ids_in_their_order_and_passes_by_one_at_a_time(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    write_one = accepting._Digest.write

    def noted(digest: accepting._Digest, data: bytes) -> None:
        sizes.append(len(data))
        write_one(digest, data)

    monkeypatch.setattr(accepting._Digest, "write", noted)
    found = validate_window(shop, FIRST).data_hash
    ids = sorted(str(row[0]) for row in rows(shop, "select event_id::text from behavior.event"))
    assert found == hashlib.sha256("".join(ids).encode()).hexdigest()  # as every ledger has it
    assert sizes == [len(ids[0]) + 1] * len(ids)


def test_an_item_that_changes_its_text_gets_a_version(settings: Settings, tmp_path: Path) -> None:
    code = shop_week(WEEKS[1])[0]["StockCode"]
    renamed = [
        {**line, "Description": "NEW NAME"} if line["StockCode"] == code else line
        for line in shop_week(WEEKS[1])
    ]
    path = write(tmp_path / "shop.csv", shop_week(WEEKS[0]) + renamed)
    settings = settings.model_copy(update={"data": path})
    land(settings)
    for key in WEEKS[:2]:
        validate_window(settings, key)
    found = rows(
        settings,
        "select attributes ->> 'Description', valid_from = (select min(event_timestamp) from "
        "behavior.event e where e.item_key = v.item_key and e.window_key = case when "
        f"attributes ->> 'Description' = 'NEW NAME' then '{WEEKS[1]}' else '{WEEKS[0]}' end) "
        "from behavior.item_version v join behavior.item using (item_key) "
        f"where item_id = '{code}' order by valid_from",
    )
    old = f"ITEM NUMBER {int(code) - 20000}"
    assert found == [(old, True), ("NEW NAME", True)]
    assert rows(settings, f"select name from behavior.item where item_id = '{code}'") == [
        ("NEW NAME",)
    ]
    assert rows(settings, "select count(*) from behavior.item_version")[0][0] == (
        rows(settings, "select count(*) from behavior.item")[0][0] + 1
    )


def test_a_broken_check_is_no_bad_data(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    query = window.window_query
    monkeypatch.setattr(
        window, "window_query", lambda *a: query(*a).replace("missing_days", "no_such_column", 2)
    )
    with pytest.raises(CheckCrashed, match="says nothing about the data"):
        validate_window(shop, FIRST)
    assert rows(shop, "select state from ledger.window") == [("landed",)]
    monkeypatch.undo()
    assert validate_window(shop, FIRST).passed


def test_an_error_in_python_is_a_crashed_check(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(window, "window_suite", explode)
    with pytest.raises(CheckCrashed, match="ZeroDivisionError: a bug"):
        validate_window(shop, FIRST)


@pytest.mark.parametrize("moment", ["judge", "close"])
def test_a_server_that_goes_away_meanwhile_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    home = tmp_path / "own"
    url = embedded.ensure_running(home)
    try:
        migrate(url)
        path = write(tmp_path / "shop.csv", shop_week(FIRST))
        settings = Settings(home=home, database_url=url, data=path)
        land(settings)
        original = getattr(judging.Judge, moment)

        def stop_first(*args: object) -> object:
            embedded.stop(home)
            return original(*args)

        monkeypatch.setattr(judging.Judge, moment, stop_first)
        with pytest.raises(ServiceAway):
            validate_window(settings, FIRST)
        monkeypatch.undo()
        with pytest.raises(ServiceAway):
            validate_window(settings, FIRST)
        embedded.ensure_running(home)
        assert validate_window(settings, FIRST).accepted == len(shop_week(FIRST))
    finally:
        embedded.stop(home)


def test_no_connection_stays_open(shop: Settings) -> None:
    validate_window(shop, FIRST)
    name = shop.database_url.partition("?")[0].rsplit("/", 1)[1]
    others = (
        "select count(*) from pg_stat_activity "
        f"where datname = '{name}' and pid <> pg_backend_pid() and state is not null"
    )
    deadline = time.monotonic() + 10  # a closed connection's backend takes a moment to end
    while rows(shop, others) != [(0,)]:
        assert time.monotonic() < deadline, "a connection stayed open"
        time.sleep(0.1)


def test_what_was_quarantined_is_told_with_rule_line_and_remedy(
    settings: Settings, tmp_path: Path
) -> None:
    from recloop.stages.ingest_stages import ingest_windows

    lines = shop_week(WEEKS[0])
    lines[3]["CustomerID"] = ""
    lines[9]["InvoiceDate"] = "1/12/2099 9:00"
    lines[11]["CustomerID"] = "7" * 300
    source = settings.model_copy(update={"data": write(tmp_path / "one.csv", lines)})
    told = {one["rule"]: one for one in ingest_windows(source)["quarantined"]}
    assert told.keys() == {"missing_user", "future_timestamp", "malformed_user"}
    assert "7" * 60 + "…" in told["malformed_user"]["message"]
    assert told["missing_user"]["lines"] == 1
    assert "line 4 of" in told["missing_user"]["message"]
    assert "Check column 'CustomerID'" in told["missing_user"]["message"]
    assert "1/12/2099 9:00" in told["future_timestamp"]["message"]
    assert "clock" in told["future_timestamp"]["message"]


def test_a_file_read_again_for_one_more_line_has_one_new_event(
    settings: Settings, tmp_path: Path
) -> None:
    from recloop.stages.ingest_stages import ingest_windows

    lines = shop_week(WEEKS[0])
    path = write(tmp_path / "one.csv", lines[:-1])
    source = settings.model_copy(update={"data": path})
    first = ingest_windows(source)
    write(path, lines)
    again = ingest_windows(source)
    assert (first["lines"], first["events"]) == (len(lines) - 1, len(lines) - 1)
    assert (again["lines"], again["events"]) == (len(lines), 1)
