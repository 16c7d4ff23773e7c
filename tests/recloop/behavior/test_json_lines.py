"""JSON lines: found by what they are, read key by key, broken lines quarantined."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from recloop.behavior.records import Chunk
from recloop.behavior.sources import read_file
from recloop.errors import SourceRefused
from tests.recloop.behavior.small_shop import LINES, NAMES, small_spec

OBJECTS: list[dict[str, Any]] = [dict(zip(NAMES, line, strict=True)) for line in LINES]
TEXT = "".join(json.dumps(one) + "\n" for one in OBJECTS)


def read(path: Path, text: str | bytes, **source: Any) -> Chunk:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (chunk,) = read_file(path, small_spec(**source))
    return chunk


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\n\n").encode(),
        TEXT.rstrip().encode(),
        gzip.compress(TEXT.encode()),
    ],
    ids=["plain", "marked", "CR LF", "blank lines", "no last line end", "gzip"],
)
@pytest.mark.parametrize("name", ["shop.csv", "shop.jsonl"])
def test_lines_are_found_by_what_they_are(tmp_path: Path, name: str, content: bytes) -> None:
    chunk = read(tmp_path / name, content)
    assert list(zip(*chunk.columns.values(), strict=True)) == LINES
    assert list(chunk.numbers) == [1, 2, 3, 4]
    assert not chunk.malformed
    assert not chunk.undecodable


def test_another_encoding_is_honoured(tmp_path: Path) -> None:
    chunk = read(tmp_path / "a.jsonl", TEXT.encode("utf-16"), encoding="utf-16")
    assert chunk.columns["user"] == ["u1", "u2", "u1", "u3"]
    with pytest.raises(SourceRefused, match="looks like UTF-16"):
        read(tmp_path / "a.jsonl", TEXT.encode("utf-16"))


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("1700000000000000001", "1700000000000000001"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("1.10", "1.10"),
        ("1e400", "1e400"),
        ("null", ""),
        ('""', ""),
        ("true", "true"),
        ("NaN", "NaN"),
        ('"caf\\u00e9"', "café"),
        ('[1.10, 1e400, "a"]', '[1.10, 1e400, "a"]'),
        ('{"de": {"n": 12345678901234567890}}', '{"de": {"n": 12345678901234567890}}'),
    ],
)
def test_values_are_the_texts_that_a_csv_would_have(
    tmp_path: Path, written: str, text: str
) -> None:
    line = '{"user" : ' + written + ' , "price": 1.5}\n'
    assert read(tmp_path / "a.jsonl", line).columns == {
        "user": [text],
        "item": [""],  # a missing key is null
        "title": [""],
        "ts": [""],
        "price": ["1.5"],
    }


@pytest.mark.parametrize(
    "broken",
    [
        "hello",
        '{"user": "u1"',
        '{"user": "u1"},',
        '["u1"]',
        "7",
        '{"user": "u1", "user": "u2"}',
        '{"user": "u1", "channel": "web"}',
        '{"user": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
    ids=["text", "cut", "comma", "array", "number", "twice", "undeclared", "deep"],
)
def test_a_line_that_is_no_object_costs_that_line(tmp_path: Path, broken: str) -> None:
    for at, source in ((0, {"format": "jsonl"}), (2, {}), (4, {})):
        lines = TEXT.splitlines()
        lines.insert(at, broken)
        chunk = read(tmp_path / "a.csv", "\n".join(lines), **source)
        assert chunk.malformed == [(at + 1, broken)]
        assert chunk.columns["user"] == ["u1", "u2", "u1", "u3"]


def test_a_first_line_that_is_cut_costs_that_line(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", '{"user": \n' + TEXT).malformed == [(1, '{"user": ')]


@pytest.mark.parametrize("written", [r"half \ud800 of a pair", r"a \u0000 within"])
def test_what_is_no_text_is_said(tmp_path: Path, written: str) -> None:
    chunk = read(tmp_path / "a.jsonl", TEXT.replace("Red cup", written, 1))
    assert chunk.undecodable


def test_many_lines_with_an_undeclared_key_are_another_schema(tmp_path: Path) -> None:
    text = "".join(json.dumps(one | {"channel": "web"}) + "\n" for one in OBJECTS)
    with pytest.raises(SourceRefused, match=r"schema: .*'channel'"):
        read(tmp_path / "a.jsonl", text)


def test_many_broken_lines_refuse_the_file(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match=r"malformed_line: .*4 of 4 lines are no JSON objects"):
        read(tmp_path / "a.jsonl", TEXT.replace("}\n", "},\n"))
