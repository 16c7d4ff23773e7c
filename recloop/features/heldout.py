"""Held-out events: what a model must predict, without having seen them.

Used twice: a whole window before anything learns from it (prequential evaluation), and the newest
slice of a window, which judges a challenger against the champion.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from psycopg2.extensions import cursor as Cursor

from models.data.events import Events
from models.data.queries import Queries
from recloop.calendar import WindowCalendar
from recloop.config.learnable import GOAL, LEARNABLE, Meaning
from recloop.features.days import day_numbers, midnights

Int64 = npt.NDArray[np.int64]
CSR = tuple[Int64, Int64]


@dataclass(frozen=True)
class Past:
    """What may be known when held-out events are predicted.

    Attributes:
        cut: nothing at or after it, UTC.
        window_start: of the window that the events are in, UTC: users and items since then are new.
        meaning: which events count.
        popularity_days: how many days before the cut say what is popular.
    """

    cut: datetime
    window_start: datetime
    meaning: Meaning
    popularity_days: int

    def parameters(self) -> dict[str, Any]:
        """For a query's `%(cut)s`, `%(start)s`, `%(days)s` and those of its meaning."""
        named = {"cut": self.cut, "start": self.window_start, "days": self.popularity_days}
        return named | self.meaning.parameters()


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out events, one row per user, in order of `user_key`.

    Attributes:
        queries: U users as they were at their first held-out event's day.
        relevant: CSR (offsets int64 [U + 1], item keys), what each chose, once each; where the dataset
            has a goal, by events of it.
        known: CSR, what each had chosen before the cut, likewise.
        kinds: by kind of events, as `relevant`, where there are several.
        catalogue: int64 [C], items seen before the cut, ascending: the candidates of every model.
        new_users: bool [U], nothing chosen before `window_start`.
        new_items: int64, items of the catalogue first seen at or after `window_start`.
        popular: int64, catalogue items by events in the days before the cut, most first.
        popular_events: int64, how many events each of them had.
    """

    queries: Queries
    relevant: CSR
    known: CSR
    catalogue: Int64
    new_users: npt.NDArray[np.bool_]
    new_items: Int64
    popular: Int64
    popular_events: Int64
    kinds: dict[str, CSR] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.queries)


def cut_holdout(
    times: npt.NDArray[np.datetime64], share: float, calendar: WindowCalendar | None = None
) -> datetime:
    """Where the newest slice begins: the latest day start with at least `share` of the events at or
    after it, or, when one day holds all of them, the matching moment within it.

    Args:
        times: datetime64 [N], N > 0, UTC.
        calendar: in whose zone days begin; None: in UTC.
    """
    ordered = np.sort(times)
    at = ordered[len(ordered) - int(np.ceil(len(ordered) * share - 1e-9))]
    day = at.astype("datetime64[D]")
    if calendar is not None:
        day = midnights(day_numbers(np.array([at]), calendar), calendar)[0]
    cut = at if day <= ordered[0] else day
    return datetime.fromtimestamp(int(cut.astype("datetime64[us]").astype(np.int64)) / 1e6, UTC)


def read_heldout(cursor: Cursor, examples: Events, past: Past) -> HeldOut:
    """Arrange `examples` (all at or after the cut) per user, with what was known before it. What was
    taken back the same day is no choice."""
    users, first = np.unique(examples.user_keys, return_index=True)
    queries = examples.queries().take(first)
    owners = examples.user_keys[examples.query]
    goal = past.meaning.goal or examples.kind_names

    def chosen(kinds: Collection[str]) -> CSR:
        kept = (examples.weights > 0) & examples.of_kinds(kinds)
        pairs = np.stack([owners[kept], examples.item_keys[kept]], axis=1)
        return csr_of(users, np.unique(pairs, axis=0))

    cursor.execute(
        f"select user_key, item_key, min(event_timestamp), bool_or({GOAL}) from behavior.event "
        f"where user_key = any(%(users)s) and event_timestamp < %(cut)s and {LEARNABLE} "
        "group by 1, 2 order by 1, 2",
        past.parameters() | {"users": users.tolist()},
    )
    rows = cursor.fetchall()
    before = np.array([row[:2] for row in rows if row[3]], np.int64).reshape(-1, 2)
    old = np.unique([row[0] for row in rows if row[2] < past.window_start])
    cursor.execute(
        "select item_key, min(event_timestamp) >= %(start)s, "
        "count(*) filter (where event_timestamp >= %(cut)s - make_interval(days => %(days)s) "
        f"and {GOAL}) from behavior.event where event_timestamp < %(cut)s and {LEARNABLE} "
        "group by 1 order by 1",
        past.parameters(),
    )
    items = np.array(cursor.fetchall(), np.int64).reshape(-1, 3)
    recent = items[items[:, 2] > 0]
    recent = recent[np.lexsort((recent[:, 0], -recent[:, 2]))]
    return HeldOut(
        queries=queries,
        relevant=chosen(goal),
        known=csr_of(users, before),
        catalogue=items[:, 0],
        new_users=~np.isin(users, old),
        new_items=items[items[:, 1] == 1, 0],
        popular=recent[:, 0],
        popular_events=recent[:, 2],
        kinds={kind: chosen((kind,)) for kind in examples.kind_names},
    )


def csr_of(users: Int64, pairs: Int64) -> CSR:
    """Pairs (user, item), sorted by user, as a CSR over `users` (ascending)."""
    offsets = np.searchsorted(pairs[:, 0], np.append(users, np.iinfo(np.int64).max))
    return offsets.astype(np.int64), pairs[:, 1].copy()
