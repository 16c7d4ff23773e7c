"""Rows in bulk, there and back, whatever they hold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from recloop.database.connection import Cursor
from recloop.database.copying import columns_of, copy_table

TEXTS = ["", "a,b", 'a"b', "\\N", "two\nlines", "é", "{{ x }}"]


def test_columns_are_those_of_the_query(cursor: Cursor) -> None:
    whole, small, part = columns_of(
        cursor,
        "select * from (values (%(big)s::int8, 7::int4, .1::float8), (-1, 2, 'nan')) as rows",
        ("int8", "int4", "float8"),
        {"big": 2**40},
    )
    assert whole.tolist() == [2**40, -1]
    assert small.tolist() == [7, 2]
    assert part[0] == 0.1
    assert np.isnan(part[1])
    (none,) = columns_of(cursor, "select 1::int8 where false", ("int8",))
    assert none.tolist() == []


def test_a_table_is_appended_as_it_is(cursor: Cursor) -> None:
    cursor.execute("create temporary table given (number smallint, text text, score real)")
    scores = np.array([0.1, 1e-30, -3.25, 1 / 3, 16777217, 5, 6], np.float32)
    table = pa.table({"text": TEXTS, "score": scores, "number": np.arange(7, dtype=np.int16)})
    copy_table(cursor, "given", table)
    cursor.execute("select number, text, score from given order by 1")
    rows = cursor.fetchall()
    assert [row[1] for row in rows] == TEXTS
    assert np.array_equal(np.array([row[2] for row in rows], np.float32), scores)
