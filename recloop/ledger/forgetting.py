"""Impressions that nothing needs any more: what `recloop serve` showed long ago, and what came of it.

An impression stays, however old it is, while one of these moments lies in an open window: when it was
given (it may be read as behavior), up to when its user was known (it may be compared with a training
set), when feedback on it was told. A stranger's is neither read nor compared. They go in batches, one a
transaction; killed between two, the next run goes on.

Keep out: writing impressions (`server/impressions.py`), comparing them (`features/skew.py`), reading
them as behavior (`behavior/shown.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg2.extensions import cursor as Cursor

BATCH = 10_000
"""Rows that one transaction looks at."""
Place = tuple[str, str]
"""Time and id of the impression that was looked at last."""
BEGINNING: Place = ("-infinity", "00000000-0000-0000-0000-000000000000")

# A window is closed when its lines are judged and all releases that reigned since `before` have learnt
# it: after a rollback to one of those, what it has not learnt is compared again. Always open are what
# lies ahead of the newest window, and as many days behind its start as late lines are looked for.
_OPEN = """
    select range_agg(span) as spans from (
        select tstzrange(starts, ends) as span from ledger.window w
        where state <> 'featured'
            or exists (select from behavior.landing l where l.window_key = w.window_key)
            or exists (
                select from ledger.part p cross join ledger.reign r
                where p.window_key = w.window_key and p.accepted > 0
                    and coalesce(r.ended_at, 'infinity') >= %(before)s
                    and not exists (select from ledger.trained t
                                    where t.version = r.version and t.window_key = p.part_key))
        union all
        select tstzrange(least(near, last), last) from (
            select coalesce(max(starts) - make_interval(days => %(late_days)s), '-infinity') as near,
                coalesce(%(data_end)s::timestamptz, 'infinity') as last
            from ledger.window
        ) ahead
    ) windows
"""
_FORGET = f"""
    with open as ({_OPEN}), looked as (
        select request_id, at, user_id, moment from ledger.impression
        where at < %(before)s and (at, request_id) > (%(at)s::timestamptz, %(request_id)s::uuid)
        order by at, request_id limit %(batch)s
    ), unneeded as (
        select request_id from looked cross join open
        where user_id = '' or not (
            spans @> at or coalesce(spans @> moment, false) or exists (
                select from lineage.feedback f where f.request_id = looked.request_id
                    and (f.at >= %(before)s or spans @> f.at)))
    ), told as (
        delete from lineage.feedback f using unneeded u where f.request_id = u.request_id returning 1
    ), gone as (
        delete from ledger.impression i using unneeded u where i.request_id = u.request_id returning 1
    )
    select (select count(*) from looked), (select count(*) from gone), (select count(*) from told),
        (select array[at::text, request_id::text] from looked order by at desc, request_id desc limit 1)
"""
_FORGET_LONE = """
    delete from lineage.feedback where ctid = any(array(
        select ctid from lineage.feedback f
        where recommender = ledger.recommender() and at < %(before)s
            and not exists (select from lineage.impression i where i.request_id = f.request_id)
        limit %(batch)s))
"""


@dataclass(frozen=True)
class Batch:
    """What one batch did.

    Attributes:
        looked: impressions that are old; those of them that did not go are needed.
        impressions, feedback: rows that went.
        place: where the next batch goes on; None: this was the last one.
    """

    looked: int
    impressions: int
    feedback: int
    place: Place | None


def forget(
    cursor: Cursor,
    before: datetime,
    late_days: int,
    data_end: datetime | None,
    after: Place = BEGINNING,
    batch: int = BATCH,
) -> Batch:
    """Delete this recommender's next old impressions, with their feedback, unless they are needed.

    Args:
        before: what is older may go.
        late_days: of the source; see `Source.late_days`.
        data_end: of the dataset: no window comes after it. None: it has none.
        after: `place` of the batch before.
    """
    told = {"before": before, "late_days": late_days, "data_end": data_end, "batch": batch}
    cursor.execute(_FORGET, {**told, "at": after[0], "request_id": after[1]})
    row = cursor.fetchone()
    assert row is not None  # an aggregate's
    looked, impressions, feedback, last = row
    place = (last[0], last[1]) if looked == batch else None
    return Batch(looked, impressions, feedback, place)


def forget_lone_feedback(cursor: Cursor, before: datetime, batch: int = BATCH) -> int:
    """Delete old feedback on answers that are not kept, at most `batch` rows of it; how many went."""
    cursor.execute(_FORGET_LONE, {"before": before, "batch": batch})
    return int(cursor.rowcount)
