"""Landing: what is read once, what is read again, what makes way, what is refused whole."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recloop.behavior import landing, records
from recloop.behavior.arrivals import windows_with_new_lines
from recloop.behavior.download import file_sha256
from recloop.behavior.landing import land
from recloop.errors import BadInput, SourceRefused
from recloop.settings import Settings
from recloop.stages.status import count_lines
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import COLUMNS, WEEKS, as_text, shop_week, write
from tests.recloop.conftest import Query


def test_every_line_lands_in_its_window(settings: Settings, shop_file: Path, query: Query) -> None:
    report = land(settings.model_copy(update={"data": shop_file}))
    first, second = len(shop_week(WEEKS[0])), len(shop_week(WEEKS[1]))
    assert report.lines == first + second
    assert report.windows == (WEEKS[0], WEEKS[1])
    assert query("select window_key, count(*) from behavior.landing group by 1 order by 1") == [
        (WEEKS[0], first),
        (WEEKS[1], second),
    ]
    row = query(
        "select user_id, item_id, event_type, value, event_timestamp from behavior.landing "
        "where line_no = 1"
    )[0]
    line = shop_week(WEEKS[0])[0]
    moment = datetime.strptime(line["InvoiceDate"], "%m/%d/%Y %H:%M").replace(tzinfo=UTC)
    expected = (line["CustomerID"], line["StockCode"], "purchase", float(line["Quantity"]), moment)
    assert row == expected


def test_landing_twice_changes_nothing(settings: Settings, shop_file: Path, query: Query) -> None:
    settings = settings.model_copy(update={"data": shop_file})
    lines = land(settings).lines
    os.utime(shop_file)  # another modification time, the same bytes
    assert land(settings).lines == 0
    assert query("select count(*) from behavior.landing") == [(lines,)]


def test_a_copy_at_another_path_is_not_read_again(settings: Settings, shop_file: Path) -> None:
    land(settings.model_copy(update={"data": shop_file}))
    copy = shop_file.with_name("copy.csv")
    copy.write_bytes(shop_file.read_bytes())
    assert land(settings.model_copy(update={"data": copy})).lines == 0


def test_a_cancellation_is_an_event(settings: Settings, tmp_path: Path, query: Query) -> None:
    lines = shop_week(WEEKS[0])
    lines[5] = {**lines[5], "InvoiceNo": "C500001", "Quantity": "-3"}
    path = write(tmp_path / "shop.csv", lines)
    land(settings.model_copy(update={"data": path}))
    assert query("select line_no, value from behavior.landing where event_type = 'cancel'") == [
        (6, -3.0)
    ]


def test_a_changed_file_supersedes_what_was_not_decided(
    settings: Settings, shop_file: Path, query: Query
) -> None:
    settings = settings.model_copy(update={"data": shop_file})
    before = land(settings).lines
    lines = shop_week(WEEKS[0])
    write(shop_file, lines)
    assert land(settings).lines == len(lines)
    assert query("select count(*) from behavior.landing") == [(len(lines),)]
    assert query("select state, lines, superseded from behavior.source_file order by file_id") == [
        ("superseded", before, before),
        ("landed", len(lines), 0),
    ]
    assert count_lines(settings)["total"] == len(lines)


def test_a_file_that_returns_to_an_older_version_is_read_again(
    settings: Settings, tmp_path: Path, query: Query
) -> None:
    path = tmp_path / "shop.csv"
    settings = settings.model_copy(update={"data": path})
    for week in (WEEKS[0], WEEKS[1], WEEKS[0]):
        write(path, shop_week(week))
        land(settings)
    assert query("select distinct window_key from behavior.landing") == [(WEEKS[0],)]


def test_silent_windows_between_lines_are_opened_but_none_after(
    settings: Settings, tmp_path: Path, query: Query
) -> None:
    path = write(tmp_path / "shop.csv", shop_week(WEEKS[0]) + shop_week(WEEKS[3]))
    report = land(settings.model_copy(update={"data": path}))
    assert report.windows == (WEEKS[0], WEEKS[3])
    assert query("select window_key from ledger.window order by 1") == [(w,) for w in WEEKS[:4]]


@pytest.mark.parametrize(
    ("date", "rule"),
    [
        ("", "unparseable_timestamp"),
        ("31/12/2011 9:00", "unparseable_timestamp"),
        ("13/45/2011 9:00", "unparseable_timestamp"),
        ("11/30/2010 9:00", "outside_period"),
        ("12/9/2011 13:00", "outside_period"),
        ("1/1/2099 9:00", "future_timestamp"),
        ("6/1/2011 9:00", "misplaced_timestamp"),
    ],
)
def test_a_line_without_a_usable_time_is_quarantined(
    settings: Settings, tmp_path: Path, query: Query, date: str, rule: str
) -> None:
    lines = shop_week(WEEKS[0])
    lines[100] = {**lines[100], "InvoiceDate": date}
    settings = settings.model_copy(update={"data": write(tmp_path / "shop.csv", lines)})
    assert land(settings).windows == (WEEKS[0],)
    found = query("select line_no, rule, line ->> 'InvoiceDate' from behavior.quarantine")
    assert found == [(101, rule, date)]
    counts = count_lines(settings)
    assert (counts["total"], counts["pending"]) == (len(lines), len(lines) - 1)


def test_as_of_decides_what_is_the_future(settings: Settings, shop_file: Path) -> None:
    settings = settings.model_copy(update={"data": shop_file})
    land(settings, as_of=datetime(2011, 1, 17, tzinfo=UTC))
    assert count_lines(settings)["quarantined"] == {"future_timestamp": len(shop_week(WEEKS[1]))}


def test_a_truncated_last_line_costs_that_line(
    settings: Settings, shop_file: Path, query: Query
) -> None:
    shop_file.write_bytes(shop_file.read_bytes()[:-40])
    settings = settings.model_copy(update={"data": shop_file})
    report = land(settings)
    assert [rule for (rule,) in query("select rule from behavior.quarantine")] == ["malformed_line"]
    shop_file.write_bytes(as_text(shop_week(WEEKS[0]) + shop_week(WEEKS[1])).encode())
    assert land(settings).lines == report.lines
    assert count_lines(settings)["quarantined"] == {}  # the whole file made the half line way


def test_a_stray_quote_costs_its_line_only(
    settings: Settings, tmp_path: Path, query: Query
) -> None:
    lines = as_text(shop_week(WEEKS[0])).splitlines(keepends=True)
    lines[50] = lines[50].replace("ITEM", '"ITEM', 1)
    lines[60] = re.sub(r"ITEM (NUMBER \d+)", '"ITEM,\n\\1"', lines[60])
    path = tmp_path / "shop.csv"
    path.write_text("".join(lines))
    land(settings.model_copy(update={"data": path}))
    assert query("select line_no, rule from behavior.quarantine") == [(50, "malformed_line")]
    assert query(
        "select item_attributes ->> 'Description' from behavior.landing where line_no = 60"
    )[0][0].startswith("ITEM,\nNUMBER")


@pytest.mark.parametrize("mark", ["\ufeff", ""])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_marks_and_line_ends_do_not_matter(
    settings: Settings, tmp_path: Path, query: Query, mark: str, line_end: str
) -> None:
    text = as_text(shop_week(WEEKS[0])).replace("\n", line_end)
    path = tmp_path / "shop.csv"
    path.write_bytes((mark + text).encode())
    land(settings.model_copy(update={"data": path}))
    assert query("select max(user_attributes ->> 'Country'), count(*) from behavior.landing") == [
        ("United Kingdom", len(shop_week(WEEKS[0])))
    ]


def test_columns_may_come_in_any_order(settings: Settings, tmp_path: Path, query: Query) -> None:
    lines = shop_week(WEEKS[0])
    straight = write(tmp_path / "straight.csv", lines)
    land(settings.model_copy(update={"data": straight}))
    turned = [dict(reversed(line.items())) for line in lines]
    report = land(settings.model_copy(update={"data": write(tmp_path / "turned.csv", turned)}))
    assert report.lines == len(lines)
    assert query("select count(*), count(distinct event_id) from behavior.landing") == [
        (2 * len(lines), len(lines))
    ]


REFUSED = {
    "empty_file": (b"", "0 bytes"),
    "empty_file header": (",".join(COLUMNS).encode() + b"\n", "no lines"),
    "schema extra": (as_text([{**x, "Channel": "web"} for x in shop_week(WEEKS[0])]), "'Channel'"),
    "schema missing": (
        as_text([{k: v for k, v in x.items() if k != "UnitPrice"} for x in shop_week(WEEKS[0])]),
        "'UnitPrice'",
    ),
    "schema delimiter": (as_text(shop_week(WEEKS[0]), ";"), "delimiter"),
    "undecodable_text": (as_text(shop_week(WEEKS[0])).encode("utf-16"), "UTF-16"),
    "malformed_line": (
        as_text(shop_week(WEEKS[0])).replace("United Kingdom", "United, Kingdom"),
        "limit: 1%",
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_source_that_is_not_as_declared_is_refused_whole(
    settings: Settings, tmp_path: Path, query: Query, case: str
) -> None:
    content, told = REFUSED[case]
    path = tmp_path / "shop.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    settings = settings.model_copy(update={"data": path})
    rule = case.split()[0]
    for _ in range(2):  # and again: a refusal is not forgotten
        with pytest.raises(SourceRefused, match=rule) as caught:
            land(settings)
        assert told in str(caught.value)
    assert query("select state, reason from behavior.source_file") == [
        ("refused", str(caught.value))
    ]
    assert query("select count(*) from behavior.landing") == [(0,)]
    assert count_lines(settings)["total"] == 0
    write(path, shop_week(WEEKS[0]))
    assert land(settings).lines == len(shop_week(WEEKS[0]))


def test_other_files_of_a_folder_still_land(folder_settings: Settings, query: Query) -> None:
    assert folder_settings.data is not None
    write(folder_settings.data / "a.csv", shop_week(WEEKS[0]))
    write(folder_settings.data / "b.csv", [{**x, "Extra": "1"} for x in shop_week(WEEKS[1])])
    (folder_settings.data / ".c.csv.part").write_text("half")
    report = land(folder_settings)
    assert report.files == ("a.csv",)
    assert report.windows == (WEEKS[0],)
    assert "schema: b.csv" in report.refused[0]
    assert query("select path, state from behavior.source_file order by 1") == [
        ("a.csv", "landed"),
        ("b.csv", "refused"),
    ]


def test_a_file_that_changes_while_it_is_read_is_not_half_landed(
    folder_settings: Settings, query: Query
) -> None:
    assert folder_settings.data is not None
    path = write(folder_settings.data / "a.csv", shop_week(WEEKS[0]))

    def append(done: int, total: int | None) -> None:
        with path.open("a") as stream:
            stream.write(as_text(shop_week(WEEKS[1]), header=False))

    assert land(folder_settings, progress=append).lines == 0
    assert query("select count(*) from behavior.landing") == [(0,)]
    assert land(folder_settings).windows == (WEEKS[0], WEEKS[1])


def test_an_undeclared_column_lands_once_it_is_declared(settings: Settings, tmp_path: Path) -> None:
    path = write(tmp_path / "shop.csv", [{**x, "Channel": "web"} for x in shop_week(WEEKS[0])])
    settings = settings.model_copy(update={"data": path})
    with pytest.raises(SourceRefused):
        land(settings)
    settings = customised(settings, "online_retail", tmp_path, columns={"Channel": "ignore"})
    assert land(settings).lines == len(shop_week(WEEKS[0]))


def test_data_that_is_not_there_says_what_to_do(settings: Settings, tmp_path: Path) -> None:
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(BadInput, match="RECLOOP_DATA"):
            land(settings.model_copy(update={"data": path}))


def test_a_folder_of_many_forms_lands_what_can_be_read(
    folder_settings: Settings, query: Query
) -> None:
    """Packed files, a name that is not UTF-8, a loop of links, a cut file and one that is not ours."""
    folder = folder_settings.data
    assert folder is not None
    texts = [as_text(shop_week(week)).encode() for week in WEEKS]
    lines = [json.dumps(line) for line in shop_week(WEEKS[2])]
    (folder / "a.csv").write_bytes(texts[0])
    (folder / "b.csv.gz").write_bytes(gzip.compress(texts[1]))
    (folder / "c.jsonl").write_text("\n".join([*lines, "{broken"]))
    (folder / "d.csv").write_bytes(zlib.compress(texts[3]))
    (folder / "e.csv.gz").write_bytes(gzip.compress(texts[3])[:-100])
    (folder / "f.csv").symlink_to("f.csv")
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9\x1b.csv")).write_bytes(texts[4])
    report = land(folder_settings)
    assert report.files == ("a.csv", "b.csv.gz", "c.jsonl", r"caf\xe9\x1b.csv")
    assert report.windows == (WEEKS[0], WEEKS[1], WEEKS[2], WEEKS[4])
    assert [text.split(",")[0] for text in report.refused] == [
        "undecodable_text: d.csv is refused",
        "unreadable_file: e.csv.gz is refused",
    ]
    assert query("select rule, line ->> 'text' from behavior.quarantine") == [
        ("malformed_line", "{broken")
    ]
    counts = count_lines(folder_settings)
    assert (
        counts["total"] == report.lines == sum(len(shop_week(WEEKS[n])) for n in (0, 1, 2, 4)) + 1
    )
    assert land(folder_settings).files == ()


def test_a_file_that_cannot_be_opened_is_told_and_tried_again(
    folder_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder_settings.data is not None
    for week, name in zip(WEEKS, ("a.csv", "b.csv", "c.csv"), strict=False):
        write(folder_settings.data / name, shop_week(week))

    def refused(path: Path) -> str:
        if path.name == "a.csv":
            raise PermissionError(13, "Permission denied", str(path))
        if path.name == "b.csv":
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return file_sha256(path)

    with monkeypatch.context() as patched:
        patched.setattr(landing, "file_sha256", refused)
        report = land(folder_settings)
    assert report.files == ("c.csv",)
    assert report.refused == (
        "unreadable_file: a.csv is refused, it cannot be read (Permission denied). Correct that and "
        "land it again. None of its lines were taken.",
    )
    assert land(folder_settings).files == ("a.csv", "b.csv")


def test_a_packed_file_that_is_still_written_is_not_refused(
    folder_settings: Settings, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "CHUNK_LINES", 100)
    assert folder_settings.data is not None
    noise = random.Random(1)  # of which so much is left packed that it is more than one buffer
    lines = [{**line, "Description": noise.randbytes(1500).hex()} for line in shop_week(WEEKS[0])]
    packed = gzip.compress(as_text(lines).encode())
    path = folder_settings.data / "a.csv.gz"
    path.write_bytes(packed[: len(packed) // 2])
    state = path.stat()

    def arrive(done: int, total: int | None) -> None:
        path.write_bytes(packed)

    assert land(folder_settings, progress=arrive).refused == ()
    assert query("select count(*) from behavior.source_file") == [(0,)]
    assert state.st_size < path.stat().st_size
    assert windows_with_new_lines(folder_settings) == [WEEKS[0]]


def test_a_line_end_in_a_quoted_field_lands(
    settings: Settings, tmp_path: Path, query: Query
) -> None:
    lines = shop_week(WEEKS[0])
    names = ["CR\rITEM", "LF\nITEM", "CRLF\r\nITEM", 'QUOTE "ITEM"', "\\.", "\r"]
    lines = [{**line, "Description": name} for line, name in zip(lines, names, strict=False)]
    path = tmp_path / "shop.csv"
    rows = ['"' + '","'.join(v.replace('"', '""') for v in line.values()) + '"' for line in lines]
    path.write_bytes("\n".join([",".join(COLUMNS), *rows]).encode())
    land(settings.model_copy(update={"data": path}))
    found = query("select item_attributes ->> 'Description' from behavior.landing order by line_no")
    assert [name for (name,) in found] == [name.strip() or None for name in names]


def test_files_that_are_not_called_as_wanted_are_told(
    folder_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert folder_settings.data is not None
    (folder_settings.data / "shop.csv.zip").write_bytes(b"PK")
    assert land(folder_settings).files == ()
    assert "the 1 there are such as shop.csv.zip" in caplog.text


def test_landing_costs_one_transaction_however_many_files_are_known(
    folder_settings: Settings, transactions: list[str]
) -> None:
    assert folder_settings.data is not None
    for number, week in enumerate(WEEKS):
        write(folder_settings.data / f"{number}.csv", shop_week(week))
    land(folder_settings)
    transactions.clear()
    assert land(folder_settings).lines == 0
    assert len(transactions) == 1
