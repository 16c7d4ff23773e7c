"""A champion that answers: opened, warmed, tested, beside the items' names and attributes.

One object for each release; a server swaps the whole of it in one step, so that an answer is of one
release whatever happens meanwhile. Belongs here: what an answer is. Keep out: who may ask (`keys.py`),
when the object is exchanged (`following.py`), HTTP (`api.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from models.cooccurrence.pair_config import PAIR_MEMORY_FEATURES
from models.data.queries import Queries
from models.errors import NoItemVectors
from models.ranker.ranker_config import PAIR_FEATURES, USER_FEATURES
from models.recommenders.answers import SOURCES
from recloop.behavior.records import storable
from recloop.config.dataset import load_dataset
from recloop.config.learnable import Meaning, meaning_of
from recloop.contracts import Release
from recloop.database.connection import Cursor
from recloop.errors import ReleaseDamaged
from recloop.features.current_queries import known_moment
from recloop.features.ranker_inputs import ITEM_STATISTICS, STATISTICS
from recloop.release.answering import OpenRelease, after_session, hears_sessions, held
from recloop.release.filters import Catalogue
from recloop.server.people import People, Person, version_of
from recloop.server.shelf import Shelf
from recloop.settings import Settings

REASONS = {
    "own": "chosen before",
    "together": "goes with what was chosen",
    "popular": "popular of late",
    "retrieval": "fits what was chosen",
}
"""A sentence for each stage that an item came by."""
OF_STRANGERS = "chosen by many"
"""In place of the last, where nothing is known of who asks."""
TRIED = 64
"""People for whom a release answers before it takes its place: the arrays are in memory then."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request for items, its ids as the shop wrote them."""

    session: tuple[str, ...] = ()
    count: int = 10
    filter: Json = field(default_factory=dict)
    items: tuple[str, ...] | None = None
    """The only items that may be shown; None: all."""
    exclude: tuple[str, ...] = ()
    include_known: bool = False
    explain: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found.

    Attributes:
        keys: int64 [n], of the items, best first.
        body: as it is sent, without the request's id.
    """

    keys: np.ndarray
    body: Json


class Serving:
    """One release of one recommender on the data of one moment, ready to answer. It does not change;
    `on_data_of` makes another.

    Attributes:
        items: int64 [M], keys of the release's items.
        moment: what of the users is known: the midnight after the newest computed day, or None.
        stranger: one who was never seen.
    """

    def __init__(
        self, settings: Settings, release: Release, cursor: Cursor, before: Serving | None = None
    ) -> None:
        """Opens and tests the release.

        Args:
            before: what answers now; what is known of people and items is taken over from it where the
                data are the same.

        Raises:
            ReleaseDamaged: its files are not what was written, it has no arrays to answer from, or what
                it answers cannot be right.
        """
        self.settings, self.release = settings, release
        self.meaning: Meaning = meaning_of(settings)
        self._ids = load_dataset(settings).ids
        self.opened: OpenRelease = held(release)
        if not self.opened.light:
            raise ReleaseDamaged(
                f"release {release.version} answers by TensorFlow alone: its export is of an "
                f"older recloop, or its family declares no `answers`. `recloop publish --release "
                f"{release.version}` writes the export anew."
            )
        self.items = self.opened.answerer.items.keys
        self._read(cursor, before)
        self._test()

    def on_data_of(self, cursor: Cursor) -> Serving:
        """The same release on what the log and the features have by now; itself, if nothing is new."""
        if version_of(cursor) == self._data:
            return self
        newer = copy.copy(self)
        newer._read(cursor, None)
        return newer

    def _read(self, cursor: Cursor, before: Serving | None) -> None:
        self._data: tuple[Any, ...] = version_of(cursor)
        self.moment: datetime | None = known_moment(cursor, self.meaning)
        same = before is not None and before._data == self._data
        if before is not None and same and before.meaning == self.meaning:
            catalogue = before._shelf.catalogue
            people = before._people.asked_by(self.opened.family)
        else:
            catalogue = Catalogue.read(cursor)
            people = People(self.opened.family, self.meaning)
        self._shelf: Shelf = Shelf(catalogue, self.items, self._ids)
        self._people: People = people
        self.stranger = self._people.of(cursor, "")

    def _test(self) -> None:
        """Answers a stranger, and some at once: finite scores, no item twice, the same bits alone; and
        the people who asked last, so that nothing is met for the first time later."""
        count = min(10, len(self.items))
        queries = self.stranger.queries.take(np.zeros(3, np.int64))
        nothing = np.zeros((3, 0), np.int64)
        keys, scores = self.opened.top_k(queries, count, nothing)
        alone, its = self.opened.top_k(queries.take(slice(1, 2)), count, nothing[:1])
        fine = np.isfinite(scores).all() and all(len(set(row)) == count for row in keys.tolist())
        same = np.array_equal(alone[0], keys[1]) and np.array_equal(its[0], scores[1])
        if not (fine and same and len(self.items)):
            what = (
                "finite scores of distinct items"
                if not fine
                else "the same to one alone as to many"
            )
            raise ReleaseDamaged(
                f"release {self.release.version} does not answer with {what}. `recloop rollback` goes "
                "back to an earlier release."
            )
        for person in self._people.latest(TRIED):
            self.answer(person, Asked())
        if len(self.items):
            with suppress(NoItemVectors):  # a family may have none
                self.opened.answerer.similar(self.items[:1], 1)

    def known(self, user_id: str) -> Person | None:
        """Who asks, if it is remembered; no database is asked."""
        return self._people.known(self.user(user_id))

    def person(self, cursor: Cursor, user_id: str) -> Person:
        """Who asks."""
        return self._people.of(cursor, self.user(user_id))

    def user(self, user_id: str) -> str:
        """An id in the form that the log has; the same of an item."""
        return storable(self._ids.normal(user_id))

    def answer(self, person: Person, asked: Asked) -> Answer:
        """What the release says.

        Raises:
            BadInput: a filter cannot be used.
        """
        session, strange = self._shelf.keys(asked.session)
        banned, unknown = self._shelf.keys(asked.exclude)
        strange += unknown
        given = None
        if asked.items is not None:
            given, unknown = self._shelf.keys(asked.items)
            strange += unknown
        family = self.opened.family
        queries = after_session(family, person.queries, session, self.meaning)
        if not (asked.include_known or family.repeats):
            banned = [*person.chosen.tolist(), *session, *banned]
        shown = self._shelf.shown(asked.filter, given)
        exclude = np.array([banned], np.int64).reshape(1, -1)
        keys, scores, said = self.opened.top_k_and_sources(queries, asked.count, exclude, shown)
        found = keys[0][keys[0] > 0]
        body = {
            "recommender": self.settings.recommender,
            "release": self.release.version,
            "answered_from": _source(person, session if hears_sessions(family) else ()),
            "items": self._items(queries, found, scores[0], said[0], asked.explain),
        }
        if strange:
            body["ignored"] = list(dict.fromkeys(strange))
        return Answer(found, body)

    def similar(self, item: str, asked: Asked) -> Json | None:
        """The items most like one; None: the release does not know it.

        Raises:
            BadInput: a filter cannot be used, or the family has no vectors of items.
        """
        known, _ = self._shelf.keys((item,))
        key = np.array(known or [0], np.int64)
        if not self.opened.answerer.items.rows(key)[0]:
            return None
        banned, strange = self._shelf.keys(asked.exclude)
        shown = self._shelf.shown(asked.filter, None)
        fine = ~np.isin(self.items, np.array(banned, np.int64))
        if shown is not None:
            fine &= shown
        keys, scores = self.opened.similar(key, asked.count, fine)
        body = {
            "recommender": self.settings.recommender,
            "release": self.release.version,
            "item": item,
            "items": self._shelf.rows(keys[0][keys[0] > 0], scores[0]),
        }
        return body | {"ignored": list(dict.fromkeys(strange))} if strange else body

    def _items(
        self,
        queries: Queries,
        keys: np.ndarray,
        scores: np.ndarray,
        said: np.ndarray,
        explain: bool,
    ) -> list[Json]:
        answerer = self.opened.answerer
        rows = self._shelf.rows(keys, scores)
        reasons = REASONS if queries.history.any() else {**REASONS, "retrieval": OF_STRANGERS}
        for row, stage in zip(rows, said.tolist(), strict=False):
            row["stage"], row["reason"] = SOURCES[stage], reasons[SOURCES[stage]]
        if explain:
            features = answerer.features(queries, keys)
            names = feature_names(self.meaning.kinds, answerer.shape.get("kinds", 0))
            names = names[: features.shape[1]]
            for row, values in zip(rows, features.tolist(), strict=True):
                row["features"] = dict(zip(names, [round(one, 6) for one in values], strict=True))
        return rows


def feature_names(told: Sequence[str], count: int) -> list[str]:
    """Of the ranker's features, in their order.

    Args:
        told: kinds of events that the dataset file counts apart.
        count: how many the model does: none, if it was made before; more, if the file had more then.
    """
    kinds = [*told, *(f"kind_{n + 1}" for n in range(len(told), count))][:count]
    names = [*PAIR_FEATURES, *(f"own_{kind}" for kind in kinds)]
    names += [*USER_FEATURES, *(f"user_{kind}" for kind in kinds)]
    names += [f"user_{name}" for name in STATISTICS]
    names += [f"item_{name}" for name in (*ITEM_STATISTICS, *(f"{kind}_28d" for kind in kinds))]
    return [*names, *PAIR_MEMORY_FEATURES]


def _source(person: Person, session: Sequence[int]) -> str:
    """What an answer is made from."""
    known = ["user"] * (person.key > 0) + ["session"] * bool(session)
    return " and ".join(known) or "popularity"
