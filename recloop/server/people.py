"""What is known of users, kept while the data stay the same.

An answer needs a user's features and what it has chosen: two look-ups that cost more than the answer.
They are kept by user until the log or the features change (`version_of`), for the latest users alone.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from models.data.queries import Queries
from recloop.config.learnable import Meaning
from recloop.database.connection import Cursor
from recloop.features.current_queries import asked_user, known_until
from recloop.features.skew import features_of
from recloop.release.answering import Keys, already_chosen, queries_for

if TYPE_CHECKING:
    from models.recommenders.family import Family

MOST = 20_000


@dataclass(frozen=True, eq=False)
class Person:
    """One who asks: key (0: never seen), what the model is asked with, what was chosen already.

    Attributes:
        moment: the midnight up to which features were known; None: not all of the day before was.
    """

    key: int
    queries: Queries
    chosen: Keys
    moment: datetime | None = None

    @cached_property
    def features(self) -> str:
        """What the model is asked with, as JSON: see `features_of`."""
        return json.dumps(features_of(self.queries))


def version_of(cursor: Cursor) -> tuple[Any, ...]:
    """Changes whenever a user's features or choices may have."""
    cursor.execute(
        "select (select max(built_at) from features.built_window), count(*), max(changed_at), "
        "(select sum(accepted) from ledger.part) from ledger.window"
    )
    return tuple(cursor.fetchone())


class People:
    """The latest users that asked, of one recommender on the data of one moment."""

    def __init__(self, family: Family, meaning: Meaning) -> None:
        self._family, self._meaning = family, meaning
        self._kept: OrderedDict[str, Person] = OrderedDict()
        self._lock = threading.Lock()

    def asked_by(self, family: Family) -> People:
        """These people as another release's family asks for them: the same ones, if it asks alike."""

        def asks(one: Family) -> tuple[bool, bool]:
            return one.needs_features, one.repeats

        return self if asks(family) == asks(self._family) else People(family, self._meaning)

    def known(self, user_id: str) -> Person | None:
        """The person of this id, if it is kept."""
        with self._lock:
            person = self._kept.get(user_id)
            if person is not None:
                self._kept.move_to_end(user_id)
            return person

    def latest(self, count: int) -> list[Person]:
        """Who asked last, the latest first."""
        with self._lock:
            return [
                person
                for _, person in zip(range(count), reversed(self._kept.values()), strict=False)
            ]

    def of(self, cursor: Cursor, user_id: str) -> Person:
        """The person of this id; of an empty one, a stranger."""
        person = self.known(user_id)
        if person is not None:
            return person
        key = asked_user(cursor, user_id) if user_id else 0
        moment, whole = known_until(cursor, self._meaning)
        queries = queries_for(cursor, self._family, [key], self._meaning, moment)
        chosen = already_chosen(cursor, self._family, key, self._meaning)
        person = Person(key, queries, chosen, moment if whole else None)
        with self._lock:
            self._kept[user_id] = person
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return person
