"""How a file is written, told from its first lines."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from recloop.behavior.sampling import take
from recloop.errors import SourceRefused

ROWS = [("u1", "Café", "2024-05-06T10:00:00"), ("u2", "Tee; grün", "2024-05-06T11:00:00")] * 20


def lines(delimiter: str, header: str = "user,item,at") -> str:
    rows = [header.split(",")] if header else []
    return "\n".join(delimiter.join(row) for row in [*rows, *ROWS]) + "\n"


@pytest.mark.parametrize("delimiter", [",", "\t", "|", "::"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16", "utf-8-sig"])
def test_text_is_read_as_it_was_written(tmp_path: Path, delimiter: str, encoding: str) -> None:
    path = tmp_path / "events.txt"
    path.write_bytes(lines(delimiter).encode(encoding))
    found = take(path)
    assert (found.format, found.delimiter, found.header) == ("csv", delimiter, True)
    assert found.encoding == encoding
    assert list(found.frame.columns) == ["user", "item", "at"]
    assert [tuple(row) for row in found.frame.to_numpy()] == ROWS
    assert found.whole


def test_a_file_without_a_header_has_columns_by_number(tmp_path: Path) -> None:
    path = tmp_path / "ratings.dat"
    path.write_text("\n".join(f"{n % 7}::{n % 5}::4::{978300760 + n}" for n in range(50)) + "\n")
    found = take(path)
    assert (found.delimiter, found.header) == ("::", False)
    assert list(found.frame.columns) == ["column_1", "column_2", "column_3", "column_4"]
    assert len(found.frame) == 50


def test_quoted_delimiters_are_no_delimiters(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("user,item\n" + 'u1,"Tea, green"\n' * 30)
    assert take(path).frame["item"].unique().tolist() == ["Tea, green"]


def test_json_lines_may_be_packed(tmp_path: Path) -> None:
    path = tmp_path / "clicks.jsonl.gz"
    with gzip.open(path, "wt") as file:
        for n in range(30):
            file.write(json.dumps({"user": n % 4, "item": f"i{n % 3}", "at": None}) + "\n")
    found = take(path)
    assert found.format == "jsonl"
    assert found.frame["user"].tolist()[:5] == ["0", "1", "2", "3", "0"]
    assert set(found.frame["at"]) == {""}


def test_parquet_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "events.bin"
    pd.DataFrame({"user": [1, 2], "at": pd.to_datetime(["2024-05-06", "2024-05-07"])}).to_parquet(
        path
    )
    found = take(path)
    assert (found.format, list(found.frame.columns)) == ("parquet", ["user", "at"])
    assert found.frame["user"].tolist() == ["1", "2"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes"),
        (b"PK\x03\x04rest", "ZIP"),
        (b"one column\nand\nnothing else\n", "not split alike"),
        (b'{"user": 1}\n{"user": 2\n', "cannot be read as a table"),
        (b'{\n"events": [\n{"user": 1}]}', "a JSON document.*one object a line"),
        (b'[{"user": 1}, {"user": 2', "cannot be read as a table"),
        (b'[["user", 1], ["user", 2]]', "a JSON array, and not of objects.*one object a line"),
        (b",".join(b"%d" % n for n in range(4000)) + b"\n", "4,000 fields.*one event a line"),
        (b"PAR1 cut short", "cannot be read as a table"),
    ],
)
def test_what_is_no_table_is_refused_with_what_to_do(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(content)
    with pytest.raises(SourceRefused, match=said):
        take(path)


def test_a_blank_within_quotes_splits_nothing(tmp_path: Path) -> None:
    lines = ['"Card","Title","Checked Out"']
    lines += [f'"{n}","The Book of {n}, part 2","03/0{1 + n % 9}/2025 04:13 PM"' for n in range(50)]
    path = tmp_path / "loans.csv"
    path.write_text("\n".join(lines))
    found = take(path)
    assert found.delimiter == ","
    assert list(found.frame.columns) == ["Card", "Title", "Checked Out"]


@pytest.mark.parametrize(
    ("first", "header"),
    [
        ("user_000040\t2026-08-01T15:10:00Z\ttrack-2", False),
        ("user\tat\ttrack", True),
        ("user_1_id\twhen_2\tb", True),
    ],
)
def test_a_first_line_of_the_others_shape_is_no_header(
    tmp_path: Path, first: str, header: bool
) -> None:
    path = tmp_path / "plays.tsv"
    rows = [f"user_{n % 7:06}\t2026-08-0{1 + n % 9}T12:10:00Z\ttrack-{n % 50}" for n in range(60)]
    path.write_text("\n".join([first, *rows]) + "\n")
    assert take(path).header == header


@pytest.mark.parametrize(
    ("above", "told"),
    [
        (
            "# exported by shop 1.2\n# in 2026\nuser,item,at\n",
            r"begins in line 3, below '# exported",
        ),
        (
            "Report,,\n,,\nuser,item,at\n",
            r"begins in line 3, below 'Report'. Remove what stands above",
        ),
        ("item,at\n", r"its first line has 2 fields and the others 3. Give each column a name"),
        ("user,user,at\n", r"two of its columns are called 'user'. Name each otherwise"),
    ],
)
def test_what_stands_above_a_table_is_told(tmp_path: Path, above: str, told: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        above + "".join(f"u{n % 7},i{n % 5},2026-01-{1 + n % 9:02}\n" for n in range(90))
    )
    with pytest.raises(SourceRefused, match=told):
        take(path)


def test_a_header_alone_has_no_lines_of_data(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user,item,at\n")
    with pytest.raises(SourceRefused, match=r"empty_file: .* it has no lines of data"):
        take(path)


def test_lines_with_many_empty_fields_are_no_title(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("".join(f"u{n % 7},,,,,2026-01-{1 + n % 9:02}\n" for n in range(90)))
    found = take(path)
    assert (found.header, len(found.frame)) == (False, 90)


def test_a_line_of_data_that_has_a_text_twice_names_nothing(tmp_path: Path) -> None:
    path = tmp_path / "friends.csv"
    path.write_text(
        "".join(f"user_{n % 3},user_{n % 2},2026-01-{1 + n % 9:02}\n" for n in range(90))
    )
    assert not take(path).header
