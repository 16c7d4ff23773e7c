"""What is known of all users and items when a release is exported: what it answers from by itself.

Belongs here: the newest rows of the offline store for everybody, as a ranker takes them. Neighbours:
`online.py` looks single users up; `item_days.py` has the items' part.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np

from models.arrays import Queries
from recloop.database.connection import transaction
from recloop.features.address import database_of
from recloop.features.columns import OWN_LISTS, OWN_TOTALS
from recloop.features.item_days import item_snapshot
from recloop.features.known import aged_own_items
from recloop.features.online import newest_day
from recloop.settings import Settings

# One look into the primary key for each user: `distinct on` would read every row ever written.
_LATEST = f"""
    select account.user_key, {", ".join(f"latest.{name}" for name in (*OWN_LISTS, *OWN_TOTALS))}
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
    them, too; and the items' statistics at one UTC midnight.

    The queries have neither history nor statistics of users.
    """
    with transaction(database_of(settings)) as cursor:
        cursor.execute(_LATEST)
        rows = cursor.fetchall()
    users = np.array([row[0] for row in rows], np.int64)
    lists = dict(zip(OWN_LISTS, zip(*(row[1:] for row in rows), strict=True), strict=False))
    lengths = np.array([len(items) for items in lists.get("items", ())], np.int64)
    columns = {
        name: np.array(
            [value for one in lists.get(name, ()) for value in one],
            np.float64 if "decayed" in name else np.int64,
        )
        for name in OWN_LISTS
    }
    totals = np.array([row[-len(OWN_TOTALS) :] for row in rows], np.float32)
    days = np.full(len(rows), newest_day(settings))
    return Queries(
        users,
        np.zeros((len(rows), 0), np.int64),
        np.zeros((len(rows), 0), np.float32),
        aged_own_items(lengths, days, columns, totals.reshape(-1, len(OWN_TOTALS))),
        item_snapshot(settings, moment),
    )
