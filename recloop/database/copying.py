"""Rows in bulk: of a query into arrays, and of an Arrow table into a table of the database.

Rows of one width are met as they lie on the wire (`copy … (format binary)`): no Python object is made of
any number. Keep out: which rows.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from recloop.database.connection import NULL, Cursor, Parameters

if TYPE_CHECKING:
    import pyarrow as pa

HEADER = 19
"""Bytes before the first row: a signature of 11, flags, and the length of no extension."""
TRAILER = 2
KINDS = {"int8": ">i8", "float8": ">f8", "int4": ">i4"}


def binary_rows(cursor: Cursor, query: str, parameters: Parameters = None) -> bytes:
    """What `copy (query) to stdout (format binary)` says between header and trailer."""
    text = cursor.mogrify(query, parameters).decode()
    buffer = io.BytesIO()
    cursor.copy_expert(f"copy ({text}) to stdout (format binary)", buffer)
    return buffer.getvalue()[HEADER:-TRAILER]


def columns_of(
    cursor: Cursor, query: str, kinds: Sequence[str], parameters: Parameters = None
) -> list[np.ndarray]:
    """The columns of a query, none of which may be null: int64 and float64 arrays.

    Args:
        kinds: `int8`, `int4` or `float8` of each, as the query casts them.
    """
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for place, kind in enumerate(kinds):
        fields += [(f"length_{place}", ">i4"), (f"value_{place}", KINDS[kind])]
    rows = np.frombuffer(binary_rows(cursor, query, parameters), np.dtype(fields))
    wide = {"float8": np.float64}
    return [
        rows[f"value_{place}"].astype(wide.get(kind, np.int64)) for place, kind in enumerate(kinds)
    ]


def copy_table(cursor: Cursor, name: str, table: pa.Table) -> None:
    """Append the rows of an Arrow table to a table of the database, by the names of the columns."""
    from pyarrow import csv

    buffer = io.BytesIO()
    csv.write_csv(table, buffer, csv.WriteOptions(include_header=False, quoting_style="needed"))
    buffer.seek(0)
    columns = ", ".join(table.column_names)
    cursor.copy_expert(
        f"copy {name} ({columns}) from stdin with (format csv, null '{NULL}')", buffer, 1 << 20
    )
