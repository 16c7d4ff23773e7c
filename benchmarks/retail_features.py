"""What a feature store would know at the start of each window, from the events in memory.

The same features, by the same definitions, as the views of `feature_repo/definitions.py`, without a
database: user history and statistics, own items, item statistics. Cancellations are not part of the
benchmark's events and count as 0. NumPy only.
"""

from __future__ import annotations

import numpy as np

from benchmarks.events import Events, Float32, Int64
from models.data.queries import Interactions, ItemStatistics, OwnItems, Queries
from models.data.ragged import look_up

HISTORY_LENGTH = 50
OWN_ITEMS = 300
RECENT_DAYS = 28
DECAY_DAYS = (28.0, 112.0)
USER_STATISTICS = 5
ITEM_STATISTICS = 5
WIDTH = np.int64(1) << 32
"""A pair is user * WIDTH + item: one number, sorted by user."""


class Known:
    """All that is known of users and items before a moment. It grows window by window."""

    def __init__(self) -> None:
        self._origin = np.datetime64(0, "D")
        self._today = 0
        self._day = 0  # the same, in days since 1970-01-01
        self._pairs = np.zeros(0, np.int64)
        # Per pair: purchases, days, first day, last day, and sums of exp((day - origin) / decay).
        self._facts = np.zeros((0, 4 + len(DECAY_DAYS)))
        self._history = np.zeros((1, HISTORY_LENGTH), np.int64)
        self._totals = np.zeros((1, 2))
        self._recent: list[Events] = []
        self._statistics = np.zeros((1, USER_STATISTICS), np.float32)
        self._items = ItemStatistics(
            np.zeros(0, np.int64), np.zeros((1, 0, ITEM_STATISTICS), np.float32)
        )

    def queries(self, users: Int64) -> Queries:
        """The users as they are known now; `now` is the end of what was added."""
        rows = np.where(users < len(self._history), users, 0)
        return Queries(
            user_keys=np.asarray(users, np.int64),
            history=self._history[rows],
            statistics=self._statistics[np.where(users < len(self._statistics), users, 0)],
            own=self._own(users, self._totals[rows]),
            items=self._items,
            days=np.full(len(users), self._day, np.float64),
        )

    def examples(self, events: Events) -> tuple[Queries, Interactions]:
        """A window's events as one query per user, at the window's start: before it is added."""
        if not len(self._pairs) and len(events):
            self._day = int(events.times[0].astype("datetime64[D]").astype(np.int64))
        users, query = np.unique(events.user_keys, return_inverse=True)
        interactions = Interactions(
            query.astype(np.int32), events.item_keys, np.ones(len(events), np.float32)
        )
        return self.queries(users), interactions

    def add(self, events: Events, end: np.datetime64) -> None:
        """The next window's events: whole days, ending at `end`."""
        days = self._days(events.times)
        if not len(self._pairs) and len(events):
            self._origin = events.times[0].astype("datetime64[D]")
            days = self._days(events.times)
        self._today = int(self._days(np.array([end]))[0])
        self._day = int(end.astype("datetime64[D]").astype(np.int64))
        if len(events):
            self._add_pairs(events, days)
            self._add_users(events, days)
        self._recent = [*self._recent, events]
        self._refresh()

    def _days(self, times: np.ndarray) -> Int64:
        return (times.astype("datetime64[D]") - self._origin).astype(np.int64)

    def _add_pairs(self, events: Events, days: Int64) -> None:
        pairs, inverse = np.unique(events.user_keys * WIDTH + events.item_keys, return_inverse=True)
        facts = np.zeros((len(pairs), self._facts.shape[1]))
        facts[:, 0] = np.bincount(inverse)
        span = days.max() - days.min() + 1
        distinct = np.unique(inverse * span + days - days.min()) // span
        facts[:, 1] = np.bincount(distinct)
        facts[:, 2], facts[:, 3] = np.inf, -np.inf
        np.minimum.at(facts[:, 2], inverse, days)
        np.maximum.at(facts[:, 3], inverse, days)
        for column, decay in enumerate(DECAY_DAYS, 4):
            facts[:, column] = np.bincount(inverse, np.exp(days / decay))
        old, place = look_up(self._pairs, pairs)
        at = place[old]
        self._facts[at, :2] += facts[old, :2]
        self._facts[at, 3] = facts[old, 3]
        self._facts[at, 4:] += facts[old, 4:]
        self._pairs = np.insert(self._pairs, place[~old], pairs[~old])
        self._facts = np.insert(self._facts, place[~old], facts[~old], axis=0)

    def _add_users(self, events: Events, days: Int64) -> None:
        most = int(events.user_keys.max()) + 1
        if most > len(self._history):
            more = most - len(self._history)
            self._history = np.pad(self._history, ((0, more), (0, 0)))
            self._totals = np.pad(self._totals, ((0, more), (0, 0)))
        order = np.argsort(events.user_keys, kind="stable")
        users, first, counts = np.unique(
            events.user_keys[order], return_index=True, return_counts=True
        )
        # Column c is the c-th latest event: of the window while there are any, then of the past.
        column = np.arange(HISTORY_LENGTH)
        fresh = column < counts[:, None]
        latest = np.maximum(first[:, None] + counts[:, None] - 1 - column, 0)
        before = np.maximum(column - counts[:, None], 0)
        self._history[users] = np.where(
            fresh,
            events.item_keys[order][np.minimum(latest, len(order) - 1)],
            np.take_along_axis(self._history[users], before, axis=1),
        )
        span = days.max() - days.min() + 1
        active = np.unique(events.user_keys * span + days - days.min()) // span
        self._totals[users, 0] += counts
        self._totals[:most, 1] += np.bincount(active, minlength=most)

    def _refresh(self) -> None:
        """Statistics of the last 28 days, on the log scale that models take."""
        parts = []
        for events in self._recent:
            new = self._days(events.times) >= self._today - RECENT_DAYS
            parts.append(events if new.all() else events.take(new))
        self._recent = [events for events in parts if len(events)]
        users, items, times, values, prices = (
            np.concatenate([getattr(events, name) for events in parts])
            for name in ("user_keys", "item_keys", "times", "values", "prices")
        )
        week = self._days(times) >= self._today - 7
        pairs = np.unique(users * WIDTH + items)
        size = len(self._history)
        spend = np.nan_to_num(values) * np.nan_to_num(prices)
        self._statistics = np.log1p(
            np.stack(
                [
                    np.bincount(users, week, minlength=size),
                    np.bincount(users, minlength=size),
                    np.bincount(users, spend, minlength=size),
                    np.bincount(pairs // WIDTH, minlength=size),
                    np.zeros(size),
                ],
                axis=1,
            )
        ).astype(np.float32)
        size = int(items.max(initial=0)) + 1
        count = np.bincount(items, minlength=size)
        keys = np.flatnonzero(count)
        columns = [
            np.bincount(items, week, minlength=size)[keys],
            count[keys],
            np.bincount(pairs % WIDTH, minlength=size)[keys],
            _medians(items, prices, count)[keys],
            np.zeros(len(keys)),
        ]
        self._items = ItemStatistics(
            keys, np.log1p(np.stack(columns, axis=1))[None].astype(np.float32)
        )

    def _own(self, users: Int64, totals: np.ndarray) -> OwnItems:
        """The latest 300 items of each user, by key."""
        low, high = (np.searchsorted(self._pairs, (users + n) * WIDTH) for n in (0, 1))
        lengths = high - low
        owner = np.repeat(np.arange(len(users)), lengths)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        at = np.repeat(low - ends[:-1], lengths) + np.arange(ends[-1])
        if lengths.max(initial=0) > OWN_ITEMS:
            order = np.lexsort((-self._facts[at, 3], owner))
            kept = np.sort(order[np.arange(len(order)) - ends[owner] < OWN_ITEMS])
            at, owner = at[kept], owner[kept]
            ends = np.searchsorted(owner, np.arange(len(users) + 1))
        facts = self._facts[at]
        aged = facts[:, 4:] * np.exp(-self._today / np.array(DECAY_DAYS))
        values = np.column_stack([facts[:, :2], self._today - facts[:, 2:4], aged])
        return OwnItems(
            ends, self._pairs[at] % WIDTH, values.astype(np.float32), totals.astype(np.float32)
        )


def _medians(items: Int64, prices: Float32, count: Int64) -> np.ndarray:
    """The median price of each item number: float64 [len(count)]; 0 without prices."""
    told = np.isfinite(prices)
    items, prices = items[told], prices[told]
    order = np.lexsort((prices, items))
    counts = np.bincount(items, minlength=len(count))
    start = np.cumsum(counts) - counts
    result = np.zeros(len(count))
    some = counts > 0
    low, high = start + (counts - 1) // 2, start + counts // 2
    result[some] = (prices[order][low[some]] + prices[order][high[some]]) / 2.0
    return result


def together(parts: list[tuple[Queries, Interactions]]) -> tuple[Queries, Interactions]:
    """Windows as one, without item statistics: what the towers learn from."""
    starts = np.cumsum([0, *(len(queries) for queries, _ in parts)])
    owns = [queries.own for queries, _ in parts if queries.own is not None]
    ends = np.cumsum([0, *(len(own.item_keys) for own in owns)])
    offsets = [own.offsets[:-1] + end for own, end in zip(owns, ends, strict=False)]
    queries = Queries(
        user_keys=np.concatenate([queries.user_keys for queries, _ in parts]),
        history=np.concatenate([queries.history for queries, _ in parts]),
        statistics=np.concatenate([queries.statistics for queries, _ in parts]),
        own=OwnItems(
            offsets=np.concatenate([*offsets, ends[-1:]]),
            item_keys=np.concatenate([own.item_keys for own in owns]),
            values=np.concatenate([own.values for own in owns]),
            totals=np.concatenate([own.totals for own in owns]),
        ),
        days=np.concatenate([queries.days for queries, _ in parts]),  # type: ignore[misc]
    )
    query = [part.query + start for (_, part), start in zip(parts, starts, strict=False)]
    return queries, Interactions(
        np.concatenate(query).astype(np.int32),
        np.concatenate([part.item_keys for _, part in parts]),
        np.concatenate([part.weights for _, part in parts]),
    )
