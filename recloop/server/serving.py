"""A champion that answers: opened, warmed, tested, beside the items' names and attributes.

One object for each release; a server swaps the whole of it in one step, so that an answer is of one
release whatever happens meanwhile. Belongs here: what an answer is. Keep out: who may ask (`keys.py`),
when the object is exchanged (`following.py`), HTTP (`api.py`).
"""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from models.cooccurrence.pair_config import PAIR_MEMORY_FEATURES
from models.data.queries import Queries
from models.ranker.ranker_config import PAIR_FEATURES, USER_FEATURES
from models.recommenders.answers import SOURCES
from recloop.behavior.records import storable
from recloop.config.dataset import load_dataset
from recloop.config.learnable import Meaning, meaning_of
from recloop.contracts import Release
from recloop.database.connection import Cursor
from recloop.errors import BadInput, ReleaseDamaged
from recloop.features.current_queries import known_moment
from recloop.features.ranker_inputs import ITEM_STATISTICS, STATISTICS
from recloop.release.answering import OpenRelease, after_session, held
from recloop.release.filters import Catalogue, filters_of
from recloop.server.people import People, Person, version_of
from recloop.settings import Settings

MASKS = 256
"""Filters whose items are remembered."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request for items, its ids as the shop wrote them."""

    user: str = ""
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
        queries: what the model was asked with: the features as served.
        keys: int64 [n], of the items, best first.
        body: as it is sent, without the request's id.
    """

    person: Person
    queries: Queries
    keys: np.ndarray
    body: Json


class Serving:
    """One release of one recommender on the data of one moment, ready to answer. It does not change;
    `on_data_of` makes another.

    Attributes:
        items: int64 [M], keys of the release's items.
        catalogue: names and attributes of all items that the log knows.
        moment: what of the users is known: the midnight after the newest computed day, or None.
        kinds: of feedback that becomes behavior; empty: none does, whatever is told is kept.
    """

    def __init__(self, settings: Settings, release: Release, cursor: Cursor) -> None:
        """Opens and tests the release.

        Raises:
            ReleaseDamaged: its files are not what was written, it has no arrays to answer from, or what
                it answers cannot be right.
        """
        self.settings, self.release = settings, release
        self.meaning: Meaning = meaning_of(settings)
        spec = load_dataset(settings)
        self._ids = spec.ids
        self.kinds = tuple(spec.feedback.kinds) if spec.feedback else ()
        self.opened: OpenRelease = held(release)
        if not self.opened.light:
            raise ReleaseDamaged(
                f"release {release.version} answers by TensorFlow alone: its export is of an "
                f"older recloop, or its family declares no `answers`. `recloop publish --release "
                f"{release.version}` writes the export anew."
            )
        self.items = self.opened.answerer.items.keys
        self._read(cursor)
        self._test()

    def on_data_of(self, cursor: Cursor) -> Serving:
        """The same release on what the log and the features have by now; itself, if nothing is new."""
        if version_of(cursor) == self._data:
            return self
        newer = copy.copy(self)
        newer._read(cursor)
        return newer

    def _read(self, cursor: Cursor) -> None:
        self._data = version_of(cursor)
        self.moment: datetime | None = known_moment(cursor, self.meaning)
        self.catalogue = Catalogue.read(cursor)
        self._places = self.catalogue.places(self.items)
        self._people = People(self.opened.family, self.meaning)
        self.stranger = self._people.of(cursor, "")
        self._masks: OrderedDict[str, np.ndarray] = OrderedDict()

    def _test(self) -> None:
        """Answers a stranger, and some at once: finite scores, no item twice, the same bits alone."""
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

    def person(self, cursor: Cursor, user_id: str) -> Person:
        """Who asks."""
        return self._people.of(cursor, storable(self._ids.normal(user_id)))

    def answer(self, person: Person, asked: Asked) -> Answer:
        """What the release says.

        Raises:
            BadInput: a filter cannot be used.
        """
        session, strange = self._keys(asked.session)
        family = self.opened.family
        queries = after_session(family, person.queries, session)
        banned, _ = self._keys(asked.exclude)
        if not (asked.include_known or family.repeats):
            banned = [*person.chosen.tolist(), *session, *banned]
        shown = self._shown(asked)
        exclude = np.array([banned], np.int64).reshape(1, -1)
        keys, scores = self.opened.top_k(queries, asked.count, exclude, shown)
        found = keys[0][keys[0] > 0]
        body = {
            "recommender": self.settings.recommender,
            "release": self.release.version,
            "answered_from": _source(person, session),
            "items": self._items(queries, found, scores[0], asked.explain),
        }
        if strange:
            body["ignored"] = strange
        return Answer(person, queries, found, body)

    def similar(self, item: str, asked: Asked) -> Json:
        """The items most like one.

        Raises:
            BadInput: the release does not know the item.
        """
        (key,), _ = self._keys((item,)) if self._known(item) else ((0,), ())
        if not key or not self.opened.answerer.items.rows(np.array([key]))[0]:
            raise BadInput(
                f"`item` should be one that release {self.release.version} knows. Received: {item!r}."
            )
        shown = self._shown(asked)
        fine = np.ones(len(self.items), bool) if shown is None else shown.copy()
        fine &= ~np.isin(self.items, self._keys(asked.exclude)[0])
        keys, scores = self.opened.answerer.similar(np.array([key]), asked.count, fine)
        found = keys[0][keys[0] > 0]
        return {
            "recommender": self.settings.recommender,
            "release": self.release.version,
            "item": item,
            "items": [
                self._named(int(key), float(score))
                for key, score in zip(found, scores[0], strict=False)
            ],
        }

    def _known(self, item: str) -> bool:
        return self._ids.normal(item) in self.catalogue.key_of

    def _keys(self, ids: Sequence[str]) -> tuple[list[int], list[str]]:
        """Keys of items that the log knows, in their order, and the ids that it does not know."""
        keys, strange = [], []
        for item in ids:
            key = self.catalogue.key_of.get(self._ids.normal(item))
            if key is None:
                strange.append(item)
            else:
                keys.append(key)
        return keys, strange

    def _shown(self, asked: Asked) -> np.ndarray | None:
        """Which of the release's items may be shown: bool [M]; None: all."""
        shown = None
        if asked.filter:
            name = json.dumps(asked.filter, sort_keys=True)
            if name not in self._masks:
                self._masks[name] = self.catalogue.shown(filters_of(asked.filter), self.items)
                while len(self._masks) > MASKS:
                    self._masks.popitem(last=False)
            shown = self._masks[name]
        if asked.items is None:
            return shown
        given = np.isin(self.items, self._keys(asked.items)[0])
        return given if shown is None else given & shown

    def _items(
        self, queries: Queries, keys: np.ndarray, scores: np.ndarray, explain: bool
    ) -> list[Json]:
        answerer = self.opened.answerer
        stages = answerer.sources(queries, keys.reshape(1, -1))[0].tolist()
        rows = []
        for key, score, stage in zip(keys.tolist(), scores.tolist(), stages, strict=False):
            row = self._named(key, score)
            row["stage"], row["reason"] = SOURCES[stage], REASONS[SOURCES[stage]]
            rows.append(row)
        if explain:
            features = answerer.features(queries, keys)
            names = self._feature_names(features.shape[1])
            for row, values in zip(rows, features.tolist(), strict=True):
                row["features"] = dict(zip(names, [round(one, 6) for one in values], strict=True))
        return rows

    def _feature_names(self, width: int) -> list[str]:
        """Of the ranker's features, in their order."""
        names = [*PAIR_FEATURES, *USER_FEATURES, *(f"user_{name}" for name in STATISTICS)]
        names += [*(f"item_{name}" for name in ITEM_STATISTICS), *PAIR_MEMORY_FEATURES]
        return names[:width]

    def _named(self, key: int, score: float) -> Json:
        place = int(self.catalogue.places(np.array([key]))[0])
        ids, names = self.catalogue.ids, self.catalogue.names
        item, name = (ids[place], names[place]) if place >= 0 else ("", "")
        return {"item": item, "name": name, "score": round(score, 4)}


REASONS = {
    "own": "chosen before",
    "together": "goes with what was chosen",
    "popular": "popular of late",
    "retrieval": "fits what was chosen",
}
"""A sentence for each stage that an item came by."""


def _source(person: Person, session: Sequence[int]) -> str:
    """What an answer is made from."""
    known = ["user"] * (person.key > 0) + ["session"] * bool(session)
    return " and ".join(known) or "popularity"
