"""What the feature store knew when a query was asked: the user's own items, the items' statistics.

The ranker's inputs, beside the ids, history and statistics that `models.arrays.Queries` always
carries. Neighbours: `recloop.features` builds these from Feast's rows; `models.ordering.candidates`
turns them into features. NumPy only.
"""

from dataclasses import dataclass

import numpy as np

from models.arrays import Float32Array, Int64Array, check_all, check_array, check_same_length
from models.lists import check_offsets, owners, picked
from models.sorted_keys import look_up

OWN_COLUMNS = ("purchases", "days", "first_age", "last_age", "decayed_28d", "decayed_112d")
"""Columns of `OwnItems.values`: events; distinct days with one; days from the first and from the
last event to the query; sum over the events of exp(-age in days / 28), and of exp(-age / 112)."""
TOTAL_COLUMNS = ("purchases", "days")
"""Columns of `OwnItems.totals`: the user's events, and distinct days with one, over all items."""


@dataclass(frozen=True, eq=False)
class OwnItems:
    """What each of B users had chosen before its query, item by item.

    Attributes:
        offsets: int64 [B + 1], from 0 to n: which items are of which query (`models.lists`).
        item_keys: int64 [n], positive; each at most once per query. Any order; a long list may be
            cut to the latest.
        values: float32 [n, 6], `OWN_COLUMNS`; finite, not negative, not on a log scale.
        totals: float32 [B, 2], `TOTAL_COLUMNS`; 0 for a user without events.
    """

    offsets: Int64Array
    item_keys: Int64Array
    values: Float32Array
    totals: Float32Array

    def __post_init__(self) -> None:
        check_array("item_keys", self.item_keys, np.int64, 1)
        check_array("values", self.values, np.float32, 2)
        check_array("totals", self.totals, np.float32, 2)
        check_same_length("values", self.values, len(self.item_keys), "item_keys")
        check_same_length("totals", self.totals, len(self), "offsets[1:]")
        for name, array, columns in (
            ("values", self.values, OWN_COLUMNS),
            ("totals", self.totals, TOTAL_COLUMNS),
        ):
            if array.shape[1] != len(columns):
                raise ValueError(
                    f"`{name}` should have the columns {', '.join(columns)}. "
                    f"Received: shape {array.shape}."
                )
            fine = np.isfinite(array) & (array >= 0)
            check_all(name, fine, array, "finite and not negative")
        check_all("item_keys", self.item_keys > 0, self.item_keys, "positive")
        check_offsets(self.offsets, len(self.item_keys), "item_keys")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def none(cls, queries: int) -> "OwnItems":
        """Users of whom nothing is known."""
        return cls(
            np.zeros(queries + 1, np.int64),
            np.zeros(0, np.int64),
            np.zeros((0, len(OWN_COLUMNS)), np.float32),
            np.zeros((queries, len(TOTAL_COLUMNS)), np.float32),
        )

    def owners(self) -> Int64Array:
        """The query of each item: int64 [n]."""
        return owners(self.offsets)

    def holds(self, query: np.ndarray, item_keys: Int64Array) -> np.ndarray:
        """Which pairs of a query and an item are known: bool [N], of integers [N] and [N]."""
        if not len(self.item_keys) or not len(item_keys):
            return np.zeros(len(item_keys), bool)
        largest = max(int(self.item_keys.max()), int(item_keys.max())) + 1
        # Keys beyond what a pair's code could hold are numbered anew.
        mine, asked = self.item_keys, item_keys
        if largest * len(self) >= 2**62:
            _, codes = np.unique(np.concatenate([mine, asked]), return_inverse=True)
            mine, asked, largest = codes[: len(mine)], codes[len(mine) :], len(codes)
        query = np.asarray(query, np.int64)
        return np.isin(query * largest + asked, self.owners() * largest + mine)

    def take(self, index: np.ndarray | slice) -> "OwnItems":
        """The queries at `index` (integers, booleans or a slice)."""
        chosen = np.arange(len(self))[index]
        offsets, places = picked(self.offsets, chosen)
        return OwnItems(offsets, self.item_keys[places], self.values[places], self.totals[chosen])


@dataclass(frozen=True, eq=False)
class ItemStatistics:
    """Statistics of C items at T moments, shared by the queries of a training set.

    Attributes:
        item_keys: int64 [C], ascending, positive; an item that isn't here has zeros.
        values: float32 [T, C, S], already on a log scale (log1p) and finite.
    """

    item_keys: Int64Array
    values: Float32Array

    def __post_init__(self) -> None:
        check_array("item_keys", self.item_keys, np.int64, 1)
        check_array("values", self.values, np.float32, 3)
        if self.values.shape[1] != len(self.item_keys) or not self.values.shape[2]:
            raise ValueError(
                f"`values` should be [moments, {len(self.item_keys)} items, at least 1 statistic]. "
                f"Received: shape {self.values.shape}."
            )
        if (self.item_keys <= 0).any() or (np.diff(self.item_keys) <= 0).any():
            raise ValueError(
                "`item_keys` should be positive, ascending and unique. Sort them (and the columns "
                "of `values`) with np.unique(..., return_index=True)."
            )
        check_all("values", np.isfinite(self.values), self.values, "finite (no NaN, no inf)")

    @property
    def moments(self) -> int:
        return len(self.values)

    def of(self, item_keys: Int64Array) -> Float32Array:
        """Their statistics at every moment: float32 [T, M, S]; zeros for items that aren't here."""
        known, at = look_up(self.item_keys, item_keys)
        values = np.zeros((self.moments, len(item_keys), self.values.shape[2]), np.float32)
        values[:, known] = self.values[:, at[known]]
        return values
