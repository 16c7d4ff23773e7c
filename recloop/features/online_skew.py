"""Feast's online store, which servers of a shop's own read, against the tables that it is filled from.

Neighbours: `online.py` fills and reads it, `skew.py` says when features differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.database.embedded import database_of
from recloop.features.current_queries import known_queries
from recloop.features.online import online_queries
from recloop.features.skew import differing, features_of
from recloop.settings import Settings

LATEST = """
    select user_key from features.user_history
    where event_timestamp > (select max(ends) from features.built_window) - interval '28 days'
    group by user_key order by max(event_timestamp) desc, user_key limit %s
"""


@dataclass(frozen=True)
class Online:
    """How many users' rows of the online store were compared, and how the first that differs does."""

    users: int
    differ: int = 0
    example: str = ""


def online_skew(settings: Settings, meaning: Meaning, most: int = 20) -> Online:
    """Compare the online store with the tables that it is filled from, of the users with the latest
    events.

    Raises:
        ServiceAway: the database cannot be reached.
    """
    with transaction(database_of(settings)) as cursor:
        cursor.execute(LATEST, (most,))
        users = [key for (key,) in cursor.fetchall()]
        ours = known_queries(cursor, users, meaning) if users else None
    if ours is None:
        return Online(0)
    theirs = online_queries(settings, users)
    pairs = [
        (user, differing(features_of(theirs, n), features_of(ours, n)))
        for n, user in enumerate(users)
    ]
    wrong = [(user, told) for user, told in pairs if told]
    if not wrong:
        return Online(len(users))
    user, told = wrong[0]
    feature, (served, known) = next(iter(told.items()))
    return Online(
        len(users),
        len(wrong),
        f"{feature} of user_key {user} is {served} online and {known} in the tables",
    )
