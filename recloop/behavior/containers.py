"""What a file is by its first bytes, and the bytes inside it when it is packed.

Belongs here: gzip and Zstandard, which are read as if they were unpacked; the name and the remedy of
whatever else people put where text belongs. Keep out: what the text says (see `records.py`,
`json_lines.py`).

A file's name says nothing here: `shop.csv` may be packed, and `shop.csv.gz` may not.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recloop.behavior.source_files import in_short, refusal, written_out

HEAD = 512
BLOCK = 1 << 18
MOST_TIMES = 100
"""Behavior is packed to a third or a tenth, bombs to a thousandth and less."""
HARMLESS = 64 << 20
"""Unpacked bytes that are no bomb, whatever they were packed to."""

GZIP = re.compile(rb"\x1f\x8b\x08")
ZSTANDARD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # the latter: frames to skip

UNPACK = "Unpack it"
AS_TEXT = "Write it as CSV, JSON lines or Parquet"
UNREAD = (
    (rb"PAR1[\x00-\x1f]", "a Parquet file", "Set source.format = 'parquet' in the dataset file"),
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "a ZIP archive", UNPACK),
    (rb".{257}ustar", "a tar archive", UNPACK),
    (rb"BZh[1-9]1AY&SY", "packed by bzip2", "Unpack it, or pack it by gzip or zstd"),
    (rb"\xfd7zXZ\x00", "packed by xz", "Unpack it, or pack it by gzip or zstd"),
    (rb"\x04\x22\x4d\x18", "packed by lz4", "Unpack it, or pack it by gzip or zstd"),
    (rb"\xff\x06\x00\x00sNaPpY", "packed by snappy", "Unpack it, or pack it by gzip or zstd"),
    (rb"\x1f\x9d", "packed by compress", "Unpack it, or pack it by gzip or zstd"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)", "Save it as CSV"),
    (rb"ARROW1\x00\x00", "an Arrow (Feather) file", "Write it as Parquet"),
    (rb"ORC[^\n]*\x00", "an ORC file", "Write it as Parquet"),
    (rb"Obj\x01", "an Avro file", "Write it as Parquet"),
    (rb"SQLite format 3\x00", "an SQLite database", "Export the table as CSV"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", AS_TEXT),
    (rb"\x93NUMPY", "a NumPy array", AS_TEXT),
    (rb"\x80[\x02-\x05]", "a Python pickle, which could run code", AS_TEXT),
    (rb"RD[AX][23]\n", "an R data file", AS_TEXT),
    (rb"%PDF-", "a PDF", "Export the table as CSV"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a", "an image", "Export the table as CSV"),
    (rb"\x7fELF", "a program", AS_TEXT),
    (rb"version https://git-lfs", "a Git LFS pointer, not the file", "Run `git lfs pull`"),
    (rb"(?i:\s*<(!doctype html|html))", "an HTML page, perhaps an error of the server", AS_TEXT),
    (rb"\s*<\?xml", "an XML document", AS_TEXT),
)  # fmt: skip


@dataclass
class Opened:
    """A text file that is being read."""

    stream: io.BufferedReader
    """Its bytes, unpacked."""
    start: bytes
    """The first of them, at most `HEAD`."""
    position: Callable[[], int]
    """How many bytes of the file itself were read."""


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a file for reading as text.

    Raises:
        SourceRefused: `empty_file`, or `unreadable_file`: it is something else than text, or what it is
            packed in is damaged, cut short or a bomb. The latter may come while it is read.
    """
    with path.open("rb") as raw:
        start = raw.read(HEAD)
        raw.seek(0)
        packing = packing_of(start)
        stream = raw
        if packing:
            stream = io.BufferedReader(_Unpacked(path, raw, packing), BLOCK)
            start = stream.peek(HEAD)[:HEAD]
            if packing_of(start):
                raise refusal("unreadable_file", path, f"it is packed twice. {UNPACK} once")
        if not start:
            inside = " when it is unpacked" if packing else ""
            raise refusal("empty_file", path, f"it has 0 bytes{inside}. Deliver the file again")
        found = unread_kind(path, start, packed=bool(packing))
        if found:
            inside = f" packed by {packing}" if packing else ""
            raise refusal("unreadable_file", path, f"it is {found[0]}{inside}. {found[1]}")
        yield Opened(stream, start, raw.tell)


def packing_of(start: bytes) -> str | None:
    """By what a file with these first bytes is packed, of the ways that are read."""
    if GZIP.match(start):
        return "gzip"
    return "Zstandard" if ZSTANDARD.match(start) else None


def unread_kind(path: Path, start: bytes, packed: bool = False) -> tuple[str, str] | None:
    """(What it is, remedy) of a file that is not read as text; None for what may be text."""
    for pattern, what, remedy in UNREAD:
        if re.match(pattern, start, re.DOTALL):
            return _of_zip(path) if what == "a ZIP archive" and not packed else (what, remedy)
    return None


def _of_zip(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a ZIP archive, and damaged", "Deliver it unpacked"
    if "xl/workbook.xml" in names or "xl/workbook.bin" in names:
        return "an Excel workbook", "Save it as CSV (UTF-8)"
    if "mimetype" in names and "content.xml" in names:
        return "an OpenDocument file", "Save it as CSV (UTF-8)"
    files = [written_out(name) for name in names if not name.endswith("/")]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"a ZIP archive that holds {files[0] + more if files else 'nothing'}", UNPACK


class _Unpacked(io.RawIOBase):
    """The bytes that are packed in a file; what is wrong with them is a refusal of the file."""

    def __init__(self, path: Path, raw: io.BufferedReader, packing: str) -> None:
        self._path, self._raw, self._packing = path, raw, packing
        self._given = 0
        self._source: Any = gzip.GzipFile(fileobj=raw)
        if packing == "Zstandard":
            import pyarrow

            self._source = pyarrow.CompressedInputStream(raw, "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, unless the end comes first."""
        view, filled = memoryview(buffer).cast("B"), 0
        while filled < len(view):
            try:
                data = self._source.read(len(view) - filled)
            except (EOFError, zlib.error, OSError) as error:
                what = f"it was packed by {self._packing} and is cut short or damaged"
                problem = f"{what} ({in_short(error)}). Deliver the file again"
                raise refusal("unreadable_file", self._path, problem) from error
            if not data:
                break
            view[filled : filled + len(data)] = data
            filled += len(data)
        self._given += filled
        if self._given > max(HARMLESS, MOST_TIMES * self._raw.tell()):
            problem = f"it unpacks to more than {MOST_TIMES} times its size, as no behavior does"
            raise refusal(
                "unreadable_file", self._path, f"{problem}. Unpack it yourself if it is right"
            )
        return filled
