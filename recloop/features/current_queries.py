"""Who asks: the inputs of a model for users as of now, for sessions, and for strangers.

Read from the tables that Feast's offline store reads, in one query and without importing Feast, whose
import costs a hundred times what an answer does. The same rows stand in Feast's online store, for
servers of a shop's own (`online.py`); a test holds one against the other.

Belongs here: one moment, the newest computed day. Keep out: what was known at earlier moments
(`training_set.py`), and answering (`recloop/release/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

from models.data.queries import OWN_COLUMNS, OwnItems, Queries
from recloop.config.learnable import LEARNABLE, Meaning
from recloop.database.connection import Cursor, first
from recloop.features.daily import HISTORY_LENGTH
from recloop.features.ranker_inputs import (
    ALL_KINDS,
    OWN_KINDS,
    OWN_LISTS,
    OWN_TOTALS,
    STATISTICS,
    aged_own_items,
    by_kind,
    scaled_statistics,
    whole_lists,
)

_COLUMNS = (
    *(f"counted.{name}" for name in STATISTICS),
    "history",
    *(f"own.{name}" for name in (*OWN_LISTS, *OWN_TOTALS, OWN_KINDS, ALL_KINDS)),
)
# One look into each primary key for each user: `distinct on` would read every row ever written.
KNOWN = """
    from unnest(%(users)s::bigint[]) with ordinality as asked (user_key, place)
    left join features.user_statistics as counted
        on counted.event_timestamp = %(moment)s and counted.user_key = asked.user_key
    left join lateral (
        select history from features.user_history
        where user_history.user_key = asked.user_key and event_timestamp <= %(moment)s
        order by event_timestamp desc limit 1
    ) as latest on true
    left join lateral (
        select * from features.user_items
        where user_items.user_key = asked.user_key and event_timestamp <= %(moment)s
        order by event_timestamp desc limit 1
    ) as own on true
    order by place
"""
"""SQL: the newest rows of the users `%(users)s` as of `%(moment)s`, in their order."""


def known_moment(cursor: Cursor, meaning: Meaning) -> datetime | None:
    """The midnight after the newest computed day, the data's clock; None before any was computed."""
    return known_until(cursor, meaning)[0]


def known_until(cursor: Cursor, meaning: Meaning) -> tuple[datetime | None, bool]:
    """The same, and whether all of that day is known: windows of hours compute it piece by piece."""
    end = first(cursor, "select max(ends) from features.built_window")
    moment = meaning.calendar.whole_days(end, end)[1] if end else None
    return moment, moment == end


def known_queries(
    cursor: Cursor, user_keys: Sequence[int], meaning: Meaning, moment: datetime | None = None
) -> Queries:
    """The model's inputs for these users at a midnight, by default the end of the newest computed day;
    zeros for unknown ones. Items' statistics are not among them: a release carries its own."""
    moment = moment or known_moment(cursor, meaning)
    if moment is None:
        return nothing_known(user_keys, meaning)
    cursor.execute(
        f"select {', '.join(_COLUMNS)} {KNOWN}",
        {"users": [int(key) for key in user_keys], "moment": moment},
    )
    rows = cursor.fetchall()
    columns = dict(
        zip((name.split(".")[-1] for name in _COLUMNS), zip(*rows, strict=True), strict=True)
    )
    history = np.zeros((len(rows), HISTORY_LENGTH), np.int64)
    for place, items in enumerate(columns["history"] if rows else ()):
        history[place, : len(items or ())] = items or ()
    raw = [[value or 0 for value in columns[name]] for name in STATISTICS] if rows else []
    return Queries(
        np.asarray(user_keys, np.int64),
        history,
        scaled_statistics(np.array(raw, np.float64).reshape(len(STATISTICS), len(rows)).T),
        _own(columns, meaning.calendar.day_number(moment), len(rows), len(meaning.kinds)),
    )


def _own(columns: dict[str, tuple], day: int, users: int, kinds: int) -> OwnItems:
    lengths = np.array([len(items or ()) for items in columns.get("items", ())], np.int64)
    lists = {
        name: np.array(
            list(chain.from_iterable(items or () for items in columns.get(name, ()))),
            np.float64 if "decayed" in name else np.int64,
        )
        for name in OWN_LISTS
    }
    totals = np.zeros((users, len(OWN_TOTALS)), np.float32)
    for place, name in enumerate(OWN_TOTALS):
        totals[:, place] = [value or 0 for value in columns.get(name, ())]
    return aged_own_items(
        lengths,
        np.full(users, day),
        lists,
        totals,
        kinds_of(lengths, columns.get(OWN_KINDS, ()), columns.get(ALL_KINDS, ()), kinds),
    )


def kinds_of(
    lengths: npt.NDArray[np.int64],
    own: Sequence[Sequence[int] | None],
    every: Sequence[Sequence[int] | None],
    kinds: int,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Events of each kind of each own item, float32 [n, K], and of all items, float32 [B, K], of rows of
    `user_items`; None: there is but one kind.

    Args:
        lengths: int64 [B], how many own items each has.
        own, every: `OWN_KINDS` and `ALL_KINDS` of each, or None.
    """
    if not kinds:
        return None
    return (
        by_kind(whole_lists(own, (kinds * lengths).tolist()), kinds),
        by_kind(whole_lists(every, [kinds] * len(lengths)), kinds),
    )


def nothing_known(user_keys: Sequence[int] | npt.NDArray[np.int64], meaning: Meaning) -> Queries:
    """The inputs for users of whom nothing is known."""
    count = len(user_keys)
    return Queries(
        np.asarray(user_keys, np.int64),
        np.zeros((count, HISTORY_LENGTH), np.int64),
        np.zeros((count, len(STATISTICS)), np.float32),
        OwnItems.none(count, len(meaning.kinds)),
    )


def with_session(queries: Queries, session: Sequence[int], kind: int = 0) -> Queries:
    """One query, as if its user had chosen these items just now: at the head of its history, and among
    its own.

    Args:
        session: item keys, oldest first.
        kind: which kind of event a choice just now is, where several are counted apart.
    """
    if not session:
        return queries
    newest = list(dict.fromkeys(reversed([int(key) for key in session])))
    history = np.array([[*newest, *queries.history[0].tolist()]], np.int64)
    width = queries.history.shape[1]
    own = queries.own if queries.own is not None else OwnItems.none(1)
    kinds = range(own.kinds)
    columns = (*OWN_COLUMNS, *kinds)
    entries = {
        int(key): dict(zip(columns, values.tolist(), strict=True))
        for key, values in zip(own.item_keys, own.values, strict=True)
    }
    fresh = dict.fromkeys(columns, 0.0)
    today = any(entry["last_age"] == 0 for entry in entries.values())
    for key in newest:
        entry = entries.setdefault(key, dict(fresh))
        entry["days"] += entry["purchases"] == 0 or entry["last_age"] > 0
        times = sum(one == key for one in session)
        for name in ("purchases", "decayed_28d", "decayed_112d", *kinds[kind : kind + 1]):
            entry[name] += times
        entry["last_age"] = 0.0
    counted = [len(session) * (one == kind) for one in kinds]
    totals = own.totals + np.array([[len(session), not today, *counted]], np.float32)
    values = np.array([[entry[name] for name in columns] for entry in entries.values()], np.float32)
    return Queries(
        queries.user_keys,
        history[:, :width],
        queries.statistics,
        OwnItems(np.array([0, len(entries)]), np.array(list(entries), np.int64), values, totals),
    )


def asked_user(cursor: Cursor, user_id: str) -> int:
    """The key of a user's id; 0 for one never seen."""
    found = first(cursor, "select user_key from behavior.account where user_id = %s", (user_id,))
    return int(found or 0)


def chosen_by(cursor: Cursor, user_key: int, meaning: Meaning) -> npt.NDArray[np.int64]:
    """int64, the items of a user's learnable events, ascending."""
    cursor.execute(
        f"select distinct item_key from behavior.event where user_key = %(user)s and {LEARNABLE} "
        "order by 1",
        {"user": user_key} | meaning.parameters(),
    )
    return np.array([key for (key,) in cursor.fetchall()], np.int64)


def latest_session(cursor: Cursor, user_key: int, meaning: Meaning) -> Queries:
    """The user with the items of its latest session, most recent first; of all its latest events, where
    queries are no sessions."""
    cursor.execute(
        "select item_key, extract(epoch from event_timestamp) from behavior.event "
        f"where user_key = %(user)s and {LEARNABLE} "
        "order by event_timestamp desc, event_id desc limit %(most)s",
        {"user": user_key, "most": HISTORY_LENGTH} | meaning.parameters(),
    )
    rows = cursor.fetchall()
    history = np.zeros((1, HISTORY_LENGTH), np.int64)
    length = len(rows)
    for place, (later, earlier) in enumerate(pairwise(float(when) for _, when in rows), start=1):
        if meaning.session_gap is not None and later - earlier > meaning.session_gap:
            length = place
            break
    history[0, :length] = [key for key, _ in rows[:length]]
    return Queries(np.array([user_key], np.int64), history, np.zeros((1, 0), np.float32))
