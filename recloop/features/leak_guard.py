"""The leak guard: no query may know anything of its own day or later.

Belongs here: checks of joined features against the events themselves, by another route than the one
that computed them. Keep out: the join (see `training_set.py`).

Two kinds of check. Every feature row carries the newest event that it reflects: that must be before
the query's day. And what the rows say is counted again from `behavior.event`: a row that claims an
old newest event but holds later ones is caught by its content.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recloop.config.learnable import LEARNABLE, Meaning
from recloop.database.connection import Cursor
from recloop.errors import BadData, CheckCrashed
from recloop.features.daily import HISTORY_LENGTH

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 3
"""Rows that a message names."""

_RECOUNT = f"""
select
    query.n,
    (
        select coalesce(array_agg(item_key order by event_timestamp desc, event_id), '{{}}')
        from (
            select item_key, event_timestamp, event_id
            from behavior.event
            where user_key = query.user_key and event_timestamp < query.day and {LEARNABLE}
            order by user_key desc, event_timestamp desc, event_id
            limit %(limit)s
        ) as latest
    ),
    (
        select count(*)
        from behavior.event
        where user_key = query.user_key and {LEARNABLE}
          and event_timestamp >= query.before and event_timestamp < query.day
    )
from (
    select n, user_key,
        features.midnight(features.day_of(moment, %(zone)s), %(zone)s) as day,
        features.midnight(features.day_of(moment, %(zone)s) - 28, %(zone)s) as before
    from unnest(%(user_keys)s::bigint[], %(moments)s::timestamptz[])
        with ordinality as given (user_key, moment, n)
) as query
order by query.n
"""


def check_not_newer(table: pa.Table, limit: str, features: Sequence[str]) -> None:
    """Every timestamp of the columns `features` is null or before that of the column `limit`.

    Raises:
        BadData: a joined feature row reflects an event at or after the limit.
    """
    import pyarrow.compute as pc

    for feature in features:
        wrong = table.filter(pc.fill_null(pc.greater_equal(table[feature], table[limit]), False))
        if wrong.num_rows:
            key = table.column_names[0]
            shown = "; ".join(
                f"{key} {row[key]}: newest event {row[feature]}, known only from {row[limit]} on"
                for row in wrong.slice(0, SHOWN).select([key, feature, limit]).to_pylist()
            )
            raise BadData(
                f"future leak: {wrong.num_rows} of {table.num_rows} joined rows have a {feature!r} "
                f"that is not in their past ({shown}). The feature rows are stamped too early; "
                "build the window's features again, and correct their SQL if this comes back."
            )


def check_against_events(cursor: Cursor, queries: pa.Table, meaning: Meaning) -> None:
    """Histories and 28-day counts of `queries` are those of the events before each query's day.

    Takes the columns user_key, event_timestamp, history and purchases_28d (nulls are empty, zero).
    The cost follows the queries: two index look-ups each.

    Raises:
        BadData: a row holds what the events before the query's day do not.
        CheckCrashed: rows only lack some of them: late events whose features are not built yet.
    """
    columns = ["user_key", "event_timestamp", "history", "purchases_28d"]
    rows = queries.select(columns).to_pylist()
    events = _recount(cursor, rows, meaning, HISTORY_LENGTH)
    wrong = [n for n, row in enumerate(rows) if _joined(row) != events[n]]
    if not wrong:
        return
    rows = [rows[n] for n in wrong]
    events = _recount(cursor, rows, meaning, None)
    pairs = list(zip(rows, events, strict=True))
    leaks = [
        (row, known)
        for row, known in pairs
        if not _is_subsequence(_joined(row)[0], known[0]) or _joined(row)[1] > known[1]
    ]
    shown = "; ".join(_difference(row, known) for row, known in (leaks or pairs)[:SHOWN])
    if leaks:
        raise BadData(
            f"future leak: {len(leaks)} of {queries.num_rows} queries were joined with more than "
            f"the events before their day ({shown}). Build the window's features again, and "
            "correct their SQL if this comes back."
        )
    raise CheckCrashed(
        f"stale features: {len(pairs)} of {queries.num_rows} queries were joined with less than "
        f"the events before their day ({shown}). An earlier window has late events: build its "
        "features first, then this training set again."
    )


Known = tuple[list[int], int]
"""A history, most recent first, and the number of purchases in 28 days."""


def _recount(
    cursor: Cursor, rows: Sequence[dict[str, Any]], meaning: Meaning, limit: int | None
) -> list[Known]:
    """What the events say of each row's user before the row's day; `limit` None: all history."""
    cursor.execute(
        _RECOUNT,
        {
            **meaning.parameters(),
            "user_keys": [row["user_key"] for row in rows],
            "moments": [row["event_timestamp"] for row in rows],
            "limit": limit,
        },
    )
    return [(history, purchases) for _, history, purchases in cursor.fetchall()]


def _joined(row: dict[str, Any]) -> Known:
    return row["history"] or [], int(row["purchases_28d"] or 0)


def _is_subsequence(part: Sequence[int], whole: Sequence[int]) -> bool:
    """Whether `part` is `whole` with some elements left out."""
    rest = iter(whole)
    return all(element in rest for element in part)


def _difference(row: dict[str, Any], known: Known) -> str:
    history, purchases = _joined(row)
    who = f"user_key {row['user_key']} at {row['event_timestamp']:%Y-%m-%d %H:%M:%S}"
    same = zip(history, known[0], strict=False)
    at = next((n for n, (a, b) in enumerate(same) if a != b), min(len(history), len(known[0])))
    return (
        f"{who}: history from position {at} is {history[at : at + 3]}, the events say "
        f"{known[0][at : at + 3]}; purchases_28d is {purchases}, the events say {known[1]}"
    )
