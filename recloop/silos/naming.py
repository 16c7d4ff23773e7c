"""The same items under two databases' keys.

Each database counts its own keys, so that silos agree on items by their *ids*, which are the shops'
(`behavior.item.item_id`). An item that the offer doesn't know gets a key beyond all of the offer's: the
silo learns it for itself, and it never leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from psycopg2.extensions import cursor as Cursor

from models.ordering.point_in_time import ItemStatistics, OwnItems
from models.sorted_keys import look_up
from recloop.features.examples import Examples

LOCAL = 1 << 40
"""Keys from here on are a silo's own. A database that counted so far has other problems."""


def item_ids(cursor: Cursor, keys: np.ndarray) -> dict[int, str]:
    """Ids of items by this database's keys."""
    cursor.execute(
        "select item_key, item_id from behavior.item where item_key = any(%s)", (keys.tolist(),)
    )
    return dict(cursor.fetchall())


def renaming(cursor: Cursor, offered: Mapping[str, int]) -> dict[int, int]:
    """This database's keys to those of the offer (id → key), for every item."""
    cursor.execute("select item_key, item_id from behavior.item")
    return {key: offered.get(item_id, LOCAL + key) for key, item_id in cursor.fetchall()}


def renamed(examples: Examples, names: Mapping[int, int]) -> Examples:
    """The same examples with the other keys of items."""
    old = np.fromiter(sorted(names), np.int64, len(names))
    new = np.array([names[key] for key in old.tolist()], np.int64)

    def of(keys: np.ndarray) -> np.ndarray:
        found = np.concatenate([np.zeros(1, np.int64), new])
        known, place = look_up(old, keys)
        return found[np.where(known, place + 1, 0)]

    catalogue = of(examples.catalogue)
    order = np.argsort(catalogue, kind="stable")
    items = of(examples.items.item_keys)
    columns = np.argsort(items, kind="stable")
    own = examples.own
    return replace(
        examples,
        history=of(examples.history),
        item_keys=of(examples.item_keys),
        catalogue=catalogue[order],
        words=examples.words[order],
        own=OwnItems(own.offsets, of(own.item_keys), own.values, own.totals),
        items=ItemStatistics(items[columns], examples.items.values[:, columns]),
    )
