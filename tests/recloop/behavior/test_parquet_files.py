"""Parquet: damage is one sentence, and values for which CSV has no form are text."""

from __future__ import annotations

import decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from recloop.behavior.records import Chunk
from recloop.behavior.sources import read_file
from recloop.errors import SourceRefused
from tests.recloop.behavior.small_shop import LINES, NAMES, small_spec


def write(path: Path, **columns: Any) -> Path:
    """The small shop as Parquet, with some columns replaced."""
    shop: dict[str, Any] = dict(zip(NAMES, map(list, zip(*LINES, strict=True)), strict=True))
    parquet.write_table(pa.table(shop | columns), path, compression="none", use_dictionary=False)
    return path


def read(path: Path) -> Chunk:
    (chunk,) = read_file(path, small_spec(format="parquet"))
    return chunk


def not_utf8(texts: list[bytes]) -> pa.Array:
    """Bytes that claim to be strings, as a careless writer leaves them."""
    return pa.Array.from_buffers(pa.string(), len(texts), pa.array(texts, pa.binary()).buffers())


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["a", None, "b", "a"]).dictionary_encode(), ["a", "", "b", "a"]),
        (pa.array([[1, None], [], None, [2]]), ["[1, null]", "[]", "", "[2]"]),
        (pa.array([{"de": "Tasse"}, None] * 2), ['{"de": "Tasse"}', ""] * 2),
        (pa.array([[("k", 1)]] * 4, pa.map_(pa.string(), pa.int64())), ['[["k", 1]]'] * 4),
        (
            pa.array([decimal.Decimal("0.0000000001"), None] * 2, pa.decimal128(20, 10)),
            ["0.0000000001", ""] * 2,
        ),
        (pa.array([b"a", None, "é".encode(), b""], pa.binary()), ["a", "", "é", ""]),
        (pa.array(["a", None, "b", ""], pa.string_view()), ["a", "", "b", ""]),
        (pa.nulls(4), [""] * 4),
        (
            pa.array([b"\1" * 16] * 4, pa.uuid()),
            ["01010101-0101-0101-0101-010101010101"] * 4,
        ),
    ],
    ids=["dictionary", "list", "struct", "map", "decimal", "bytes", "view", "nulls", "uuid"],
)  # fmt: skip
def test_every_type_is_text(tmp_path: Path, column: pa.Array, expected: list[str]) -> None:
    chunk = read(write(tmp_path / "shop.parquet", title=column))
    assert chunk.columns["title"] == expected
    assert not chunk.undecodable


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", "a\0b", "c", "d"]),
        pa.array([b"a", b"\xff\xfe", b"c", b"d"], pa.binary()),
        not_utf8([b"a", b"\xff\xfe", b"c", b"d"]),
    ],
    ids=["NUL", "bytes", "a string of other bytes"],
)
def test_what_is_no_text_is_said(tmp_path: Path, column: pa.Array) -> None:
    chunk = read(write(tmp_path / "shop.parquet", title=column))
    assert chunk.undecodable
    assert chunk.columns["title"][::2] == ["a", "c"]


def test_a_file_of_other_bytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match=r"undecodable_text: .*4 of 4 lines .*no UTF-8 text"):
        read(write(tmp_path / "shop.parquet", title=pa.array([b"\xff"] * 4, pa.binary())))


def damaged(content: bytes) -> dict[str, bytes]:
    page = content.index(b"u1")
    return {
        "its end": content[:-60],
        "its middle": content[:page] + content[page + 40 :],
        "the length of its footer": content[:-8] + b"\xff\xff\xff\x7fPAR1",
        "a page's head": content[:6] + b"\xff" * 12 + content[18:],
        "all but its head": b"PAR1",
    }


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.parquet")
    for part, content in damaged(path.read_bytes()).items():
        path.write_bytes(content)
        with pytest.raises(SourceRefused, match="damaged Parquet file") as caught:
            read(path)
        assert "\n" not in str(caught.value), part


def test_damage_that_shows_late_takes_back_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "shop.parquet"
    table = parquet.read_table(write(path))
    with parquet.ParquetWriter(path, table.schema, compression="none") as writer:
        for _ in range(3):
            writer.write_table(table)
    start = parquet.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    content = path.read_bytes()
    path.write_bytes(content[:start] + b"\xff" * 20 + content[start + 20 :])
    with pytest.raises(SourceRefused, match="damaged Parquet file"):
        list(read_file(path, small_spec(format="parquet")))


def test_no_rows_no_groups_and_a_column_twice_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.parquet")
    table = parquet.read_table(path)
    parquet.write_table(table.slice(0, 0), path)
    with pytest.raises(SourceRefused, match="empty_file"):
        read(path)
    parquet.ParquetWriter(path, table.schema).close()
    with pytest.raises(SourceRefused, match="empty_file"):
        read(path)
    twice = pa.Table.from_arrays([*table.columns, table.column(0)], [*NAMES, NAMES[0]])
    parquet.write_table(twice, path)
    with pytest.raises(SourceRefused, match="column 'user' appears twice"):
        read(path)
