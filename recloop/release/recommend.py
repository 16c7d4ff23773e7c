"""Answering from the champion: its SavedModel, over online features.

The champion is read from the ledger at each call, so a promotion is seen at once and a half-made one
never.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recloop.behavior.records import storable
from recloop.config.dataset import load_dataset
from recloop.contracts import Contract, Release
from recloop.database.connection import transaction
from recloop.errors import BadInput, ReleaseDamaged, ReleaseMissing
from recloop.ledger import releases
from recloop.ledger.deletions import require_files
from recloop.release.serving import SAVED_MODEL
from recloop.settings import Settings

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
    release: int
    known_user: bool
    """False: the user was never seen, and gets what fits an empty history."""
    items: tuple[Recommended, ...]


@dataclass(frozen=True)
class _Asker:
    user_key: int
    bought: tuple[int, ...]


def recommend(
    settings: Settings,
    user_id: str,
    k: int = 10,
    version: int | None = None,
    include_known: bool = False,
) -> Recommendations:
    """The k best items for a user.

    Args:
        user_id: brought into the form that ids of the source have (see `config/id_rules.py`).
        version: a release other than the champion.
        include_known: whether items that the user chose before may be shown again.

    Raises:
        BadInput: `k` is not positive, or `user_id` is empty.
        ReleaseMissing: no champion yet, no such release, or its files were thinned.
        ReleaseDamaged: its export is not what was written.
    """
    from recloop.features.online import online_queries

    if k < 1:
        raise BadInput(f"`k` should be a positive integer. Received: `k` = {k}.")
    user_id = storable(load_dataset(settings).ids.normal(user_id))
    if not user_id:
        raise BadInput(
            "`user` should be the id of a user, as in your data. Received: an empty text."
        )
    with transaction(settings.database_url) as cursor:
        release = _release(cursor, version)
        asker = _asker(cursor, settings, user_id)
    served = _load(release)
    queries = online_queries(settings, [asker.user_key])
    exclude = np.array([[] if include_known else asker.bought], np.int64).reshape(1, -1)
    keys, scores = served.top_k(queries, k, exclude)
    shown = [(int(key), float(score)) for key, score in zip(keys[0], scores[0], strict=True) if key]
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            "select item_key, item_id, coalesce(name, item_id) from behavior.item "
            "where item_key = any(%s)",
            ([key for key, _ in shown],),
        )
        names = {key: (item_id, name) for key, item_id, name in cursor.fetchall()}
    return Recommendations(
        user_id=user_id,
        release=release.version,
        known_user=asker.user_key > 0,
        items=tuple(
            Recommended(item_id=names[key][0], name=names[key][1], score=round(score, 4))
            for key, score in shown
        ),
    )


@lru_cache(maxsize=2)
def _served(directory: str) -> Answers:
    from models.recommenders.recommender_files import family_in

    return family_in(Path(directory)).load().served(directory)


def _load(release: Release) -> Answers:
    from models.errors import RestoreError

    try:
        return _served(str(Path(release.uri) / SAVED_MODEL))
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


def _asker(cursor: Any, settings: Settings, user_id: str) -> _Asker:
    from recloop.config.learnable import LEARNABLE, meaning_of

    cursor.execute("select user_key from behavior.account where user_id = %s", (user_id,))
    row = cursor.fetchone()
    if row is None:
        return _Asker(0, ())
    cursor.execute(
        f"select distinct item_key from behavior.event where user_key = %(user)s and {LEARNABLE} "
        "order by 1",
        {"user": row[0]} | meaning_of(settings).parameters(),
    )
    return _Asker(int(row[0]), tuple(key for (key,) in cursor.fetchall()))
