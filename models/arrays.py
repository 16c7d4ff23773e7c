"""The arrays that go into a model, as frozen dataclasses that check themselves.

Keys are the positive int64 ids that the database gives; rows are the model's own business
(`models.ids.vocabulary`). Neighbours: `recloop` builds these from Feast's training set;
`models.retrieval.recommender` takes them. NumPy only.
"""

from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from models.ordering.point_in_time import ItemStatistics, OwnItems

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
Float32Array = npt.NDArray[np.float32]


def check_array(name: str, array: object, dtype: type, ndim: int) -> None:
    """Raises ValueError unless `array` is an ndarray of this dtype and rank."""
    if not isinstance(array, np.ndarray):
        raise ValueError(
            f"`{name}` should be a NumPy array. Received: {type(array).__name__}. "
            f"Convert it with np.asarray(..., np.{dtype.__name__})."
        )
    if array.dtype != dtype or array.ndim != ndim:
        raise ValueError(
            f"`{name}` should be {dtype.__name__} with {ndim} dimension(s). "
            f"Received: {array.dtype} with shape {array.shape}. "
            f"Convert it with .astype(np.{dtype.__name__}) and reshape it."
        )


def check_same_length(name: str, array: Sized, length: int, other: str) -> None:
    if len(array) != length:
        raise ValueError(
            f"`{name}` should have one row per row of `{other}`. "
            f"Received: {len(array)} rows for {length}."
        )


def check_all(name: str, ok: np.ndarray, array: np.ndarray, rule: str) -> None:
    """Raises ValueError naming the first value for which `ok` (same shape) is false."""
    if not ok.all():
        where = tuple(int(i) for i in np.argwhere(~ok)[0])
        raise ValueError(
            f"`{name}` should be {rule}. Received: {array[where]} at {where} "
            f"({int((~ok).sum())} such value(s)). Drop or repair these rows first."
        )


@dataclass(frozen=True, eq=False)
class Queries:
    """Who is asking, and what was known of them then.

    Attributes:
        user_keys: int64 [B], positive; 0 is an anonymous user.
        history: int64 [B, H] item keys, most recent first, padded with 0. Only what happened
            before the query.
        statistics: float32 [B, S], already on a log scale (log1p) and finite. S may be 0.
        own: what each of the B users had chosen before (`models.ordering.point_in_time`); None: not
            known. The ranker needs it, retrieval doesn't.
        items: the items' statistics at some moments, shared by the queries; None: not known.
        moments: int32 [B], which moment of `items` each query sees; None: the first.
    """

    user_keys: Int64Array
    history: Int64Array
    statistics: Float32Array
    own: "OwnItems | None" = None
    items: "ItemStatistics | None" = None
    moments: Int32Array | None = None

    def __post_init__(self) -> None:
        check_array("user_keys", self.user_keys, np.int64, 1)
        check_array("history", self.history, np.int64, 2)
        check_array("statistics", self.statistics, np.float32, 2)
        check_same_length("history", self.history, len(self), "user_keys")
        check_same_length("statistics", self.statistics, len(self), "user_keys")
        check_all(
            "user_keys", self.user_keys >= 0, self.user_keys, "positive (0 is an anonymous user)"
        )
        check_all("history", self.history >= 0, self.history, "positive item keys or 0 (padding)")
        check_all(
            "statistics", np.isfinite(self.statistics), self.statistics, "finite (no NaN, no inf)"
        )
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

    def __len__(self) -> int:
        return len(self.user_keys)

    def latest(self, width: int) -> Int64Array:
        """The history as int64 [B, width]: cut, or padded with 0."""
        latest = np.zeros((len(self), width), np.int64)
        kept = self.history[:, :width]
        latest[:, : kept.shape[1]] = kept
        return latest

    def take(self, index: np.ndarray | slice) -> "Queries":
        """The queries at `index` (integers, booleans or a slice)."""
        return Queries(
            self.user_keys[index],
            self.history[index],
            self.statistics[index],
            None if self.own is None else self.own.take(index),
            self.items,
            None if self.moments is None else self.moments[index],
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
        check_array("query", self.query, np.int32, 1)
        check_array("item_keys", self.item_keys, np.int64, 1)
        check_array("weights", self.weights, np.float32, 1)
        check_same_length("item_keys", self.item_keys, len(self), "query")
        check_same_length("weights", self.weights, len(self), "query")
        check_all("query", self.query >= 0, self.query, "an index, 0 or more")
        check_all("item_keys", self.item_keys > 0, self.item_keys, "positive")
        check_all(
            "weights",
            np.isfinite(self.weights) & (self.weights >= 0),
            self.weights,
            "finite and not negative",
        )

    def __len__(self) -> int:
        return len(self.query)


@dataclass(frozen=True, eq=False)
class Items:
    """Items and their content.

    Attributes:
        item_keys: int64 [M], positive and unique.
        words: int32 [M, W], hashed ids of description words in [1, word_buckets), padded with 0;
            a row of zeros is an item without text. The upper bound is checked by `grow`.
    """

    item_keys: Int64Array
    words: Int32Array

    def __post_init__(self) -> None:
        check_array("item_keys", self.item_keys, np.int64, 1)
        check_array("words", self.words, np.int32, 2)
        check_same_length("words", self.words, len(self), "item_keys")
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
