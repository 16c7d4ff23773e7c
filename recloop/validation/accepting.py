"""Moving a judged window's lines where they belong, in one transaction.

Good lines become events, accounts, items and item versions; broken ones go to the quarantine; exact
duplicates go. Keys are given in the order of events, so that a replay gives the same keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg2.extensions import cursor as Cursor

from recloop.calendar import Window
from recloop.config.dataset import DatasetSpec
from recloop.database.connection import Lock
from recloop.database.schema import ensure_event_partitions
from recloop.errors import CheckCrashed
from recloop.ledger import parts

ACCOUNTS = """
with seen as (
    select user_id, min(event_timestamp) as first_seen,
        (array_agg(event_id order by event_timestamp, event_id))[1] as first_event,
        mode() within group (order by user_attributes) as attributes
    from behavior.checked where window_key = %(window)s and rules = '{}' and not duplicate
    group by user_id
), refreshed as (
    update behavior.account a set
        attributes = case when a.first_seen < %(start)s or seen.attributes is null
                          then coalesce(seen.attributes, a.attributes) else a.attributes end,
        first_seen = least(a.first_seen, seen.first_seen)
    from seen where a.user_id = seen.user_id
        and (a.attributes is distinct from seen.attributes or seen.first_seen < a.first_seen)
)
insert into behavior.account (user_key, user_id, attributes, first_seen) overriding system value
select coalesce((select max(user_key) from behavior.account), 0)
        + row_number() over (order by first_seen, first_event),
    user_id, coalesce(attributes, '{}'), first_seen
from seen where user_id not in (select user_id from behavior.account)
"""

ITEMS = """
with seen as (
    select item_id, min(event_timestamp) as first_seen,
        (array_agg(event_id order by event_timestamp, event_id))[1] as first_event
    from behavior.checked where window_key = %(window)s and rules = '{}' and not duplicate
    group by item_id
), refreshed as (
    update behavior.item i set first_seen = seen.first_seen
    from seen where i.item_id = seen.item_id and seen.first_seen < i.first_seen
)
insert into behavior.item (item_key, item_id, first_seen) overriding system value
select coalesce((select max(item_key) from behavior.item), 0)
        + row_number() over (order by first_seen, first_event),
    item_id, first_seen
from seen where item_id not in (select item_id from behavior.item)
"""

# The text that most lines of the window show; a new version begins with the first line showing it.
VERSIONS = """
with shown as (
    select item_key, item_attributes as attributes, count(*) as n, min(event_timestamp) as first_shown
    from behavior.checked join behavior.item using (item_id)
    where window_key = %(window)s and rules = '{}' and not duplicate
        and item_attributes is not null and item_attributes <> '{}'
    group by item_key, item_attributes
), chosen as (
    select distinct on (item_key) item_key, attributes, first_shown
    from shown order by item_key, n desc, first_shown, attributes::text
)
insert into behavior.item_version (item_key, valid_from, attributes)
select item_key, first_shown, attributes from chosen
where attributes is distinct from (
    select v.attributes from behavior.item_version v
    where v.item_key = chosen.item_key and v.valid_from <= chosen.first_shown
    order by v.valid_from desc limit 1
)
on conflict do nothing
"""

NAMES = """
update behavior.item i set name = newest.name
from (
    select distinct on (item_key) item_key, attributes ->> %(name)s as name
    from behavior.item_version order by item_key, valid_from desc
) newest
where i.item_key = newest.item_key and newest.name is not null
    and i.name is distinct from newest.name
"""

EVENTS = """
insert into behavior.event (event_id, event_timestamp, user_key, item_key, event_type, value, price,
    window_key, file_id, line_no, content_hash, part)
select event_id, event_timestamp, user_key, item_key, event_type, value, price,
    window_key, file_id, line_no, content_hash, %(part)s
from behavior.checked join behavior.account using (user_id) join behavior.item using (item_id)
where window_key = %(window)s and rules = '{}' and not duplicate
order by event_timestamp, event_id
on conflict do nothing
"""

QUARANTINE = """
insert into behavior.quarantine (file_id, line_no, window_key, event_id, rule, rules, line, judging)
select file_id, line_no, c.window_key, c.event_id, rules[1], rules, to_jsonb(l), %(judging)s
from behavior.checked c join behavior.landing l using (file_id, line_no)
where c.window_key = %(window)s and rules <> '{}' and not duplicate
    and l.content_hash = c.content_hash
"""

RETURNED = """
delete from behavior.returned r using behavior.checked c
where c.window_key = %(window)s and (r.file_id, r.line_no) = (c.file_id, c.line_no)
"""

LANDED = """
delete from behavior.landing l using behavior.checked c
where c.window_key = %(window)s and l.file_id = c.file_id and l.line_no = c.line_no
    and l.content_hash = c.content_hash
"""

EVENT_IDS = """
copy (
    select event_id from behavior.event
    where window_key = %(window)s and event_timestamp >= %(start)s and event_timestamp < %(end)s
    order by event_id
) to stdout
"""


class LandingChanged(Exception):
    """Lines that were judged are no longer landed: a newer file came meanwhile. Judge again."""


def count_fates(cursor: Cursor, window: Window) -> tuple[int, int, dict[str, int]]:
    """How many checked lines are good, exact duplicates, and broken by first rule."""
    cursor.execute(
        "select case when duplicate then '' else rules[1] end, count(*) "
        "from behavior.checked where window_key = %s group by 1 order by 1",
        (window.key,),
    )
    counts = {name: int(n) for name, n in cursor.fetchall()}
    good, duplicates = counts.pop(None, 0), counts.pop("", 0)
    return good, duplicates, counts


def count_kinds(cursor: Cursor, window: Window, types: Sequence[str]) -> dict[str, int]:
    """How many checked lines are good, by these types of events, where there are some; nothing, where it
    is but one type."""
    if len(types) < 2:
        return {}
    cursor.execute(
        "select event_type, count(*) from behavior.checked where window_key = %s and rules = '{}' "
        "and not duplicate and event_type = any(%s) group by 1",
        (window.key, list(types)),
    )
    return {kind: int(count) for kind, count in cursor.fetchall()}


def note_why(cursor: Cursor, odd: Mapping[tuple[int, int], str]) -> None:
    """Keep with quarantined lines what the database says of each."""
    for (file_id, line_no), why in odd.items():
        cursor.execute(
            "update behavior.quarantine set line = line || jsonb_build_object('why', %s::text) "
            "where file_id = %s and line_no = %s",
            (why, file_id, line_no),
        )


def count_returned(cursor: Cursor, window: Window) -> int:
    """How many of the good lines have come back from the quarantine."""
    cursor.execute(
        "select count(*) from behavior.checked join behavior.returned using (file_id, line_no) "
        "where window_key = %s and rules = '{}' and not duplicate",
        (window.key,),
    )
    return int((cursor.fetchone() or (0,))[0])


def move_lines(cursor: Cursor, window: Window, spec: DatasetSpec, judging: str) -> str:
    """Move the window's checked lines; returns the data hash of all its accepted events.

    Good lines become events of the window's part that is open (see `ledger/parts.py`).

    Args:
        judging: fingerprint of the rules (see `again.py`), kept with quarantined lines.

    Raises:
        LandingChanged: roll back, and judge again.
        CheckCrashed: the counts do not add up; nothing must be committed.
    """
    good, duplicates, quarantined = count_fates(cursor, window)
    values: dict[str, str | int | datetime] = {
        "window": window.key,
        "start": window.start,
        "end": window.end,
        "name": spec.item_attributes.name or "",
        "part": parts.receive(cursor, window.key, good),
        "judging": judging,
    }
    cursor.execute("select pg_advisory_xact_lock(%s)", (Lock.KEYS,))
    if good:
        ensure_event_partitions(cursor, window.start, window.end)
        for statement in (ACCOUNTS, ITEMS, VERSIONS):
            cursor.execute(statement, values)
        if spec.item_attributes.name:
            cursor.execute(NAMES, values)
    cursor.execute(EVENTS, values)
    accepted = cursor.rowcount
    cursor.execute(QUARANTINE, values)
    moved = accepted + cursor.rowcount + duplicates
    cursor.execute(RETURNED, values)
    cursor.execute(LANDED, values)
    if cursor.rowcount != good + duplicates + sum(quarantined.values()):
        raise LandingChanged
    if moved != cursor.rowcount or accepted != good:
        raise CheckCrashed(
            f"window {window.key} does not add up: {cursor.rowcount} lines, {accepted} of {good} "
            f"good ones became events, {duplicates} duplicates, quarantined "
            f"{json.dumps(quarantined)}. Nothing was committed; run it again, and report this."
        )
    return _data_hash(cursor, values)


class _Digest:
    """A file for `COPY` to write to: the sha256 of its lines, without their ends."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.sha256.update(data.replace(b"\n", b""))


def _data_hash(cursor: Cursor, values: dict[str, str | int | datetime]) -> str:
    """sha256 of the ids of the window's events, one after the other in their order.

    The ids pass by one at a time: joined in one text, those of 29 million events would go beyond the
    1 GB that PostgreSQL allows.
    """
    digest = _Digest()
    cursor.copy_expert(cursor.mogrify(EVENT_IDS, values).decode(), digest)
    return digest.sha256.hexdigest()
