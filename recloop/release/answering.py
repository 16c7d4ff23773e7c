"""A release that answers: its export opened, and what it is asked with.

One way for all who ask: `recommend`, the tables of all users (`recloop/outlets/`) and the HTTP server
put their queries together here and get the same items and scores, to the last bit. Families that come
with recloop answer without TensorFlow; one of somebody's own, and an older export,
answer by TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models.data.queries import Queries
from models.data.sessions import queries_of
from recloop.config.learnable import Meaning
from recloop.contracts import Release
from recloop.database.connection import Cursor
from recloop.errors import BadInput, ReleaseDamaged, ReleaseMissing
from recloop.features.current_queries import chosen_by, known_queries, latest_session, with_session
from recloop.ledger import releases
from recloop.ledger.deletions import require_files
from recloop.release.promotion import SAVED_MODEL

if TYPE_CHECKING:
    from models.recommenders.family import Family

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OpenRelease:
    """A release and what answers from it.

    Attributes:
        answerer: a `models.recommenders.answers.Answerer`, or a family's own `Answers`.
        light: whether it is the former: without TensorFlow, with filters.
    """

    release: Release
    family: Family
    answerer: Any
    light: bool

    def top_k(
        self, queries: Queries, k: int, exclude: Keys, shown: np.ndarray | None = None
    ) -> tuple[Keys, npt.NDArray[np.float32]]:
        """See `models.recommenders.answers.Answerer.top_k`; `shown` needs a light one."""
        if self.light:
            return self.answerer.top_k(queries, k, exclude, shown)  # type: ignore[no-any-return]
        assert shown is None
        return self.answerer.top_k(queries, k, exclude)  # type: ignore[no-any-return]

    def top_k_and_sources(
        self, queries: Queries, k: int, exclude: Keys, shown: np.ndarray | None = None
    ) -> tuple[Keys, npt.NDArray[np.float32], np.ndarray]:
        """Both at once: see `models.recommenders.answers.Answerer.top_k_and_sources`."""
        if self.light:
            return self.answerer.top_k_and_sources(queries, k, exclude, shown)  # type: ignore[no-any-return]
        keys, scores = self.top_k(queries, k, exclude)
        return keys, scores, self.sources(queries, keys)

    def sources(self, queries: Queries, keys: Keys, shown: np.ndarray | None = None) -> np.ndarray:
        """How each item came into its answer: see `models.recommenders.answers.Answerer.sources`."""
        from models.recommenders.answers import NONE, RETRIEVAL

        if self.light:
            return self.answerer.sources(queries, keys, shown)  # type: ignore[no-any-return]
        return np.where(keys > 0, RETRIEVAL, NONE).astype(np.uint8)

    def similar(
        self, item_keys: Keys, k: int, shown: np.ndarray | None = None
    ) -> tuple[Keys, npt.NDArray[np.float32]]:
        """Items nearest to each: see `models.recommenders.answers.Answerer.similar`.

        Raises:
            BadInput: the family has no vectors of items.
        """
        from models.errors import NoItemVectors

        if not self.light:
            raise BadInput(
                f"family {self.family.name!r} answers by TensorFlow, and tells no similar items."
            )
        try:
            return self.answerer.similar(item_keys, k, shown)  # type: ignore[no-any-return]
        except NoItemVectors as error:
            raise BadInput(str(error)) from error


def champion_or(cursor: Cursor, version: int | None) -> Release:
    """The champion, or the release of this number.

    Raises:
        ReleaseMissing: no champion yet, no such release, or its files were thinned.
    """
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


def opened(release: Release) -> OpenRelease:
    """The release, its files checked against their digests; the latest two stay open.

    Raises:
        ReleaseDamaged: its export is not what was written.
    """
    with _told_as_damaged(release):
        family, answerer, light = _open(str(Path(release.uri) / SAVED_MODEL))
    return OpenRelease(release, family, answerer, light)


def held(release: Release) -> OpenRelease:
    """The same, checked anew and copied into memory, for who answers for long: what happens to the files
    later does not change it.

    Raises:
        ReleaseDamaged: its export is not what was written.
    """
    with _told_as_damaged(release):
        family, answerer, light = _opened(str(Path(release.uri) / SAVED_MODEL), mapped=False)
    return OpenRelease(release, family, answerer, light)


@lru_cache(maxsize=2)
def _open(directory: str) -> tuple[Family, Any, bool]:
    return _opened(directory, mapped=True)


def _opened(directory: str, mapped: bool) -> tuple[Family, Any, bool]:
    from models.recommenders import answers
    from models.recommenders.offered import named
    from models.recommenders.recommender_files import family_in

    family = family_in(Path(directory))
    if family.answers and answers.there(Path(directory)):
        return family, named(family.answers)(directory, mapped), True
    return family, family.load().served(directory), False


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


def queries_for(
    cursor: Cursor,
    family: Family,
    user_keys: Sequence[int],
    meaning: Meaning,
    moment: datetime | None = None,
) -> Queries:
    """What a family is asked with for these users: with features as of a midnight (None: the newest
    computed day's end), or their latest sessions as of now."""
    if family.needs_features:
        return known_queries(cursor, user_keys, meaning, moment)
    parts = [latest_session(cursor, key, meaning) for key in user_keys]
    return Queries(
        np.asarray(user_keys, np.int64),
        np.concatenate([part.history for part in parts]),
        np.zeros((len(parts), 0), np.float32),
    )


def hears_sessions(family: Family) -> bool:
    """Whether what was clicked just now says anything to a family: it learns sessions, or looks at what
    a user has chosen."""
    return any(family.needs(name) for name in ("sessions", "history", "own_items"))


def after_session(
    family: Family, queries: Queries, session: Sequence[int], meaning: Meaning
) -> Queries:
    """One query as it is after its user chose these items just now, keys, oldest first. To a family that
    learns sessions, they are the session. Where there are several kinds of events, they were of the kind
    that counts least: who looks has not bought yet."""
    if not session or not hears_sessions(family):
        return queries
    if family.needs("sessions"):
        return queries_of(np.array([session[::-1]], np.int64))
    return with_session(queries, session, meaning.lightest_kind)


def already_chosen(cursor: Cursor, family: Family, user_key: int, meaning: Meaning) -> Keys:
    """What is not recommended again, unless it is asked for: int64 [E]. A family that expects repeats
    (`Family.repeats`) leaves out nothing."""
    if family.repeats or not user_key:
        return np.zeros(0, np.int64)
    return chosen_by(cursor, user_key, meaning)
