"""The demonstration's EASE: what it takes for a purchase, and whom it ranks what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from recloop.config.learnable import Meaning
from recloop.database.schema import ensure_event_partitions
from recloop.demo.rival import by_ease, purchases

NOW, WEEK = datetime(2011, 6, 6, tzinfo=UTC), timedelta(days=7)
EVENTS = [  # user, item, weeks ago, type
    (1, 10, 4, "purchase"), (1, 10, 2, "purchase"), (1, 11, 1, "purchase"),
    (2, 10, 3, "cancel"), (2, 11, 0, "purchase"),
]  # fmt: skip


def test_of_purchases_of_one_item_the_youngest_counts_alone(cursor) -> None:
    ensure_event_partitions(cursor, NOW - 5 * WEEK, NOW + WEEK)
    cursor.executemany(
        "insert into behavior.event (user_key, item_key, event_timestamp, event_type, event_id, "
        "window_key, file_id, line_no) values (%s, %s, %s, %s, gen_random_uuid(), 'w', 1, 1)",
        [(user, item, NOW - weeks * WEEK, kind) for user, item, weeks, kind in EVENTS],
    )
    users, items, weeks = purchases(cursor, NOW, Meaning())
    # The cancelled order is no purchase, and what happens at the moment itself is not before it.
    assert (users.tolist(), items.tolist()) == ([1, 1], [10, 11])
    assert weeks == pytest.approx([2, 1])


def test_ease_ranks_as_ridge_regressions_do_and_leaves_out_what_it_is_told_to() -> None:
    # Items 10 and 11 go together, 12 is bought alone; ages are 0, so that X is 0 or 1.
    bought = [(1, 10), (1, 11), (2, 10), (2, 11), (3, 12), (4, 10)]
    users, items = (np.array(column) for column in zip(*bought, strict=True))
    rank = by_ease((users, items, np.zeros(len(bought))))
    asked = SimpleNamespace(
        queries=SimpleNamespace(user_keys=np.array([4, 9])), catalogue=np.array([10, 11, 13])
    )
    heldout = type("HeldOut", (), {**vars(asked), "__len__": lambda self: 2})()
    # User 4 has item 10: by the regression on it, 11 scores 2 / (3 + 300) and 10 itself nothing.
    # Item 12 is no candidate; user 9 has bought nothing, so that all is equal.
    assert rank(heldout, 3, None).tolist() == [[11, 10, 0], [10, 11, 0]]
    known = (np.array([0, 1, 2]), np.array([11, 99]))
    assert rank(heldout, 3, known).tolist() == [[10, 0, 0], [10, 11, 0]]
