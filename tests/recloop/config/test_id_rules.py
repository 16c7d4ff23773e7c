"""Ids: one function for what two texts have in common, and the same rules wherever an id enters."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from recloop.behavior.landing import land
from recloop.config.id_rules import NOBODY, Ids
from recloop.errors import BadInput
from recloop.settings import Settings
from recloop.stages.status import count_lines
from recloop.validation.window import validate_window
from tests.recloop.conftest import Query

TOML = """
name = "made_up"
[source]
kind = "file"
format = "{format}"
[window]
length = "week"
[period]
end = 2030-01-01T00:00:00Z
[columns]
user = "text"
item = "text"
at = "time"
[event]
user_id = "user"
item_id = "item"
timestamp = "at"
{more}
"""
WEEK = "2024-01-01"


def made_up(settings: Settings, folder: Path, data: Path, more: str = "") -> Settings:
    path = folder / "made_up.toml"
    path.write_text(TOML.format(format=data.suffix[1:], more=more))
    return settings.model_copy(update={"dataset": str(path), "data": data})


def feed(settings: Settings, folder: Path, ids: list[tuple[str, str]], more: str = "") -> Settings:
    """A CSV of (user, item), a minute apart."""
    data = folder / "feed.csv"
    lines = [f'"{user}","{item}",2024-01-02T10:{n:02}:00' for n, (user, item) in enumerate(ids)]
    data.write_text("\n".join(["user,item,at", *lines]) + "\n", encoding="utf-8")
    return made_up(settings, folder, data, more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12346.0", "12346"),
        ("12346.000", "12346"),
        ("-5.0", "-5"),
        ("-0.0", "0"),
        ("9007199254740991.0", "9007199254740991"),
        ("9007199254740993.0", "9007199254740993.0"),  # 2^53 + 1: its last digits were lost
        ("007.0", "007.0"),
        ("1.50", "1.50"),
        ("1.0.0", "1.0.0"),
        ("1.0E5", "1.0E5"),
        ("12e45", "12e45"),  # may be hexadecimal
        ("\u00a0 u1\u200b\ufeff\t", "u1"),
        ("u\u200b1", "u1"),
        ("a\u00a0b", "a b"),
        ("u\r1", "u\r1"),
        ("e\u0301", "é"),
        ("\u3164", ""),
    ],
)
def test_the_usual_form_of_an_id(text: str, expected: str) -> None:
    assert Ids().normal(text) == expected


def test_both_switches() -> None:
    plain = Ids(whole_numbers=False, nfc=False)
    assert [plain.normal(text) for text in ("1.0", " 1.0 ", "e\u0301")] == ["1.0", "1.0", "e\u0301"]


@given(st.text())
def test_any_text_has_a_usual_form_which_is_its_own(text: str) -> None:
    once = Ids().normal(text)
    assert Ids().normal(once) == once
    assert Ids().normal(f" \ufeff{text}\u200b\n") == once
    assert Ids().normal_all([text, text]) == [once, once]


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_every_whole_number_of_a_float_is_its_integer(number: int) -> None:
    assert Ids().normal(f"{number}.0") == str(number)


@pytest.mark.parametrize("width", ["int8", "int64", "uint64", "float64"])
def test_numbers_of_parquet_keep_their_digits_beside_a_null(
    settings: Settings, tmp_path: Path, query: Query, width: str
) -> None:
    kind = pyarrow.type_for_alias(width)
    largest = 2**53 - 1 if width == "float64" else 2 ** (kind.bit_width - width.startswith("i")) - 1
    users = [largest, largest - 1, None, largest]
    at = pyarrow.array([1_704_189_600 + n for n in range(4)], pyarrow.timestamp("s"))
    table = {"user": pyarrow.array(users, kind), "item": list("abcd"), "at": at}
    parquet.write_table(pyarrow.table(table), tmp_path / "feed.parquet")
    land(made_up(settings, tmp_path, tmp_path / "feed.parquet"))
    found = query("select user_id from behavior.landing order by line_no")
    assert found == [(str(largest),), (str(largest - 1),), (None,), (str(largest),)]


def test_one_customer_however_written_and_nobody_by_any_name(
    settings: Settings, tmp_path: Path, query: Query
) -> None:
    same = ["12346", "12346.0", " 12346 ", "\ufeff12346.00"]
    nobody = ["NaN", "None", "n/a", "UNDEFINED", " - ", "", "\\N"]
    settings = feed(settings, tmp_path, [*((u, "i1") for u in same), *((u, "i2") for u in nobody)])
    land(settings)
    report = validate_window(settings, WEEK)
    assert (report.accepted, report.quarantined) == (4, {"missing_user": len(nobody)})
    assert query("select user_id from behavior.account") == [("12346",)]
    kept = "select line ->> 'user_id' from behavior.quarantine order by line_no"
    assert [text for (text,) in query(kept)] == [*map(str.strip, nobody[:5]), None, None]


def test_the_dataset_file_says_who_is_nobody(
    settings: Settings, tmp_path: Path, query: Query
) -> None:
    ids = [("NA", "i1"), ("Gäst", "i1"), ("GÄST", "nil"), ("u1", "i1.0")]
    settings = feed(settings, tmp_path, ids, '[ids]\nnobody = ["gäst"]\nwhole_numbers = false')
    land(settings)
    assert validate_window(settings, WEEK).quarantined == {"missing_user": 2}
    assert query("select item_id from behavior.item order by 1") == [("i1",), ("i1.0",)]


def test_ids_too_long_for_an_index_and_rounded_ones_are_named(
    settings: Settings, tmp_path: Path
) -> None:
    long, rounded = "é" * 1_500, "1.7e+18"
    ids = [("u1", "i1"), (long, "i1"), ("u1", long), (rounded, "i1"), ("u1", rounded)]
    ids += [("9007199254740993.0", "i1"), ("1.7E+18", "i1"), ("é" * 256, "i1")]
    settings = feed(settings, tmp_path, ids)
    land(settings)
    report = validate_window(settings, WEEK)
    expected = {"overlong_user": 1, "overlong_item": 1, "rounded_user": 3, "rounded_item": 1}
    assert (report.accepted, report.quarantined) == (2, expected)
    assert count_lines(settings)["pending"] == 0


def test_the_longest_id_that_is_allowed_can_be_indexed(settings: Settings, tmp_path: Path) -> None:
    import random

    chance = random.Random(1)  # so that it cannot be compressed
    long = "".join(chance.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(2_000))
    settings = feed(settings, tmp_path, [(long, long)], "[ids]\nlongest = 2000")
    land(settings)
    assert validate_window(settings, WEEK).accepted == 1
    with pytest.raises(BadInput, match=r"`ids.longest` = 2001"):
        land(feed(settings, tmp_path, [("u", "i")], "[ids]\nlongest = 2001"))


def test_no_usual_placeholder_is_an_ordinary_id() -> None:
    nobody = Ids().nobody_in_sql
    assert all(form in nobody for text in NOBODY for form in (text, text.upper()))
    assert not any(text in nobody for text in ("0", "1", "nana", "u1", "none1"))
