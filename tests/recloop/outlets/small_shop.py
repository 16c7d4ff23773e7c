"""A small shop that lives: events, builds of features, and a release whose lists show all that it is
asked with, so that a list that should have been computed anew is another one."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from models.data.best_of_rows import best
from models.data.queries import OwnItems, Queries
from models.recommenders import answers
from models.recommenders.family import Family, family_named
from models.tables.vocabulary import Vocabulary
from recloop.calendar import Window, WindowCalendar, part_key
from recloop.config.learnable import Meaning
from recloop.contracts import Release
from recloop.database.connection import Cursor, transaction
from recloop.database.schema import ensure_event_partitions
from recloop.features.daily import build_features
from recloop.ledger import parts, window_states
from recloop.outlets import publication
from recloop.release.answering import OpenRelease
from recloop.settings import Settings

ITEMS = 12
CALENDAR = WindowCalendar("week")
FIRST = CALENDAR.parse("2024-01-01")
RELEASE = """
insert into lineage.update (target, state, holder, token, lease_until, plan, reason)
values ('2024-01-01', 'promoted', 'a test', nextval('ledger.fencing_token'), now(), '{}', 'a test');
insert into lineage.release (update_id, uri)
select max(update_id), '/nowhere/' || max(update_id) from lineage.update returning version
"""


class TellTale(answers.Answerer):
    """Scores are drawn anew for any other user, history, statistics or own items."""

    def __init__(self, salt: int) -> None:
        self._salt = salt
        self.items = Vocabulary(np.arange(1, ITEMS + 1))

    def all_scores(self, queries: Queries) -> Any:
        own = queries.own if queries.own is not None else OwnItems.none(len(queries))
        scores = np.empty((len(queries), ITEMS), np.float32)
        for place in range(len(queries)):
            mine = own.take(slice(place, place + 1))
            known = (
                *(queries.user_keys[place], queries.history[place], queries.statistics[place]),
                *(mine.item_keys, mine.values, mine.totals),
            )
            seed = zlib.crc32(b"".join(np.asarray(one).tobytes() for one in known), self._salt)
            scores[place] = np.random.default_rng(seed).random(ITEMS)
        return scores

    def _best(self, queries: Queries, banned: Any, shown: Any, *into: Any) -> None:
        found = self.all_scores(queries)
        if shown is not None:
            found[:, ~shown] = -np.inf
        owner, place = np.nonzero(banned)
        found[owner, banned[owner, place] - 1] = -np.inf
        self.fill(*best(found, into[0].shape[1]), *into[:2])

    def item_vectors(self) -> Any:
        return np.random.default_rng(self._salt).normal(size=(ITEMS, 3)).astype(np.float32)


def window(number: int) -> Window:
    """The number-th week."""
    return CALENDAR.at(FIRST.start + timedelta(days=7 * number))


@dataclass
class Life:
    """A shop's life, step by step."""

    settings: Settings
    meaning: Meaning
    family: Family
    release: int = 0
    lines: int = 0
    steps: list[str] = field(default_factory=list)

    def begin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Twelve items, and a first release."""
        with transaction(self.settings.database_url) as cursor:
            ensure_event_partitions(cursor, FIRST.start, window(8).end)
            for item in range(1, ITEMS + 1):
                cursor.execute(
                    "insert into behavior.item (item_id, first_seen) values (%s, now())",
                    (f"item {item}",),
                )
            window_states.note_landed(cursor, [window(0)])
        self.promote()
        self.take_over(monkeypatch)

    def take_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Publications of this process are of this shop."""
        monkeypatch.setattr(publication, "meaning_of", lambda _: self.meaning)
        monkeypatch.setattr(publication, "champion_or", lambda *_: self._champion())
        monkeypatch.setattr(publication, "opened", self._opened)

    def _champion(self) -> Release:
        uri = f"/nowhere/{self.release}"
        return Release(version=self.release, update_id=1, parent_version=None, uri=uri, windows=())

    def _opened(self, release: Release) -> OpenRelease:
        return OpenRelease(release, self.family, TellTale(release.version), True)

    def promote(self) -> None:
        """Another champion."""
        with transaction(self.settings.database_url) as cursor:
            cursor.execute(RELEASE)
            (self.release,) = cursor.fetchone() or (0,)
        self.steps.append(f"release {self.release}")

    def buy(self, user: str, item: int, number: int, minute: int) -> None:
        """An event of a window is accepted."""
        one = window(number)
        with transaction(self.settings.database_url) as cursor:
            window_states.note_landed(cursor, [one])
            cursor.execute(
                "insert into behavior.account (user_id, first_seen) values (%s, now()) "
                "on conflict do nothing",
                (user,),
            )
            part = parts.receive(cursor, one.key, 1)
            self.lines += 1
            cursor.execute(
                "insert into behavior.event (event_id, event_timestamp, user_key, item_key, "
                "event_type, price, window_key, file_id, line_no, part) "
                "select gen_random_uuid(), %s, user_key, %s, 'purchase', 2.5, %s, 1, %s, %s "
                "from behavior.account where user_id = %s",
                (
                    *(one.start + timedelta(minutes=minute), item, one.key),
                    *(self.lines, part, user),
                ),
            )
        self.steps.append(f"{user} buys {item} in {one.key}, part {part}")

    def build(self, number: int, note: bool) -> None:
        """Features of a window; and, unless what follows is killed, its training sets."""
        one = window(number)
        with transaction(self.settings.database_url) as cursor:
            cursor.execute("select part_key from ledger.part where window_key = %s", (one.key,))
            keys = [key for (key,) in cursor.fetchall()]
        if not keys:
            return
        if self.family.needs_features:
            build_features(self.settings, one.key, self.meaning)
        if note:
            with transaction(self.settings.database_url) as cursor:
                cursor.execute(
                    "insert into lineage.training_set (part_key, featured, training_set) "
                    "select part_key, accepted, '{}' from ledger.part where part_key = any(%s) "
                    "on conflict (recommender, part_key) do update set featured = excluded.featured",
                    (keys,),
                )
        self.steps.append(f"features of {one.key}{', noted' if note else ''}")

    def close(self, number: int) -> None:
        """Whatever comes for the window from now on is a late part."""
        with transaction(self.settings.database_url) as cursor:
            cursor.execute(
                "update ledger.part set taught_at = now() where window_key = %s",
                (window(number).key,),
            )
        self.steps.append(f"{part_key(window(number).key, 0)} is closed")


def life(settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str) -> Life:
    """Of a family's recommender."""
    family = family_named(name)
    gap = None if family.needs_features else 3600.0
    made = Life(settings, Meaning(calendar=CALENDAR, session_gap=gap), family)
    made.begin(monkeypatch)
    return made


def rows(cursor: Cursor, table: str) -> list[tuple[Any, ...]]:
    """All of a table, in order."""
    cursor.execute(f"select * from {table} order by 1, 2, 3, 4, 5")
    return cursor.fetchall()


def all_rows(settings: Settings, table: str = "published.recommendation") -> list[Any]:
    """The same, in a transaction of its own."""
    with transaction(settings.database_url) as cursor:
        return rows(cursor, table)


def own_schema(settings: Settings, name: str) -> None:
    """Make a schema of the shop's own."""
    with transaction(settings.database_url) as cursor:
        cursor.execute(f'create schema if not exists "{name}"')
