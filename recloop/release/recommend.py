"""Answering from the champion: its SavedModel, over what is known of who asks.

The champion is read from the ledger at each call, so a promotion is seen at once and a half-made one
never.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.data.queries import Queries
from models.data.sessions import queries_of
from models.recommenders.family import Family
from recloop.behavior.records import storable
from recloop.config.dataset import load_dataset
from recloop.config.learnable import meaning_of
from recloop.contracts import Contract, Release
from recloop.database.connection import asked, transaction
from recloop.errors import BadInput, ReleaseDamaged, ReleaseMissing
from recloop.features.online import asked_user, chosen_by, latest_session, online_queries
from recloop.ledger import releases
from recloop.ledger.deletions import require_files
from recloop.release.promotion import SAVED_MODEL
from recloop.settings import Settings
from recloop.training.recommender import family_of_release

if TYPE_CHECKING:
    from models.recommenders.family import Answers


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
        session: item ids, oldest first, instead of a user; for a family that learns sessions.

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
    with transaction(settings.database_url) as cursor:
        release = _release(cursor, version)
        family = _family(release)
        if session:
            user_key, bought = 0, np.zeros(0, np.int64)
            ids = [storable(rules.normal(item)) for item in session]
            queries = _of_session(cursor, family, ids)
        else:
            user_key = asked_user(cursor, user_id)
            meaning = meaning_of(settings)
            bought = chosen_by(cursor, user_key, meaning)
            queries = latest_session(cursor, user_key, meaning)
    if user_id and family.needs_features:
        queries = online_queries(settings, [user_key])
    with _told_as_damaged(release):
        served = _served(str(Path(release.uri) / SAVED_MODEL))
    known = bought[:0] if include_known or family.repeats else bought
    keys, scores = served.top_k(queries, k, known.reshape(1, -1))
    shown = [(int(key), float(score)) for key, score in zip(keys[0], scores[0], strict=True) if key]
    names = asked(settings.database_url, _names, [key for key, _ in shown])
    return Recommendations(
        user_id=user_id,
        release=release.version,
        known_user=user_key > 0 or bool(session),
        items=tuple(
            Recommended(item_id=names[key][0], name=names[key][1], score=round(score, 4))
            for key, score in shown
        ),
    )


def _of_session(cursor: Any, family: Family, ids: Sequence[str]) -> Queries:
    """A query with these items as its history."""
    if not family.needs("sessions"):
        raise BadInput(
            f"the release is of family {family.name}, which is asked for users; give `user`."
        )
    wanted = "select item_id, item_key from behavior.item where item_id = any(%s)"
    cursor.execute(wanted, (list(ids),))
    keys = dict(cursor.fetchall())
    strange = [item for item in ids if item not in keys]
    if strange:
        raise BadInput(
            f"`session` should name items of your data. Received: {strange[0]!r}, which no event had."
        )
    return queries_of(np.array([[keys[item] for item in reversed(ids)]], np.int64))


def _names(cursor: Any, keys: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Id and name of items by key."""
    cursor.execute(
        "select item_key, item_id, coalesce(name, item_id) from behavior.item "
        "where item_key = any(%s)",
        (list(keys),),
    )
    return {key: (item_id, name) for key, item_id, name in cursor.fetchall()}


def _family(release: Release) -> Family:
    with _told_as_damaged(release):
        return family_of_release(release)


@lru_cache(maxsize=2)
def _served(directory: str) -> Answers:
    from models.recommenders.recommender_files import family_in

    return family_in(Path(directory)).load().served(directory)


@contextmanager
def _told_as_damaged(release: Release) -> Iterator[None]:
    from models.errors import RestoreError

    try:
        yield
    except RestoreError as error:
        raise ReleaseDamaged(
            f"the export of release {release.version} is damaged: {error}. `recloop publish --release "
            f"{release.version}` writes it anew from its checkpoint; `recloop rollback` goes back to "
            "an earlier release."
        ) from error


def _release(cursor: Any, version: int | None) -> Release:
    if version is not None:
        release = releases.release_of(cursor, version)
        require_files(cursor, version)
        return release
    champion = releases.champion(cursor)
    if champion is None:
        raise ReleaseMissing(
            "there is no champion yet; run `recloop update` (or `make demo`) first."
        )
    return champion
