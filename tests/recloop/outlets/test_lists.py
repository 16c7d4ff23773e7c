"""Lists become rows and are read back from them."""

from __future__ import annotations

import numpy as np
import pytest

from recloop.database.connection import Cursor
from recloop.outlets.lists import Catalogue, Lists, lists_of, rows_of, similar_rows_of


@pytest.fixture
def catalogue(cursor: Cursor) -> Catalogue:
    """Items x, y, z have the keys 1, 2, 3."""
    for item in "xyz":
        cursor.execute(
            "insert into behavior.item (item_id, first_seen) values (%s, now())", (item,)
        )
    return Catalogue(cursor)


def lists() -> Lists:
    return Lists(
        ["ann", "bob", "cid"],
        np.array([[3, 1], [0, 0], [2, 0]]),
        np.array([[0.5, 0.25], [-np.inf, -np.inf], [-1, -np.inf]], np.float32),
        np.array([[1, 4], [0, 0], [2, 0]], np.uint8),
    )


def test_each_item_of_each_list_is_a_row(catalogue: Catalogue) -> None:
    made = lists()
    assert [tuple(row.values()) for row in rows_of(made, catalogue).to_pylist()] == [
        ("ann", 1, "z", 0.5, "own"),
        ("ann", 2, "x", 0.25, "retrieval"),
        ("cid", 1, "y", -1.0, "together"),
    ]
    assert made.rows == 3
    assert similar_rows_of(made, catalogue).to_pylist()[0] == {
        "item_id": "ann", "rank": 1, "similar_item_id": "z", "score": 0.5,
    }  # fmt: skip


def test_lists_are_read_back_from_their_rows_in_any_order(catalogue: Catalogue) -> None:
    rows = [tuple(row.values()) for row in rows_of(lists(), catalogue).to_pylist()]
    found = lists_of(rows[::-1], catalogue, 2)
    assert found.names == ["ann", "cid"]
    assert found.digest() == lists().digest() != lists().digest("similar to ")
