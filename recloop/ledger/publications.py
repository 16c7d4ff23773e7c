"""Publications: what each outlet was given, and what has changed in the log since.

A list of recommendations depends on its release, on what was asked for, on the moment that features are
of, and on its user's events. The first three are a publication's *basis*. Of events the ledger knows how
many each part has, and whether the features have them all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.contracts import Publication
from recloop.database.connection import column, records
from recloop.ledger.parts import COMPLETE

Parts = dict[str, list[Any]]
"""Of each part: accepted events, and whether the features have them all."""
KEPT = 20
"""How many publications of a target the ledger remembers, the one that is published among them."""


@dataclass(frozen=True)
class Published:
    """What a target has now.

    Attributes:
        basis: all that its lists depend on beside their users' events.
        newest_user: the largest key of a user that was known.
    """

    publication: Publication
    basis: dict[str, Any]
    parts: Parts = field(default_factory=dict)
    newest_user: int = 0


_COLUMNS = (
    "id, target, release, moment, k, filters, users, computed, rows, similar_rows, sha256, why, "
    "finished_at"
)


def published(cursor: Cursor, target: str) -> Published | None:
    """What is published at a target; None: nothing yet."""
    rows = records(
        cursor,
        f"select {_COLUMNS}, basis, parts, newest_user from ledger.publication "
        "where target = %s and state = 'published'",
        (target,),
    )
    if not rows:
        return None
    basis, known, newest = (rows[0].pop(name) for name in ("basis", "parts", "newest_user"))
    return Published(Publication(**rows[0]), basis, known, newest)


def all_published(cursor: Cursor) -> list[Publication]:
    """What is published at each target, the latest last."""
    found = records(
        cursor,
        f"select {_COLUMNS} from ledger.publication where state = 'published' order by finished_at",
    )
    return [Publication(**row) for row in found]


def known(cursor: Cursor, target: str) -> bool:
    """Whether the recommender has ever finished a publication at the target."""
    cursor.execute(
        "select from ledger.publication where target = %s and finished_at is not null limit 1",
        (target,),
    )
    return cursor.fetchone() is not None


def begin(cursor: Cursor, target: str, release: int, k: int, filters: str) -> int:
    """Note that one is begun; those of the target that were begun before were killed."""
    cursor.execute(
        "update ledger.publication set state = 'abandoned' where target = %s and state = 'started'",
        (target,),
    )
    cursor.execute(
        "insert into ledger.publication (target, release, k, filters, basis, state) "
        "values (%s, %s, %s, %s, '{}', 'started') returning id",
        (target, release, k, filters),
    )
    row = cursor.fetchone()
    assert row
    return int(row[0])


def conclude(
    cursor: Cursor, made: Publication, basis: dict[str, Any], known: Parts, newest_user: int
) -> None:
    """The publication takes the place of the target's one before, in this transaction; of earlier ones
    the latest `KEPT` stay in the ledger."""
    cursor.execute(
        "update ledger.publication set state = 'replaced', parts = null "
        "where target = %s and state = 'published'",
        (made.target,),
    )
    cursor.execute(
        "update ledger.publication set state = 'published', moment = %s, users = %s, computed = %s, "
        "rows = %s, similar_rows = %s, sha256 = %s, why = %s, basis = %s, parts = %s, newest_user = %s, "
        "finished_at = %s "
        "where id = %s",
        (
            *(made.moment, made.users, made.computed, made.rows, made.similar_rows, made.sha256),
            *(
                made.why,
                json.dumps(basis),
                json.dumps(known),
                newest_user,
                made.finished_at,
                made.id,
            ),
        ),
    )
    cursor.execute(
        "delete from ledger.publication where target = %s and state <> 'published' and id not in "
        "(select id from ledger.publication where target = %s order by id desc limit %s)",
        (made.target, made.target, KEPT),
    )


def parts_now(cursor: Cursor, features: bool) -> Parts:
    """Every part with its events.

    Args:
        features: whether the family is asked with features; without, it is asked with events, and every
            part counts as one whose features are there.
    """
    complete = COMPLETE if features else "true"
    cursor.execute(
        f"select p.part_key, p.accepted, {complete} from ledger.part p "
        "left join ledger.training_set made using (part_key) where p.accepted > 0"
    )
    return {key: [int(accepted), bool(there)] for key, accepted, there in cursor.fetchall()}


def changed_parts(before: Parts, now: Parts) -> list[str]:
    """Parts whose users' lists can have changed between two publications of one basis.

    A part whose features were not there, or are not, is one even with as many events as before: a build
    of another window may have read some of them.
    """
    return [key for key, state in now.items() if not state[1] or before.get(key) != state]


def users_of(cursor: Cursor, part_keys: list[str]) -> list[int]:
    """Keys of the users who have events in these parts, ascending."""
    return column(
        cursor,
        "select distinct e.user_key from ledger.part p join ledger.window w using (window_key) "
        "join behavior.event e on e.window_key = p.window_key and e.part = p.number "
        "and e.event_timestamp >= w.starts and e.event_timestamp < w.ends "
        "where p.part_key = any(%s) order by 1",
        (part_keys,),
    )
