"""Who asks for recommendations, told from events alone: for families that no feature store is asked for.

Neighbour: `online.py`, which looks features up.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from psycopg2.extensions import cursor as Cursor

from models.data.queries import Queries
from recloop.config.learnable import LEARNABLE, Meaning
from recloop.features.daily import HISTORY_LENGTH


def asked_user(cursor: Cursor, user_id: str) -> int:
    """The key of a user's id; 0 for one never seen."""
    cursor.execute("select user_key from behavior.account where user_id = %s", (user_id,))
    row = cursor.fetchone()
    return int(row[0]) if row else 0


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
