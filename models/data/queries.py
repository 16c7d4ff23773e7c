"""What goes into a model, as frozen dataclasses of NumPy arrays that check themselves.

    Queries                    who asks: user, history, statistics; and, for a ranker,
    OwnItems, ItemStatistics   what the feature store knew then of the user's own items and of all items
    Interactions               which items were chosen
    Items                      the items' words

Where events are of several kinds (click, cart, purchase), K of them, own items, totals and items'
statistics are counted by kind, too: in their last K columns. K is 0 where all events are of one kind.

Keys are the positive int64 ids that the database gives. Rows are the model's own business
(`models.tables.vocabulary`). `recloop.features` builds all of them from Feast's rows.
"""

from dataclasses import dataclass, replace

import numpy as np

from models.data.checks import (
    Float32Array,
    Int32Array,
    Int64Array,
    check_all,
    check_amounts,
    check_array,
    check_arrays,
    check_finite,
    check_least,
    check_offsets,
    check_same_length,
)
from models.data.ragged import look_up, owners, picked

OWN_COLUMNS = ("purchases", "days", "first_age", "last_age", "decayed_28d", "decayed_112d")
"""Columns of `OwnItems.values`: events; distinct days with one; days from the first and from the
last event to the query; sum over the events of exp(-age in days / 28), and of exp(-age / 112)."""
AT_ONCE = 1_000_000
"""Own items that are looked up at a time."""
TOTAL_COLUMNS = ("purchases", "days")
"""Columns of `OwnItems.totals`: the user's events, and distinct days with one, over all items."""


@dataclass(frozen=True, eq=False)
class OwnItems:
    """What each of B users had chosen before its query, item by item.

    Attributes:
        offsets: int64 [B + 1], from 0 to n: which items are of which query (`models.data.ragged`).
        item_keys: int64 [n], positive; each at most once per query. Any order; a long list may be
            cut to the latest.
        values: float32 [n, 6 + K], `OWN_COLUMNS`, then events of each kind; finite, not negative, not
            on a log scale.
        totals: float32 [B, 2 + K], `TOTAL_COLUMNS`, then events of each kind; 0 for a user without
            events.
    """

    offsets: Int64Array
    item_keys: Int64Array
    values: Float32Array
    totals: Float32Array

    def __post_init__(self) -> None:
        check_arrays(self, item_keys=(np.int64, 1), values=(np.float32, 2))
        check_array("totals", self.totals, np.float32, 2)
        check_same_length("totals", self.totals, len(self), "offsets[1:]")
        for name, array, columns in (
            ("values", self.values, OWN_COLUMNS),
            ("totals", self.totals, TOTAL_COLUMNS),
        ):
            if self.kinds < 0 or array.shape[1] != len(columns) + self.kinds:
                raise ValueError(
                    f"`{name}` should have the columns {', '.join(columns)}, and one for each kind of "
                    f"events that `values` counts. Received: shape {array.shape}."
                )
            check_amounts(name, array)
        check_least("item_keys", self.item_keys, 1, "positive")
        check_offsets(self.offsets, len(self.item_keys), "item_keys")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def kinds(self) -> int:
        """K: how many kinds of events are counted apart."""
        return self.values.shape[1] - len(OWN_COLUMNS)

    @classmethod
    def none(cls, queries: int, kinds: int = 0) -> "OwnItems":
        """Users of whom nothing is known."""
        return cls(
            np.zeros(queries + 1, np.int64),
            np.zeros(0, np.int64),
            np.zeros((0, len(OWN_COLUMNS) + kinds), np.float32),
            np.zeros((queries, len(TOTAL_COLUMNS) + kinds), np.float32),
        )

    def with_kinds(self, kinds: int) -> "OwnItems":
        """The same with so many kinds: see `Queries.with_kinds`."""
        if kinds == self.kinds:
            return self
        values = _wide(self.values, len(OWN_COLUMNS) + kinds)
        return OwnItems(
            self.offsets, self.item_keys, values, _wide(self.totals, len(TOTAL_COLUMNS) + kinds)
        )

    def owners(self) -> Int64Array:
        """The query of each item: int64 [n]."""
        return owners(self.offsets)

    def holds(self, query: np.ndarray, item_keys: Int64Array) -> np.ndarray:
        """Which pairs of a query and an item are known: bool [N], of integers [N] and [N]."""
        # Pairs that are asked for are sorted, not all that are known: those are many times more.
        names, place = np.unique(item_keys, return_inverse=True)
        asked, pair = np.unique(
            np.asarray(query, np.int64) * len(names) + place, return_inverse=True
        )
        held = np.zeros(len(asked), bool)
        owner = self.owners()
        for low in range(0, len(owner) if len(names) else 0, AT_ONCE):
            part = slice(low, low + AT_ONCE)
            known, at = look_up(names, self.item_keys[part])
            there, where = look_up(asked, owner[part][known] * len(names) + at[known])
            held[where[there]] = True
        return held[pair]

    def take(self, index: np.ndarray | slice) -> "OwnItems":
        """The queries at `index` (integers, booleans or a slice); of a slice without steps a view."""
        if isinstance(index, slice) and index.step in (None, 1):
            low, high, _ = index.indices(len(self))
            ends = self.offsets[low : max(low, high) + 1]
            inside = slice(ends[0], ends[-1])
            return OwnItems(
                ends - ends[0], self.item_keys[inside], self.values[inside], self.totals[index]
            )
        chosen = np.arange(len(self))[index]
        offsets, places = picked(self.offsets, chosen)
        return OwnItems(offsets, self.item_keys[places], self.values[places], self.totals[chosen])


@dataclass(frozen=True, eq=False)
class ItemStatistics:
    """Statistics of C items at T moments, shared by the queries of a training set.

    Attributes:
        item_keys: int64 [C], ascending, positive; an item that isn't here has zeros.
        values: float32 [T, C, S], already on a log scale (log1p) and finite.
        kinds: K, how many of the S are events of each kind: the last ones.
    """

    item_keys: Int64Array
    values: Float32Array
    kinds: int = 0

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
        check_finite("values", self.values)

    @property
    def moments(self) -> int:
        return len(self.values)

    def with_kinds(self, kinds: int) -> "ItemStatistics":
        """The same with so many kinds: see `Queries.with_kinds`."""
        if kinds == self.kinds:
            return self
        width = self.values.shape[2] - self.kinds + kinds
        return ItemStatistics(self.item_keys, _wide(self.values, width), kinds)

    def of(self, item_keys: Int64Array) -> Float32Array:
        """Their statistics at every moment: float32 [T, M, S]; zeros for items that aren't here."""
        known, at = look_up(self.item_keys, item_keys)
        values = np.zeros((self.moments, len(item_keys), self.values.shape[2]), np.float32)
        values[:, known] = self.values[:, at[known]]
        return values


@dataclass(frozen=True, eq=False)
class Queries:
    """Who is asking, and what was known of them then.

    Attributes:
        user_keys: int64 [B], positive; 0 is an anonymous user.
        history: int64 [B, H] item keys, most recent first, padded with 0. Only what happened
            before the query.
        statistics: float32 [B, S], already on a log scale (log1p) and finite. S may be 0.
        own: what each of the B users had chosen before; None: not known. The ranker needs it,
            retrieval doesn't.
        items: the items' statistics at some moments, shared by the queries; None: not known.
        moments: int32 [B], which moment of `items` each query sees; None: the first.
        days: float64 [B], when each was asked, in days since 1970-01-01; None: not known.
    """

    user_keys: Int64Array
    history: Int64Array
    statistics: Float32Array
    own: "OwnItems | None" = None
    items: "ItemStatistics | None" = None
    moments: Int32Array | None = None
    days: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_arrays(
            self, user_keys=(np.int64, 1), history=(np.int64, 2), statistics=(np.float32, 2)
        )
        check_all(
            "user_keys", self.user_keys >= 0, self.user_keys, "positive (0 is an anonymous user)"
        )
        check_least("history", self.history, 0, "positive item keys or 0 (padding)")
        check_finite("statistics", self.statistics)
        if self.own is not None:
            check_same_length("own", self.own, len(self), "user_keys")
        if self.moments is not None:
            check_array("moments", self.moments, np.int32, 1)
            check_same_length("moments", self.moments, len(self), "user_keys")
            known = self.items.moments if self.items is not None else 0
            check_all(
                "moments",
                (self.moments >= 0) & (self.moments < known),
                self.moments,
                f"in [0, {known}), the moments of `items`",
            )
        if self.days is not None:
            check_array("days", self.days, np.float64, 1)
            check_same_length("days", self.days, len(self), "user_keys")
            check_finite("days", self.days)

    def __len__(self) -> int:
        return len(self.user_keys)

    def latest(self, width: int) -> Int64Array:
        """The history as int64 [B, width]: cut, or padded with 0."""
        latest = np.zeros((len(self), width), np.int64)
        kept = self.history[:, :width]
        latest[:, : kept.shape[1]] = kept
        return latest

    def with_kinds(self, kinds: int) -> "Queries":
        """The same with events of so many kinds counted apart, as a model takes them that was made
        before, or that is asked with what was written before: further columns are left out, and those
        that are missing are 0. Where own items are counted so, a user without any has none."""
        own = self.own if self.own is not None or not kinds else OwnItems.none(len(self), kinds)
        own = None if own is None else own.with_kinds(kinds)
        items = None if self.items is None else self.items.with_kinds(kinds)
        return (
            self if own is self.own and items is self.items else replace(self, own=own, items=items)
        )

    def take(self, index: np.ndarray | slice) -> "Queries":
        """The queries at `index` (integers, booleans or a slice)."""
        return Queries(
            self.user_keys[index],
            self.history[index],
            self.statistics[index],
            None if self.own is None else self.own.take(index),
            self.items,
            None if self.moments is None else self.moments[index],
            None if self.days is None else self.days[index],
        )


@dataclass(frozen=True, eq=False)
class Interactions:
    """What was chosen: one row per event, pointing into a `Queries`.

    Attributes:
        query: int32 [N], index into the queries; the caller's upper bound is checked by `fit`.
        item_keys: int64 [N], positive.
        weights: float32 [N], finite and not negative; 1 is an ordinary event.
    """

    query: Int32Array
    item_keys: Int64Array
    weights: Float32Array

    def __post_init__(self) -> None:
        check_arrays(self, query=(np.int32, 1), item_keys=(np.int64, 1), weights=(np.float32, 1))
        check_least("query", self.query, 0, "an index, 0 or more")
        check_least("item_keys", self.item_keys, 1, "positive")
        check_amounts("weights", self.weights)

    def __len__(self) -> int:
        return len(self.query)


@dataclass(frozen=True, eq=False)
class Items:
    """Items and their content.

    Attributes:
        item_keys: int64 [M], positive and unique.
        words: int32 [M, W], hashed ids of description words in [1, word_buckets), padded with 0;
            a row of zeros is an item without text. The upper bound is checked by `add_ids`.
    """

    item_keys: Int64Array
    words: Int32Array

    def __post_init__(self) -> None:
        check_arrays(self, item_keys=(np.int64, 1), words=(np.int32, 2))
        check_all("item_keys", self.item_keys > 0, self.item_keys, "positive")
        check_all("words", self.words >= 0, self.words, "a word id, or 0 (padding)")
        keys, counts = np.unique(self.item_keys, return_counts=True)
        if (counts > 1).any():
            raise ValueError(
                f"`item_keys` should be unique. Received: {keys[counts > 1][0]} "
                f"{counts.max()} times. Keep one row per item."
            )

    def __len__(self) -> int:
        return len(self.item_keys)


def _wide(columns: Float32Array, width: int) -> Float32Array:
    """The first `width` of the last axis; zeros where there are fewer."""
    found = np.zeros((*columns.shape[:-1], width), np.float32)
    kept = min(width, columns.shape[-1])
    found[..., :kept] = columns[..., :kept]
    return found
