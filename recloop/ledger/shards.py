"""Shards of an update: waiting → training → reported, or taken over by the merge.

Each shard has a fencing token of its own, because its worker can't hold the update's: that is the
merge's. A worker gets a new token when it begins, so that a retry fences off the try before it; the
merge gives those that have not reported in time a token that no worker has, and from then on they
can report nothing.

Neighbours: `updates.py` has the update's own lease; `recloop.training.sharding` does the work.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from recloop.contracts import Lease, ShardReport
from recloop.database.connection import column, first
from recloop.errors import BadInput, LeaseLost
from recloop.ledger.updates import LIVE, renew


@dataclass(frozen=True)
class Shard:
    """One shard as the ledger has it; `age` is seconds since the shards were opened."""

    number: int
    state: str
    report: ShardReport | None
    age: float


def open_shards(cursor: Cursor, lease: Lease, count: int) -> None:
    """Makes `count` waiting shards of the update; those of an earlier attempt are forgotten, and
    their workers fenced off.

    Raises:
        LeaseLost: another attempt took the update over.
    """
    renew(cursor, lease)
    cursor.execute("delete from ledger.shard where update_id = %s", (lease.update_id,))
    cursor.execute(
        "insert into ledger.shard (update_id, number, token, state) "
        "select %s, n, nextval('ledger.fencing_token'), 'waiting' from generate_series(0, %s) n",
        (lease.update_id, count - 1),
    )


def begin_shard(cursor: Cursor, update_id: int, number: int) -> int | None:
    """A worker begins: its fencing token; None when the shard has reported, and nothing is to be done.

    Raises:
        BadInput: the update has no such shard.
        LeaseLost: the merge took the shard over, or the update has concluded.
    """
    cursor.execute(
        "select s.state, u.state in %s from ledger.shard s join ledger.update u using (update_id) "
        "where update_id = %s and number = %s for update of s",
        (LIVE, update_id, number),
    )
    row = cursor.fetchone()
    if row is None:
        raise BadInput(f"update {update_id} has no shard {number}; split it first.")
    state, live = row
    if state == "taken" or not live:
        raise _lost(update_id, number)
    if state == "reported":
        return None
    token: int = first(
        cursor,
        "update ledger.shard set state = 'training', token = nextval('ledger.fencing_token'), "
        "changed_at = now() where update_id = %s and number = %s returning token",
        (update_id, number),
    )
    return token


def check_shard(cursor: Cursor, update_id: int, number: int, token: int) -> None:
    """Raises LeaseLost once the shard is somebody else's."""
    held = first(
        cursor,
        "select 1 from ledger.shard s join ledger.update u using (update_id) where update_id = %s "
        "and number = %s and s.token = %s and u.state in %s",
        (update_id, number, token, LIVE),
    )
    if held is None:
        raise _lost(update_id, number)


def report_shard(cursor: Cursor, report: ShardReport, token: int) -> None:
    """Records what a worker learned.

    Raises:
        LeaseLost: the shard was taken over, or another try began it; this one's work is discarded.
    """
    cursor.execute(
        "update ledger.shard set state = 'reported', report = %s, changed_at = now() "
        "where update_id = %s and number = %s and token = %s and state = 'training'",
        (report.model_dump_json(), report.update_id, report.number, token),
    )
    if cursor.rowcount != 1:
        raise _lost(report.update_id, report.number)


def shards_of(cursor: Cursor, update_id: int) -> list[Shard]:
    """All shards of an update, by number."""
    cursor.execute(
        "select number, state, report, extract(epoch from clock_timestamp() - opened_at)::float8 "
        "from ledger.shard where update_id = %s order by number",
        (update_id,),
    )
    return [
        Shard(number, state, ShardReport.model_validate(report) if report else None, age)
        for number, state, report, age in cursor.fetchall()
    ]


def take_shards(cursor: Cursor, lease: Lease, also: tuple[int, ...] = ()) -> list[int]:
    """The merge takes over every shard that has not reported; returns their numbers.

    Args:
        also: shards that have reported what can't be used: they are taken over, too.

    Raises:
        LeaseLost: another attempt took the update over.
    """
    renew(cursor, lease)
    taken = column(
        cursor,
        "update ledger.shard set state = 'taken', report = null, changed_at = now(), "
        "token = nextval('ledger.fencing_token') "
        "where update_id = %s and (state <> 'reported' or number = any(%s)) returning number",
        (lease.update_id, list(also)),
    )
    return sorted(taken)


def _lost(update_id: int, number: int) -> LeaseLost:
    return LeaseLost(
        f"shard {number} of update {update_id} is no longer this worker's: the merge has taken its "
        "events over, or another try has begun. This try's work is discarded; nothing has to be done."
    )
