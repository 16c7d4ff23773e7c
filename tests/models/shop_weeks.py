"""Weeks of events of a made-up shop, with all that any family may need of them.

24 users in two camps; 30 items, of which a camp likes its half. A user visits twice a week and
chooses four items a visit, walking through its half in order, so that the next item can be told
from the last.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from models.data.events import Events
from models.data.queries import OWN_COLUMNS, ItemStatistics, OwnItems
from models.recommenders.family import Widths

USERS, ITEMS, VISITS, CHOSEN = 24, 30, 2, 4
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
WIDTHS = Widths(history=50, statistics=5, item_statistics=5, popularity_column=1)


def week(number: int) -> Events:
    """The events of a week; item keys from 101, users from 1."""
    rng = np.random.default_rng([7, number])
    visits = [(user, visit) for visit in range(VISITS) for user in range(USERS)]
    query_times, item_keys, times, values = [], [], [], []
    for user, visit in visits:
        start = np.datetime64(FIRST.replace(tzinfo=None), "us") + np.timedelta64(7 * number, "D")
        start += np.timedelta64(3 * 24 * 60 * visit + 20 * user, "m")
        query_times.append(start)
        half = ITEMS // 2 * (user % 2)
        begin = int(rng.integers(ITEMS // 2))
        for step in range(CHOSEN):
            item_keys.append(101 + half + (begin + step) % (ITEMS // 2))
            times.append(start + np.timedelta64(step, "m"))
            values.append(5.0 - (item_keys[-1] % 3))
    queries = len(visits)
    catalogue = np.unique(item_keys)
    own = OwnItems.none(queries) if not number else _own(visits)
    return Events(
        user_keys=np.array([1 + user for user, _ in visits], np.int64),
        query_times=np.array(query_times),
        history=np.zeros((queries, WIDTHS.history), np.int64),
        statistics=rng.normal(size=(queries, WIDTHS.statistics)).astype(np.float32),
        query=np.repeat(np.arange(queries, dtype=np.int32), CHOSEN),
        item_keys=np.array(item_keys, np.int64),
        times=np.array(times),
        weights=np.ones(len(item_keys), np.float32),
        catalogue=catalogue,
        words=np.tile((1 + catalogue % 5).astype(np.int32)[:, None], (1, 16)),
        own=own,
        items=ItemStatistics(catalogue, np.ones((1, len(catalogue), 5), np.float32)),
        moments=np.zeros(queries, np.int32),
        values=np.array(values, np.float32),
    )


def joined(*numbers: int) -> Events:
    """Several weeks as one."""
    weeks = [week(number) for number in numbers]
    size = len(weeks[0].user_keys)
    names = ("user_keys", "query_times", "history", "statistics", "item_keys", "times", "weights")
    stacked = {n: np.concatenate([getattr(one, n) for one in weeks]) for n in (*names, "values")}
    return replace(
        weeks[-1],
        **stacked,
        query=np.concatenate([one.query + size * n for n, one in enumerate(weeks)]).astype(
            np.int32
        ),
        catalogue=np.unique(stacked["item_keys"]),
        words=np.tile((1 + np.unique(stacked["item_keys"]) % 5).astype(np.int32)[:, None], (1, 16)),
        own=OwnItems.none(size * len(weeks)),
        items=ItemStatistics(np.arange(101, 131), np.ones((1, ITEMS, 5), np.float32)),
        moments=np.zeros(size * len(weeks), np.int32),
    )


def end_of(number: int) -> datetime:
    """When a week ends."""
    return FIRST + timedelta(weeks=number + 1)


def _own(visits: list[tuple[int, int]]) -> OwnItems:
    """Each user has chosen one item of its half before, once."""
    keys = np.array([101 + ITEMS // 2 * (user % 2) for user, _ in visits], np.int64)
    values = np.ones((len(visits), len(OWN_COLUMNS)), np.float32)
    return OwnItems(np.arange(len(visits) + 1), keys, values, np.ones((len(visits), 2), np.float32))
