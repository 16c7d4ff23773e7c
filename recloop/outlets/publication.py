"""Publishing: every user's list, what strangers get, and what is similar to each item.

One transaction, of one moment of the database, computes, writes, swaps and records: killed anywhere, it
has changed nothing, and is repeated. Only users whose list can have changed are computed anew: see
`_Work.changed`, and docs/adr/0028-recommendations-as-tables.md for why that is exact.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np

import recloop
from recloop.config.learnable import Meaning, meaning_of
from recloop.contracts import Publication
from recloop.database.connection import Cursor, Lock, first, transaction
from recloop.errors import BadInput, UpdateInProgress
from recloop.features.current_queries import known_moment
from recloop.ledger import publications
from recloop.ledger.publications import Published
from recloop.outlets.digests import number_of, text_of
from recloop.outlets.files import Files, is_file
from recloop.outlets.lists import SIMILAR as SIMILAR_TO
from recloop.outlets.lists import (
    Asking,
    Catalogue,
    Keys,
    Lists,
    lists_of,
    rows_of,
    similar_rows_of,
)
from recloop.outlets.tables import LISTS, PUBLISHED, SIMILAR, Tables, table_named
from recloop.release.answering import OpenRelease, champion_or, opened
from recloop.release.filters import Catalogue as Attributes
from recloop.release.filters import Filter
from recloop.settings import DEFAULT, Settings

log = logging.getLogger("recloop")
USERS = 4960
"""Users whose features are read, and whose rows are written, at a time."""
PATIENCE = 10.0
"""Seconds that another publication is waited for: the server needs some to see that one was killed."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        k: how long lists are.
        include_known: whether also what users chose before, of a family that does not expect it.
        active_days: only users with an event in the last so many days of the log; None: all.
        out: a file (`.parquet`, `.csv`), a table, or empty: the schema `published`.
    """

    k: int = 20
    filters: tuple[Filter, ...] = ()
    include_known: bool = False
    active_days: int | None = None
    out: str = ""

    def __post_init__(self) -> None:
        for name, value in (("k", self.k), ("active_days", self.active_days)):
            if value is not None and not 1 <= value <= 1000:
                raise BadInput(f"`{name}` should be from 1 to 1000. Received: {name} = {value}.")


def publish_recommendations(
    settings: Settings, wanted: Wanted, progress: Progress = lambda *_: None, anew: bool = False
) -> Publication:
    """Bring an outlet up to date with the champion and the log.

    Args:
        progress: called with users done, and all to do.
        anew: compute all lists, also those that cannot have changed.

    Raises:
        BadInput: the outlet, `k` or a filter cannot be used.
        ReleaseMissing, ReleaseDamaged: see `recloop.release.answering`.
        UpdateInProgress: another process publishes for this recommender.
        ServiceAway: the database or the store was lost, or somebody reads the tables for too long.
    """
    meaning, url = meaning_of(settings), settings.database_url
    outlet = outlet_of(settings, wanted.out)
    with _alone(settings) as guard:
        release = opened(champion_or(guard, None))
        with transaction(url) as cursor:
            outlet.check(cursor, publications.known(cursor, outlet.target))
            filters = json.dumps([asdict(one) for one in wanted.filters])
            number = publications.begin(
                cursor, outlet.target, release.release.version, wanted.k, filters
            )
        try:
            with transaction(url) as cursor:
                cursor.execute("set transaction isolation level repeatable read")
                cursor.execute("set local jit = off")
                work = _Work(cursor, outlet, release, meaning, wanted)
                made = work.publish(number, progress, anew)
        finally:
            outlet.close()
    log.info(
        "release %s published at %s: %s users, %s lists computed anew, %s rows",
        *(made.release, made.target, made.users, made.computed, made.rows),
    )
    return made


def outlet_of(settings: Settings, out: str) -> Tables | Files:
    """Where `out` says.

    Raises:
        BadInput: it says nothing that can be written.
    """
    name = settings.recommender or DEFAULT
    if not out:
        return Tables(PUBLISHED, name)
    return Files(out, name) if is_file(out) else table_named(out, name)


@contextmanager
def _alone(settings: Settings) -> Iterator[Cursor]:
    """Nobody else publishes for this recommender meanwhile; whoever is killed lets go."""
    name, deadline = settings.recommender or DEFAULT, time.monotonic() + PATIENCE
    with transaction(settings.database_url) as cursor:
        held = "select pg_try_advisory_xact_lock(%s, hashtext(%s))"
        while not first(cursor, held, (Lock.OUTLET, name)):
            if time.monotonic() > deadline:
                raise UpdateInProgress(
                    f"another process publishes recommendations of {name}; try again later."
                )
            time.sleep(0.1)
        yield cursor


class _Work:
    """One publication, in its transaction."""

    def __init__(
        self,
        cursor: Cursor,
        outlet: Tables | Files,
        release: OpenRelease,
        meaning: Meaning,
        wanted: Wanted,
    ) -> None:
        self._cursor, self._outlet, self._wanted, self._release = cursor, outlet, wanted, release
        features = release.family.needs_features
        self._moment = known_moment(cursor, meaning) if features else None
        self._since = _since(cursor, meaning, wanted.active_days)
        shown = _shown(cursor, release, wanted.filters)
        self._asking = Asking(release, meaning, wanted.k, shown, wanted.include_known)
        self._catalogue = Catalogue(cursor)
        self._parts = publications.parts_now(cursor, features)
        read_as = meaning.parameters() | {"session_gap": meaning.session_gap}
        self._basis: dict[str, Any] = {
            "recloop": recloop.__version__,
            "release": release.release.version,
            "files": release.release.uri,
            "moment": self._moment and self._moment.isoformat(),
            "k": wanted.k,
            "filters": json.loads(json.dumps([asdict(one) for one in wanted.filters])),
            "shown items": "" if shown is None else hashlib.sha256(shown.tobytes()).hexdigest(),
            "include_known": wanted.include_known,
            "active since": self._since and self._since.isoformat(),
            "dataset file": hashlib.sha256(
                json.dumps(read_as, sort_keys=True).encode()
            ).hexdigest(),
        }

    def publish(self, number: int, progress: Progress, anew: bool) -> Publication:
        """Compute what is to be, write it, and take the place of what was."""
        cursor, outlet = self._cursor, self._outlet
        before = publications.published(cursor, outlet.target)
        why = "asked for" if anew else self._why_all(before)
        newest = first(cursor, "select coalesce(max(user_key), 0) from behavior.account")
        if why or before is None:
            keys, names = self._users("true", {})
            users, (total, rows, similar) = len(keys), self._write_all(keys, names, progress)
        else:
            keys, names = self.changed(before)
            total, rows = self._write_some(before, keys, names, progress)
            similar = before.publication.similar_rows
            everybody = f"select count(*) from behavior.account where {self._active}"
            users = first(cursor, everybody, {"since": self._since})
        made = Publication(
            id=number,
            target=outlet.target,
            release=self._release.release.version,
            moment=self._moment,
            k=self._wanted.k,
            filters=self._basis["filters"],
            users=users,
            computed=len(keys),
            rows=rows,
            similar_rows=similar,
            sha256=text_of(total),
            finished_at=datetime.now(UTC),
            why=why,
        )
        if why:
            outlet.swap(cursor)
        publications.conclude(cursor, made, self._basis, self._parts, newest)
        return made

    def _why_all(self, before: Published | None) -> str:
        """Why every list is computed anew; empty: only some are."""
        if before is None or not self._outlet.stands(self._cursor):
            return "nothing is there yet"
        moved = [name for name, value in self._basis.items() if before.basis.get(name) != value]
        return f"moved since: {', '.join(moved)}" if moved else ""

    def changed(self, before: Published) -> tuple[Keys, list[str]]:
        """Users whose list can be another than the published one, whose basis is the same: whoever has
        events in parts that have grown, or whose features were not or are not there, and whoever has
        come."""
        parts = publications.changed_parts(before.parts, self._parts)
        touched = publications.users_of(self._cursor, parts)
        given = {"touched": touched, "newest": before.newest_user}
        return self._users("(user_key = any(%(touched)s) or user_key > %(newest)s)", given)

    @property
    def _active(self) -> str:
        """SQL: whether an account is of those that have a list."""
        recent = "select user_key from behavior.event where event_timestamp >= %(since)s"
        return f"user_key in ({recent})" if self._since else "true"

    def _users(self, which: str, given: dict[str, Any]) -> tuple[Keys, list[str]]:
        """Those that have a list, and of which the SQL `which` holds: keys, ascending, and ids."""
        self._cursor.execute(
            "select user_key, user_id from behavior.account "
            f"where {which} and {self._active} order by 1",
            given | {"since": self._since},
        )
        rows = self._cursor.fetchall()
        return np.array([key for key, _ in rows], np.int64), [name for _, name in rows]

    def _write_all(self, keys: Keys, names: list[str], progress: Progress) -> tuple[int, int, int]:
        """Everything into new tables or files; returns the digest, and rows of both kinds."""
        cursor, outlet = self._cursor, self._outlet
        outlet.begin(cursor, self._release.release.version)
        total = rows = similar = 0
        strangers = self._asking.strangers(cursor)
        for lists in chain((strangers,), self._many(keys, names, progress)):
            outlet.add(cursor, LISTS, rows_of(lists, self._catalogue), anew=True)
            total, rows = total + lists.digest(), rows + lists.rows
        for lists in self._asking.similar(self._catalogue):
            outlet.add(cursor, SIMILAR, similar_rows_of(lists, self._catalogue), anew=True)
            total, similar = total + lists.digest(SIMILAR_TO), similar + lists.rows
        return total, rows, similar

    def _write_some(
        self, before: Published, keys: Keys, names: list[str], progress: Progress
    ) -> tuple[int, int]:
        """Other lists in the place of these users'; returns the digest and the rows of all."""
        cursor, outlet = self._cursor, self._outlet
        total, rows = number_of(before.publication.sha256), before.publication.rows
        for lists in self._many(keys, names, progress):
            gone = lists_of(outlet.take_away(cursor, lists.names), self._catalogue, self._wanted.k)
            outlet.add(cursor, LISTS, rows_of(lists, self._catalogue), anew=False)
            total += lists.digest() - gone.digest()
            rows += lists.rows - gone.rows
        return total, rows

    def _many(self, keys: Keys, names: list[str], progress: Progress) -> Iterator[Lists]:
        for low in range(0, len(keys), USERS):
            some = slice(low, low + USERS)
            yield self._asking.lists(self._cursor, keys[some], names[some])
            progress(min(low + USERS, len(keys)), len(keys))


def _since(cursor: Cursor, meaning: Meaning, days: int | None) -> datetime | None:
    """The midnight after which whoever has an event is active, `days` before the newest event's end of
    day; None: everybody is, or nothing has happened yet."""
    newest = first(cursor, "select max(event_timestamp) from behavior.event") if days else None
    if newest is None or days is None:
        return None
    end = meaning.calendar.whole_days(newest, newest + timedelta(microseconds=1))[1]
    return end - timedelta(days=days)


def _shown(cursor: Cursor, release: OpenRelease, filters: tuple[Filter, ...]) -> np.ndarray | None:
    """Which of the release's items may be shown; None: all."""
    if not filters:
        return None
    if not release.light:
        raise BadInput(
            f"`filter` needs a release that answers without TensorFlow; family "
            f"{release.family.name!r}, or its export of an earlier recloop, does not."
        )
    return Attributes.read(cursor).shown(filters, release.answerer.items.keys)
