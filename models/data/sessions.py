"""Sessions: ordered lists of items, without a user. NumPy only."""

from dataclasses import dataclass

import numpy as np

from models.data.checks import Int64Array, check_all, check_array, check_offsets
from models.data.events import Events
from models.data.queries import Queries
from models.data.ragged import owners, picked


@dataclass(frozen=True, eq=False)
class Sessions:
    """S sessions, one after the other.

    Attributes:
        offsets: int64 [S + 1], from 0 to N: which items are of which session (`models.data.ragged`).
        item_keys: int64 [N], positive, oldest first within a session.
    """

    offsets: Int64Array
    item_keys: Int64Array

    def __post_init__(self) -> None:
        check_array("item_keys", self.item_keys, np.int64, 1)
        check_all("item_keys", self.item_keys > 0, self.item_keys, "positive")
        check_offsets(self.offsets, len(self.item_keys), "item_keys")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def of_item(self) -> Int64Array:
        """int64 [N]: the session of each item."""
        return owners(self.offsets)

    def keep_items(self, kept: np.ndarray, least: int = 1) -> "Sessions":
        """Without the items where `kept` (bool [N]) is false, and then without the sessions of
        fewer than `least` items."""
        count = np.bincount(self.of_item[kept], minlength=len(self))
        stays = count >= least
        offsets = np.concatenate([[0], np.cumsum(count[stays])]).astype(np.int64)
        return Sessions(offsets, self.item_keys[kept & stays[self.of_item]])

    def take(self, index: np.ndarray) -> "Sessions":
        """The sessions at `index` (integers or booleans), in this order."""
        offsets, places = picked(self.offsets, np.arange(len(self))[index])
        return Sessions(offsets, self.item_keys[places])

    def prefixes(self, length: int) -> tuple[Int64Array, Int64Array]:
        """Every item but the first of each session, and what was before it.

        Returns:
            history int64 [P, length] item keys, most recent first, padded with 0; and the item that
            came next, int64 [P].
        """
        place = np.arange(len(self.item_keys)) - self.offsets[self.of_item]
        targets = np.flatnonzero(place > 0)
        back = targets[:, None] - 1 - np.arange(length)[None, :]
        inside = np.arange(length)[None, :] < place[targets][:, None]
        history = np.where(inside, self.item_keys[np.maximum(back, 0)], 0)
        return history, self.item_keys[targets]


def queries_of(history: Int64Array) -> Queries:
    """Anonymous queries with these histories (int64 [B, H], most recent first)."""
    return Queries(
        np.zeros(len(history), np.int64), history, np.zeros((len(history), 0), np.float32)
    )


def sessions_of(events: Events) -> Sessions:
    """The sessions that the queries of these events are: events in order of query, then time. What was
    taken back, and so weighs nothing, is none of them; its session stays, and may be empty."""
    counted = events.weights > 0
    order = np.flatnonzero(counted)[np.argsort(events.query[counted], kind="stable")]
    counts = np.bincount(events.query[counted], minlength=len(events.user_keys))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Sessions(offsets, events.item_keys[order])
