"""Vocabulary: int64 keys <-> rows of a table. NumPy only.

Row 0 is reserved for what isn't known, so the n-th key that was learned has row n. New keys never
move a row; only `keep` does, when ids expire, and everything keyed moves with it
(`models.ids.admission`). What outlives an update (histories, memories, features) therefore holds keys.
The graph only ever sees rows (rejected: `tf.keras.layers.IntegerLookup`, whose building alone costs
more than an update at 10^6 keys, and which can't be extended in place).

A key is found by address where keys are dense, by binary search elsewhere. Database keys count up
from 1, and for them one look-up is one read. Measured at 10^6 keys: 20,000 random look-ups take .4 ms
by address and 4 ms by search, a tenth of an update of 10,000 events.
"""

import numpy as np

from models.data.checks import Int64Array
from models.data.ragged import look_up

UNKNOWN_ROW = 0


class Vocabulary:
    """Keys in the order in which they were learned.

    >>> items = Vocabulary()
    >>> items.extend(np.array([70, 20, 70]))
    array([70, 20])
    >>> items.rows(np.array([20, 99, 70]))
    array([2, 0, 1])
    >>> len(items)
    2
    >>> items.keep(np.array([2]))
    >>> items.rows(np.array([20, 99, 70]))
    array([1, 0, 0])
    """

    def __init__(self, keys: Int64Array | None = None) -> None:
        """Starts with these keys, in this order (int64 [n], positive, unique).

        Raises:
            ValueError: a key isn't positive, or appears twice.
        """
        self._keys: Int64Array = np.zeros(0, np.int64)
        self._index = index_of(self._keys)
        if keys is not None:
            keys = np.asarray(keys, np.int64)
            if len(self.extend(keys)) != len(keys):
                raise ValueError(
                    f"`keys` should be unique. Received: {len(keys) - len(self)} repeated "
                    "key(s). A saved vocabulary never repeats a key: restore another copy."
                )

    def __len__(self) -> int:
        """Number of keys known; the table beside it has one row more."""
        return len(self._keys)

    @property
    def keys(self) -> Int64Array:
        """int64 [n], read-only; `keys[i]` has row `i + 1`."""
        view = self._keys.view()
        view.flags.writeable = False
        return view

    def rows(self, keys: Int64Array) -> Int64Array:
        """Rows of `keys` (int64, any shape); 0 where a key is unknown, or is 0."""
        return self._index.find(np.asarray(keys, np.int64))

    def keys_of(self, rows: Int64Array) -> Int64Array:
        """Keys of `rows` (int64, any shape, in [0, n]); 0 for row 0.

        Raises:
            IndexError: a row is beyond the vocabulary.
        """
        return np.concatenate([np.zeros(1, np.int64), self._keys])[np.asarray(rows, np.int64)]

    def extend(self, keys: Int64Array) -> Int64Array:
        """Appends the keys that are new, in the order of their first appearance; returns them.

        Args:
            keys: int64 [m], positive, known ones and repeats allowed.

        Raises:
            ValueError: a key is 0 or negative.
        """
        keys = np.asarray(keys, np.int64).ravel()
        if (keys <= 0).any():
            raise ValueError(
                f"`keys` should be positive. Received: {keys[keys <= 0][0]}. "
                "0 means unknown and has no row of its own: leave it out."
            )
        unseen = keys[self.rows(keys) == UNKNOWN_ROW]
        _, first = np.unique(unseen, return_index=True)
        new = unseen[np.sort(first)]
        if len(new):
            self._keys = np.concatenate([self._keys, new])
            dense = suits(int(new.max()), len(self))
            if isinstance(self._index, Addresses) and not dense:
                self._index = index_of(self._keys)
            else:
                self._index.add(new, len(self) - len(new) + 1)
        return new

    def keep(self, rows: Int64Array) -> None:
        """Keeps only the keys of these rows, which become rows 1, 2, … in the order given.

        Args:
            rows: int64 [m], distinct, in [1, n].

        Raises:
            ValueError: a row repeats, or isn't a key's. Nothing has changed.
        """
        rows = np.asarray(rows, np.int64)
        beyond = (rows < 1).any() or rows.max(initial=0) > len(self)
        if beyond or (np.bincount(rows) > 1).any():
            raise ValueError(
                f"`rows` should be distinct and in [1, {len(self)}]. Received: {rows}. "
                "Row 0 is always kept: leave it out."
            )
        self._keys = self._keys[rows - 1]
        self._index = index_of(self._keys)


SPARSEST, SPARE = 8, 1024
"""By address as long as the largest key is at most SPARSEST * (number of keys) + SPARE: at the most
64 bytes of index per key."""


class Addresses:
    """rows[key] is the key's row, or 0. Growth is amortised: memory doubles, so it rarely moves."""

    def __init__(self) -> None:
        self._rows: Int64Array = np.zeros(SPARE, np.int64)

    def find(self, keys: Int64Array) -> Int64Array:
        """Rows of int64 keys of any shape; 0 where there is none."""
        there = (keys >= 0) & (keys < len(self._rows))
        return self._rows[np.where(there, keys, 0)]

    def add(self, keys: Int64Array, first: int) -> None:
        """Gives unknown, positive keys the rows from `first` on."""
        largest = int(keys.max(initial=0))
        if largest >= len(self._rows):
            wider = np.zeros(max(largest + 1, 2 * len(self._rows)), np.int64)
            wider[: len(self._rows)] = self._rows
            self._rows = wider
        self._rows[keys] = np.arange(first, first + len(keys))


class Sorted:
    """Keys in order, each with its row."""

    def __init__(self) -> None:
        self._keys: Int64Array = np.zeros(0, np.int64)
        self._rows: Int64Array = np.zeros(0, np.int64)

    def find(self, keys: Int64Array) -> Int64Array:
        """Rows of int64 keys of any shape; 0 where there is none."""
        known, at = look_up(self._keys, keys)
        rows = np.zeros(keys.shape, np.int64)
        rows[known] = self._rows[at[known]]
        return rows

    def add(self, keys: Int64Array, first: int) -> None:
        """Gives unknown keys the rows from `first` on.

        Merged, not sorted anew: at 10^6 keys that is most of the cost of a small growth.
        """
        order = np.argsort(keys, kind="stable")
        at = np.searchsorted(self._keys, keys[order])
        self._rows = np.insert(self._rows, at, order + first)
        self._keys = np.insert(self._keys, at, keys[order])


KeyIndex = Addresses | Sorted


def index_of(keys: Int64Array) -> KeyIndex:
    """The form that suits these keys (int64 [n], distinct, positive); key n gets row n + 1."""
    index: KeyIndex = Addresses() if suits(int(keys.max(initial=0)), len(keys)) else Sorted()
    index.add(keys, 1)
    return index


def suits(largest: int, count: int) -> bool:
    """Whether so many keys, up to the largest, are dense enough to be found by address."""
    return largest <= SPARSEST * count + SPARE
