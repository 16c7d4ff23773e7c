"""Vocabulary: int64 keys <-> rows of a table. NumPy only.

Row 0 is reserved for what isn't known, so the n-th key that was learned has row n. Growing never
moves a row; only `keep` does, when ids expire, and everything keyed moves with it
(`models.ids.expiry`). What outlives an update (histories, memories, features) therefore holds keys.
The graph only ever sees rows (rejected: `tf.keras.layers.IntegerLookup`, whose building alone costs
more than an update at 10^6 keys, and which can't grow in place).
"""

import numpy as np

from models.arrays import Int64Array
from models.ids.key_index import Addresses, index_of, suits

UNKNOWN_ROW = 0


class Vocabulary:
    """Keys in the order in which they were learned.

    >>> items = Vocabulary()
    >>> items.grow(np.array([70, 20, 70]))
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
            if len(self.grow(keys)) != len(keys):
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

    def grow(self, keys: Int64Array) -> Int64Array:
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
