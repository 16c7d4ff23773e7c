"""Answering one person from the champion, over what is known of who asks.

The champion is read from the ledger at each call, so a promotion is seen at once and a half-made one
never.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recloop.behavior.records import storable
from recloop.config.dataset import load_dataset
from recloop.config.learnable import meaning_of
from recloop.contracts import Contract
from recloop.database import connection as database
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.features.current_queries import asked_user
from recloop.release.answering import (
    after_session,
    already_chosen,
    champion_or,
    hears_sessions,
    opened,
    queries_for,
)
from recloop.settings import Settings


class Recommended(Contract):
    """One recommended item."""

    item_id: str
    name: str
    score: float


class Recommendations(Contract):
    """What one user is shown, and by which release."""

    user_id: str
    """Empty: a session was given."""
    release: int
    known_user: bool
    """False: the user was never seen, and gets what fits an empty history."""
    items: tuple[Recommended, ...]


def recommend(
    settings: Settings,
    user_id: str = "",
    k: int = 10,
    version: int | None = None,
    include_known: bool = False,
    session: Sequence[str] = (),
) -> Recommendations:
    """The k best items for a user, or after a session.

    Args:
        user_id: brought into the form that ids of the source have (see `config/id_rules.py`).
        version: a release other than the champion.
        include_known: whether items that the user chose before may be shown again; a family that expects
            them again (`Family.repeats`) always shows them.
        session: item ids, oldest first, instead of a user; of a family that looks at what was chosen.

    Raises:
        BadInput: `k` is not positive, neither or both of user and session are given, or one cannot be
            used.
        ReleaseMissing: no champion yet, no such release, or its files were thinned.
        ReleaseDamaged: its export is not what was written.
    """
    if k < 1:
        raise BadInput(f"`k` should be a positive integer. Received: `k` = {k}.")
    rules = load_dataset(settings).ids
    user_id = storable(rules.normal(user_id))
    if bool(user_id) == bool(session):
        received = f"user {user_id!r} and session {list(session)}" if user_id else "an empty text"
        raise BadInput(
            "`user` should be the id of a user, as in your data, or `session` the ids of items, and not "
            f"both. Received: {received}."
        )
    meaning = meaning_of(settings)
    with transaction(settings.database_url) as cursor:
        release = champion_or(cursor, version)
        asked = opened(release)
        if session and not hears_sessions(asked.family):
            raise BadInput(
                f"release {release.version} is of family {asked.family.name}, to which a session says "
                f"nothing; give `user`. Received: `session` = {list(session)}."
            )
        user_key = asked_user(cursor, user_id) if user_id else 0
        items = _keys(cursor, [storable(rules.normal(item)) for item in session])
        known = queries_for(cursor, asked.family, [user_key], meaning)
        queries = after_session(asked.family, known, items, meaning)
        chosen = already_chosen(cursor, asked.family, user_key, meaning)
    again = include_known or asked.family.repeats
    banned = np.zeros(0, np.int64) if again else np.union1d(chosen, np.array(items, np.int64))
    keys, scores = asked.top_k(queries, k, banned.reshape(1, -1))
    shown = [(int(key), float(score)) for key, score in zip(keys[0], scores[0], strict=True) if key]
    names = database.asked(settings.database_url, _names, [key for key, _ in shown])
    return Recommendations(
        user_id=user_id,
        release=release.version,
        known_user=user_key > 0 or bool(session),
        items=tuple(
            Recommended(item_id=names[key][0], name=names[key][1], score=round(score, 4))
            for key, score in shown
        ),
    )


def _keys(cursor: Any, ids: Sequence[str]) -> list[int]:
    """Keys of items, in the order of their ids."""
    if not ids:
        return []
    wanted = "select item_id, item_key from behavior.item where item_id = any(%s)"
    cursor.execute(wanted, (list(ids),))
    keys = dict(cursor.fetchall())
    strange = [item for item in ids if item not in keys]
    if strange:
        raise BadInput(
            f"`session` should name items of your data. Received: {strange[0]!r}, which no event had."
        )
    return [keys[item] for item in ids]


def _names(cursor: Any, keys: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Id and name of items by key."""
    cursor.execute(
        "select item_key, item_id, coalesce(name, item_id) from behavior.item "
        "where item_key = any(%s)",
        (list(keys),),
    )
    return {key: (item_id, name) for key, item_id, name in cursor.fetchall()}
