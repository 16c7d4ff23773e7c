"""Creating recloop's tables, and the partitions of the event log."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from recloop.database.connection import Lock, column, transaction

SCHEMA = Path(__file__).with_name("schema.sql")


def migrate(url: str) -> None:
    """Create what is missing; repeating it changes nothing."""
    with transaction(url) as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (Lock.MIGRATE,))
        cursor.execute(SCHEMA.read_text())


def ensure_event_partitions(cursor: Cursor, start: datetime, end: datetime) -> None:
    """Create the monthly partitions of `behavior.event` that `[start, end)` (UTC) touches."""
    for month in _months(start, end):
        cursor.execute(
            f"create table if not exists behavior.event_{month:%Y_%m} partition of behavior.event "
            "for values from (%s) to (%s)",
            (month, _following(month)),
        )


def _months(start: datetime, end: datetime) -> list[datetime]:
    """The first moments of the months that `[start, end)` touches."""
    months = [datetime(start.year, start.month, 1, tzinfo=UTC)]
    while _following(months[-1]) < end:
        months.append(_following(months[-1]))
    return months


def _following(month: datetime) -> datetime:
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)


def refresh_planner_statistics(cursor: Cursor, start: datetime, end: datetime) -> None:
    """ANALYZE what a window's ingestion wrote: feature tables and the event log's partitions.

    Autovacuum comes too late: with a new month's partition unknown to the planner, the point-in-time
    join becomes nested loops over whole tables (minutes instead of half a second).
    """
    tables = column(
        cursor,
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = relnamespace "
        "where relkind = 'r' and (nspname = 'features' or nspname = 'behavior' and relname = any(%s))",
        ([f"event_{month:%Y_%m}" for month in _months(start, end)],),
    )
    for table in tables:
        cursor.execute(f"analyze {table}")
