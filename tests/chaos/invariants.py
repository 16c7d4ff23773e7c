"""What holds of the books at any moment, whatever was killed: plain SQL, apart from recloop's own."""

from __future__ import annotations

from psycopg2.extensions import cursor as Cursor

NOTHING: dict[str, str] = {
    "an event is in two windows or parts": "select event_id from behavior.event "
    "group by event_id having count(*) > 1",
    "an event is both accepted and pending": "select e.event_id from behavior.event e "
    "join behavior.landing l using (file_id, line_no)",
    "an event is both accepted and quarantined": "select e.event_id from behavior.event e "
    "join behavior.quarantine q using (file_id, line_no)",
    "a line is both pending and quarantined": "select l.line_no from behavior.landing l "
    "join behavior.quarantine q using (file_id, line_no)",
    "an event lies outside its window": "select e.event_id from behavior.event e "
    "join ledger.window w using (window_key) "
    "where e.event_timestamp < w.starts or e.event_timestamp >= w.ends",
    "a window's accepted events do not add up": "select w.window_key from ledger.window w "
    "left join behavior.event e using (window_key) "
    "group by w.window_key, w.accepted having count(e.event_id) <> w.accepted",
    "a part's accepted events do not add up to its window's": "select w.window_key "
    "from ledger.window w join ledger.part p using (window_key) "
    "group by w.window_key, w.accepted having sum(p.accepted) <> w.accepted",
    "two updates are alive": "select 1 from ledger.update "
    "where state in ('planned', 'training', 'evaluated') having count(*) > 1",
    "there is not one champion": "select 1 from ledger.reign where ended_at is null "
    "having count(*) <> 1",
    "a part is in two promoted increments": "select window_key from ledger.update_window "
    "join ledger.update u using (update_id) where u.state = 'promoted' "
    "and u.plan->>'decision' = 'increment' group by window_key having count(*) > 1",
    "a promoted update has no release": "select u.update_id from ledger.update u "
    "left join ledger.release r using (update_id) where u.state = 'promoted' and r.version is null",
    "a release's update was not promoted": "select r.version from ledger.release r "
    "join ledger.update u using (update_id) where u.state <> 'promoted'",
    "a release does not know what its parent knew": "select r.version from ledger.release r "
    "join ledger.trained t on t.version = r.parent_version "
    "where not exists (select from ledger.trained own "
    "where own.version = r.version and own.window_key = t.window_key)",
    "a promoted increment's part is not in its release": "select w.window_key "
    "from ledger.update_window w join ledger.update u using (update_id) "
    "join ledger.release r using (update_id) left join ledger.trained t "
    "on t.version = r.version and t.window_key = w.window_key "
    "where u.state = 'promoted' and t.window_key is null",
}
"""Queries that find nothing, by what it would mean if they did."""

LINES = """
select (select count(*) from behavior.event) + (select count(*) from behavior.landing)
     + (select count(*) from behavior.quarantine)
     + (select coalesce(sum(duplicates), 0) from ledger.window)
"""


def broken(cursor: Cursor, delivered: int) -> list[str]:
    """Which invariants do not hold; `delivered`: lines that the shop has written so far.

    Lines of the newest file may not have been read yet, so that fewer are no fault here: see `lost`.
    """
    found = []
    for meaning, query in NOTHING.items():
        cursor.execute(query)
        if cursor.fetchall():
            found.append(meaning)
    if _lines(cursor) > delivered:
        found.append("there are more lines than were delivered")
    return found


def lost(cursor: Cursor, delivered: int) -> int:
    """How many delivered lines are neither accepted, pending, quarantined nor duplicates."""
    return delivered - _lines(cursor)


def _lines(cursor: Cursor) -> int:
    cursor.execute(LINES)
    (count,) = cursor.fetchone() or (0,)
    return int(count)
