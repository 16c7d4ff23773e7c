"""What happened in some time, and what was known before each of it: what every family learns from.

A window of events, or several. `recloop.features` builds it from training sets; a family takes from it
what it needs (`models.recommenders.family.INPUTS`). NumPy only.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from models.data.queries import Interactions, ItemStatistics, OwnItems, Queries
from models.data.ragged import without_gaps


@dataclass(frozen=True)
class Events:
    """Q queries (a user on a day, or a session), their N events in order of time, M items.

    Keys are at least 1; 0 is padding. Times are UTC.
    """

    user_keys: np.ndarray
    """int64 [Q]"""
    query_times: np.ndarray
    """datetime64[us] [Q]: the first event of the user's day."""
    history: np.ndarray
    """int64 [Q, 50]: item keys before the query's day, most recent first, 0-padded."""
    statistics: np.ndarray
    """float32 [Q, len(STATISTICS)]: log1p; 0 where nothing is known."""
    query: np.ndarray
    """int32 [N]: the interaction's row in the query arrays."""
    item_keys: np.ndarray
    """int64 [N]"""
    times: np.ndarray
    """datetime64[us] [N]"""
    weights: np.ndarray
    """float32 [N]"""
    catalogue: np.ndarray
    """int64 [M]: distinct item keys, ascending."""
    words: np.ndarray
    """int32 [M, 16]: hashed words of the catalogue, 0-padded; those of the latest window count."""
    own: OwnItems
    """What the users of the Q queries had purchased before the query's day."""
    items: ItemStatistics
    """Statistics of active items at the start of each day with a query, scaled as `statistics`."""
    moments: np.ndarray
    """int32 [Q]: which moment of `items` is the query's day."""
    values: np.ndarray | None = None
    """float32 [N]: ratings, or what a click was worth (NaN: not told); None: nobody needs them."""
    labels: np.ndarray | None = None
    """float32 [N]: whether what was shown was chosen, 1 or 0; None: everything was."""
    kinds: np.ndarray | None = None
    """int32 [N]: places in `kind_names`; None: all are of one kind."""
    kind_names: tuple[str, ...] = ()
    """What kinds of events there are: click, purchase."""

    def queries(self) -> Queries:
        """The Q queries as a model takes them."""
        days = (self.query_times - np.datetime64(0, "us")) / np.timedelta64(1, "D")
        return Queries(
            self.user_keys, self.history, self.statistics, self.own, self.items, self.moments,
            np.floor(days),
        )  # fmt: skip

    def interactions(self) -> Interactions:
        """The N interactions as a model takes them."""
        return Interactions(self.query, self.item_keys, self.weights)

    def between(self, start: datetime, end: datetime) -> Events:
        """The interactions in `[start, end)` (aware), and only their queries. Items stay."""
        return self.where(self.since(start) & ~self.since(end))

    def asked_between(self, start: datetime, end: datetime) -> Events:
        """The queries in `[start, end)` (aware), with all their interactions. Items stay. A view, since
        queries come in order of time, and interactions in order of their queries."""
        asked = (self.query_times >= moment(start)) & (self.query_times < moment(end))
        return self.where(asked[self.query])

    def since(self, start: datetime) -> np.ndarray:
        """bool [N]: which interactions are at or after `start` (aware)."""
        return self.times >= moment(start)

    def of_kinds(self, names: Collection[str]) -> np.ndarray:
        """bool [N]: which interactions are of one of these kinds; all, where there is but one."""
        if self.kinds is None:
            return np.ones(len(self.item_keys), bool)
        return np.isin(self.kinds, [n for n, name in enumerate(self.kind_names) if name in names])

    def where(self, chosen: np.ndarray) -> Events:
        """These interactions (bool [N]), and only their queries. Items stay. Of a stretch of days it is
        a view: queries and interactions come in order of time."""
        here = without_gaps(np.flatnonzero(chosen))
        found, query = np.unique(self.query[here], return_inverse=True)
        rows = without_gaps(found)
        return replace(
            self,
            user_keys=self.user_keys[rows],
            query_times=self.query_times[rows],
            history=self.history[rows],
            statistics=self.statistics[rows],
            own=self.own.take(rows),
            moments=self.moments[rows],
            query=query.astype(np.int32),
            item_keys=self.item_keys[here],
            times=self.times[here],
            weights=self.weights[here],
            values=None if self.values is None else self.values[here],
            labels=None if self.labels is None else self.labels[here],
            kinds=None if self.kinds is None else self.kinds[here],
        )


def moment(when: datetime) -> np.datetime64:
    """An aware time as `Events` has times."""
    return np.datetime64(round(when.timestamp() * 1_000_000), "us")
