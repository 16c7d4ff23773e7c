"""What a file is by its bytes: packed text is read, all else is named in one sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from recloop.behavior import containers
from recloop.behavior.sources import read_file
from recloop.config.dataset import DatasetSpec
from recloop.errors import SourceRefused
from tests.recloop.behavior.small_shop import LINES, NAMES, TEXT, small_spec

ROWS = [list(line) for line in LINES]


def zstd(data: bytes) -> bytes:
    return pyarrow.compress(data, "zstd", asbytes=True)


def rows_of(path: Path, spec: DatasetSpec | None = None) -> list[list[str]]:
    spec = spec or small_spec()
    return [
        list(row)
        for chunk in read_file(path, spec)
        for row in zip(*(chunk.columns[name] for name in NAMES), strict=True)
    ]


READ = {
    "shop.csv": TEXT,
    "shop.csv.gz": gzip.compress(TEXT),
    "shop.csv, packed under that name": gzip.compress(TEXT),
    "shop.csv.gz that is not packed": TEXT,
    "of several members.gz": gzip.compress(TEXT[:90]) + gzip.compress(TEXT[90:]),
    "padded with zeros.gz": gzip.compress(TEXT) + bytes(512),
    "shop.csv.zst": zstd(TEXT),
    "of several frames.zst": zstd(TEXT[:90]) + zstd(TEXT[90:]),
    "after a frame to skip.zst": b"\x50\x2a\x4d\x18\x02\0\0\0ab" + zstd(TEXT),
    "behind blank lines.csv": b"\n\r\n" + TEXT,
}


@pytest.mark.parametrize("name", READ)
def test_packed_text_is_read_as_if_it_were_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(READ[name])
    assert rows_of(path) == ROWS


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return buffer.getvalue()


def packed_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("shop.csv")
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT))
    return buffer.getvalue()


def a_parquet_file() -> bytes:
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({"a": [1]}), sink)
    return sink.getvalue().to_pybytes()


REFUSED = {
    "cut short.gz": (gzip.compress(TEXT)[:-12], "packed by gzip and is cut short"),
    "cut in its head.gz": (gzip.compress(TEXT)[:4], "cut short"),
    "flipped.gz": (gzip.compress(TEXT)[:60] + b"\xff" * 9 + gzip.compress(TEXT)[69:], "damaged"),
    "garbage behind it.gz": (gzip.compress(TEXT) + b"garbage", "damaged"),
    "cut short.zst": (zstd(TEXT)[:-9], "packed by Zstandard and is cut short"),
    "twice.gz": (gzip.compress(gzip.compress(TEXT)), "packed twice"),
    "nothing.gz": (gzip.compress(b""), "empty_file.* 0 bytes when it is unpacked"),
    "one newline.csv": (b"\n", "empty_file.* no lines"),
    "newlines.csv": (b"\n\r\n\n", "empty_file.* no lines"),
    "a mark.csv": (b"\xef\xbb\xbf", "empty_file.* no lines"),
    "a header.csv": (TEXT[: TEXT.index(b"\n") + 1], "empty_file.* no lines of data"),
    "shop.zip": (zipped(shop_csv=TEXT), r"a ZIP archive that holds shop\.csv\. Unpack it"),
    "more.zip": (zipped(a_csv=TEXT, b_csv=TEXT), r"holds a\.csv and 1 more"),
    "shop.xlsx": (zipped(xl__workbook_xml=b"x"), "an Excel workbook"),
    "cut short.zip": (zipped(shop_csv=TEXT)[:40], "a ZIP archive, and damaged"),
    "shop.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "an old Excel workbook"),
    "shop.tar.gz": (packed_tar(), "a tar archive packed by gzip"),
    "shop.csv.bz2": (bz2.compress(TEXT), "packed by bzip2"),
    "shop.csv.xz": (lzma.compress(TEXT), "packed by xz"),
    "shop.csv": (a_parquet_file(), r"a Parquet file\. Set source\.format"),
    "shop.pkl": (pickle.dumps(ROWS), "a Python pickle"),
    "shop.pdf": (b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
    "error.csv": (b"\n<!DOCTYPE html><html>Please log in", "an HTML page"),
    "pointer.csv": (b"version https://git-lfs.github.com/spec/v1\noid x\n", "git lfs pull"),
    "array.json": (b'[["user", "u1"]]', "a JSON array, and not of objects"),
    "document.json": (b'{\n "data": [\n {"user": "u1"}\n]}', "a JSON document"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_not_read_is_named(tmp_path: Path, name: str) -> None:
    content, told = REFUSED[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceRefused, match=told) as caught:
        rows_of(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(("unreadable_file: ", "empty_file: "))


def test_a_database_is_named(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "shop.csv")
    connection.execute("create table sale (user text)")
    connection.close()
    with pytest.raises(SourceRefused, match="an SQLite database"):
        rows_of(tmp_path / "shop.csv")


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_a_bomb_is_not_unpacked_to_its_end(
    tmp_path: Path, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "HARMLESS", 1 << 20)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(pack(TEXT + bytes(4 << 20)))
    with pytest.raises(SourceRefused, match="more than 100 times its size"):
        rows_of(path)


def test_what_is_packed_well_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv.gz"
    lines = TEXT[TEXT.index(b"\n") + 1 :]
    path.write_bytes(gzip.compress(TEXT + lines * 2_000))  # 1 : 150, of 0.3 MB
    assert len(rows_of(path)) == 2_001 * len(LINES)
