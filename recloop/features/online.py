"""Features for serving: filling Feast's online store by window, and looking features up.

Belongs here: materialization and online look-ups. Keep out: computing features (see `daily.py`), what
recloop's own answers know of who asks (`current_queries.py`), ranking (see `models/`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np

from models.data.queries import OwnItems, Queries
from recloop.calendar import WindowCalendar
from recloop.config.learnable import Meaning, meaning_of
from recloop.database.connection import first, transaction
from recloop.database.embedded import database_of
from recloop.errors import ServiceAway
from recloop.features.current_queries import kinds_of
from recloop.features.daily import HISTORY_LENGTH
from recloop.features.ranker_inputs import (
    ALL_KINDS,
    OWN_KINDS,
    OWN_LISTS,
    OWN_TOTALS,
    STATISTICS,
    aged_own_items,
    item_snapshot,
    scaled_statistics,
)
from recloop.features.store import feature_store, quiet, service_errors
from recloop.settings import Settings

OVERLAP = timedelta(days=1)
"""How far before the window materialization starts: rows stamped at its very start are the day
before's, and late events may have changed them."""


def materialize(settings: Settings, meaning: Meaning | None = None) -> int:
    """Bring the online store up to the feature rows of all windows that were written since it was last
    brought up; returns how many windows. Killed, it is repeated by the next call.

    The range ends with the newest computed day, not with a window's, when events came late: Feast
    writes whatever row is the latest of its range, and an older row must not replace a newer one.
    The cost follows the entities with rows in the range: of a history of a hundred windows, each entity
    is written once, where window by window it would be written a hundred times.

    Raises:
        ServiceAway: the database was lost. Feast's interval is then not recorded; run it again.
    """
    meaning = meaning or meaning_of(settings)
    url = database_of(settings)
    with transaction(url) as cursor:
        cursor.execute(
            "select window_key, built_at, starts, ends from features.built_window "
            "where online_as_of is distinct from built_at order by starts"
        )
        waiting = cursor.fetchall()
        if not waiting:
            return 0
        keys, built, starts, ends = zip(*waiting, strict=True)
        start, end = _range(cursor, starts[0], max(ends), meaning.calendar)
    store = feature_store(settings)
    with service_errors(url), quiet():
        store.materialize(start, end)
    with transaction(url) as cursor:
        cursor.execute(
            "update features.built_window set online_as_of = known.built_at "
            "from unnest(%s::text[], %s::timestamptz[]) as known (window_key, built_at) "
            "where built_window.window_key = known.window_key",
            (list(keys), list(built)),
        )
    return len(keys)


def _range(
    cursor: Any, start: datetime, end: datetime, calendar: WindowCalendar
) -> tuple[datetime, datetime]:
    ends = "select max(ends) filter (where ends <= %s), max(ends) from features.built_window"
    cursor.execute(ends, (start,))
    before, newest = cursor.fetchone()
    return calendar.whole_days((before or start) - OVERLAP, max(newest or end, end))


def online_features(
    settings: Settings, user_keys: Sequence[int] = (), item_keys: Sequence[int] = ()
) -> list[dict[str, Any]]:
    """What the online store knows of users, or of items: one dictionary per key, in their order.

    Values are None where nothing is known. Services: `serving_users`, `serving_items`. When the
    server was restarted, this process's connections are dead: it then connects anew, once.

    Raises:
        ServiceAway: the database cannot be reached.
    """
    kind, keys = ("user", user_keys) if len(user_keys) else ("item", item_keys)
    if not len(keys):
        return []
    try:
        columns = _look_up(settings, kind, keys)
    except ServiceAway:
        columns = _look_up(settings, kind, keys)
    return [{name: columns[name][n] for name in columns} for n in range(len(keys))]


def _look_up(settings: Settings, kind: str, keys: Sequence[int]) -> dict[str, list[Any]]:
    store = feature_store(settings)
    with service_errors(database_of(settings)):
        response = store.get_online_features(
            features=store.get_feature_service(f"serving_{kind}s", allow_cache=True),
            entity_rows=[{f"{kind}_key": int(key)} for key in keys],
        )
    return response.to_dict()  # in no fixed order: select by name


def online_queries(settings: Settings, user_keys: Sequence[int]) -> Queries:
    """The model's inputs for these users at the end of the newest computed day; zeros for unknown
    users. Items' statistics are not among them: a release carries its own.

    Raises:
        ServiceAway: the database cannot be reached.
    """
    history = np.zeros((len(user_keys), HISTORY_LENGTH), np.int64)
    raw = np.zeros((len(user_keys), len(STATISTICS)), np.float64)
    lists: dict[str, list[float]] = {name: [] for name in OWN_LISTS}
    totals = np.zeros((len(user_keys), len(OWN_TOTALS)), np.float32)
    lengths = np.zeros(len(user_keys), np.int64)
    counts: list[tuple[list[int] | None, list[int] | None]] = []
    for n, known in enumerate(online_features(settings, user_keys=user_keys)):
        items = known["history"] or []
        history[n, : len(items)] = items
        raw[n] = [known[name] or 0 for name in STATISTICS]
        totals[n] = [known[name] or 0 for name in OWN_TOTALS]
        lengths[n] = len(known["items"] or [])
        counts.append((known[OWN_KINDS], known[ALL_KINDS]))
        for name in OWN_LISTS:
            lists[name] += known[name] or []
    own = _own_items(settings, lengths, lists, totals, counts)
    return Queries(np.asarray(user_keys, np.int64), history, scaled_statistics(raw), own)


def _own_items(
    settings: Settings,
    lengths: np.ndarray,
    lists: Mapping[str, Iterable[float]],
    totals: np.ndarray,
    counts: Sequence[tuple[Sequence[int] | None, Sequence[int] | None]],
) -> OwnItems:
    """`aged_own_items` as of the newest computed day.

    Args:
        counts: `OWN_KINDS` and `ALL_KINDS` of each query.
    """
    columns = {
        name: np.array(list(values), np.float64 if "decayed" in name else np.int64)
        for name, values in lists.items()
    }
    own, every = zip(*counts, strict=True) if counts else ((), ())
    kinds = kinds_of(lengths, own, every, len(meaning_of(settings).kinds))
    days = np.full(len(lengths), newest_day(settings))
    return aged_own_items(lengths, days, columns, totals, kinds)


def newest_day(settings: Settings) -> int:
    """The day after the newest computed one, in days since 1970-01-01: the data's clock."""
    with transaction(database_of(settings)) as cursor:
        end = first(cursor, "select max(ends) from features.built_window")
    calendar = meaning_of(settings).calendar
    return calendar.day_number(calendar.whole_days(end, end)[1]) if end else 0


# What is known of all users and items when a release is exported: what it answers from by itself.


_COLUMNS = (*OWN_LISTS, *OWN_TOTALS, OWN_KINDS, ALL_KINDS)
# One look into the primary key for each user: `distinct on` would read every row ever written.
_LATEST = f"""
    select account.user_key, {", ".join(f"latest.{name}" for name in _COLUMNS)}
    from behavior.account
    cross join lateral (
        select * from features.user_items
        where user_items.user_key = account.user_key
        order by event_timestamp desc
        limit 1
    ) as latest
    order by 1
"""


def release_snapshot(settings: Settings, moment: datetime) -> Queries:
    """Every user with its own items as of the newest computed day, which is what `online.py` says of
    them, too; and the items' statistics at one midnight.

    The queries have neither history nor statistics of users.
    """
    with transaction(database_of(settings)) as cursor:
        cursor.execute(_LATEST)
        rows = cursor.fetchall()
    users = np.array([row[0] for row in rows], np.int64)
    lists = dict(zip(OWN_LISTS, zip(*(row[1:] for row in rows), strict=True), strict=False))
    lengths = np.array([len(items) for items in lists.get("items", ())], np.int64)
    flat = {name: chain.from_iterable(lists.get(name, ())) for name in OWN_LISTS}
    after = 1 + len(OWN_LISTS) + len(OWN_TOTALS)
    totals = np.array([row[1 + len(OWN_LISTS) : after] for row in rows], np.float32)
    meaning = meaning_of(settings)
    return Queries(
        users,
        np.zeros((len(rows), 0), np.int64),
        np.zeros((len(rows), 0), np.float32),
        _own_items(
            settings,
            lengths,
            flat,
            totals.reshape(-1, len(OWN_TOTALS)),
            [row[after:] for row in rows],
        ),
        item_snapshot(settings, moment, meaning.calendar, len(meaning.kinds)),
    )
