"""Lists of many users: the release is asked as `recommend` asks it, and answers become rows.

Belongs here: keys to ids, answers to Arrow tables. Keep out: whose lists are wanted (`publication.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.data.queries import Queries
from models.data.ragged import look_up
from models.recommenders.answers import SOURCES
from recloop.config.learnable import Meaning
from recloop.database.connection import Cursor
from recloop.errors import BadInput
from recloop.features.many_queries import many_chosen, many_known, many_sessions
from recloop.outlets.digests import sum_of
from recloop.release.answering import OpenRelease, queries_for

Keys = npt.NDArray[np.int64]
USERS = 496
"""Users who are asked for at a time: their lists of what is left out are filled up to one length."""
STRANGER = ""
"""The id under which the list stands of whoever is not known."""
SIMILAR = "similar to "
"""What stands before an item's id where the digest takes the name of its list."""


@dataclass(frozen=True, eq=False)
class Lists:
    """Lists of B users, or of items similar to B items.

    Attributes:
        names: ids, whose each list is.
        items: int64 [B, k]; 0 after the end.
        scores: float32 [B, k].
        reasons: uint8 [B, k], places in `SOURCES`.
    """

    names: list[str]
    items: Keys
    scores: npt.NDArray[np.float32]
    reasons: npt.NDArray[np.uint8]

    @property
    def rows(self) -> int:
        """How many rows they are."""
        return int(np.count_nonzero(self.items))

    def digest(self, before: str = "") -> int:
        """See `digests.sum_of`; `before` stands before each name."""
        names = [before + name for name in self.names] if before else self.names
        return sum_of(names, self.items, self.scores, self.reasons)


class Catalogue:
    """Ids of the items by key."""

    def __init__(self, cursor: Cursor) -> None:
        cursor.execute("select item_key, item_id from behavior.item order by 1")
        rows = cursor.fetchall()
        self.keys = np.array([key for key, _ in rows], np.int64)
        self.ids = pa.array([name for _, name in rows], pa.string())

    @cached_property
    def key_of(self) -> dict[str, int]:
        """Keys by id."""
        return dict(zip(self.ids.to_pylist(), self.keys.tolist(), strict=True))

    def names(self, keys: Keys) -> pa.Array:
        """The ids of these items."""
        known, place = look_up(self.keys, keys)
        assert known.all()
        return self.ids.take(pa.array(place))


@dataclass(frozen=True, eq=False)
class Asking:
    """A release that is asked for many.

    Attributes:
        k: how long lists are.
        shown: bool [items of the release], what may be shown; None: all.
        include_known: whether also what the user chose before.
    """

    release: OpenRelease
    meaning: Meaning
    k: int
    shown: np.ndarray | None
    include_known: bool

    def lists(self, cursor: Cursor, keys: Keys, names: list[str]) -> Lists:
        """Of these users, whose keys ascend."""
        family = self.release.family
        many = many_known if family.needs_features else many_sessions
        queries = many(cursor, keys, self.meaning)
        offsets, chosen = np.zeros(len(keys) + 1, np.int64), np.zeros(0, np.int64)
        if not (self.include_known or family.repeats):
            offsets, chosen = many_chosen(cursor, keys, self.meaning)
        parts = [
            self._answers(
                queries.take(slice(low, low + USERS)),
                _filled_up(offsets[low : low + USERS + 1], chosen),
            )
            for low in range(0, len(keys), USERS)
        ]
        return Lists(names, *(np.concatenate(part) for part in zip(*parts, strict=True)))

    def strangers(self, cursor: Cursor) -> Lists:
        """The list of whoever is not known."""
        queries = queries_for(cursor, self.release.family, [0], self.meaning)
        return Lists([STRANGER], *self._answers(queries, np.zeros((1, 0), np.int64)))

    def _answers(self, queries: Queries, exclude: Keys) -> tuple[Keys, Any, Any]:
        return self.release.top_k_and_sources(queries, self.k, exclude, self.shown)

    def similar(self, catalogue: Catalogue) -> Iterator[Lists]:
        """Of every item that the release knows; none, if its family has no vectors of items."""
        if not self.release.light:
            return
        every = np.sort(self.release.answerer.items.keys)
        every = every[look_up(catalogue.keys, every)[0]]
        for low in range(0, len(every), USERS):
            keys = every[low : low + USERS]
            try:
                items, scores = self.release.similar(keys, self.k, self.shown)
            except BadInput:
                return
            yield Lists(
                catalogue.names(keys).to_pylist(), items, scores, np.zeros(items.shape, np.uint8)
            )


def _filled_up(offsets: Keys, items: Keys) -> Keys:
    """Lists as int64 [B, E], each filled up with 0 to the longest."""
    lengths = np.diff(offsets)
    filled = np.zeros((len(lengths), int(lengths.max(initial=0))), np.int64)
    filled[np.arange(filled.shape[1]) < lengths[:, None]] = items[offsets[0] : offsets[-1]]
    return filled


def rows_of(lists: Lists, catalogue: Catalogue) -> pa.Table:
    """One row for each item of each list: user_id, rank, item_id, score, reason."""
    owner, place = np.nonzero(lists.items)
    return pa.table(
        {
            "user_id": pa.array(lists.names, pa.string()).take(pa.array(owner)),
            "rank": pa.array((place + 1).astype(np.int16)),
            "item_id": catalogue.names(lists.items[owner, place]),
            "score": pa.array(lists.scores[owner, place]),
            "reason": pa.array(SOURCES).take(pa.array(lists.reasons[owner, place])),
        }
    )


def similar_rows_of(lists: Lists, catalogue: Catalogue) -> pa.Table:
    """One row for each item of each list: item_id, rank, similar_item_id, score."""
    rows = rows_of(lists, catalogue).drop_columns(["reason"])
    return rows.rename_columns(["item_id", "rank", "similar_item_id", "score"])


def lists_of(rows: list[tuple[str, int, str, float, str]], catalogue: Catalogue, k: int) -> Lists:
    """Lists as they were, of rows of `rows_of`."""
    names = sorted({row[0] for row in rows})
    at = {name: place for place, name in enumerate(names)}
    found = Lists(
        names,
        np.zeros((len(names), k), np.int64),
        np.zeros((len(names), k), np.float32),
        np.zeros((len(names), k), np.uint8),
    )
    for name, rank, item, score, reason in rows:
        place = at[name], rank - 1
        found.items[place], found.scores[place] = catalogue.key_of[item], score
        found.reasons[place] = SOURCES.index(reason)
    return found
