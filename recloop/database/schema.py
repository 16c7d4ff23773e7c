"""Creating recloop's tables, and the partitions of the event log."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from recloop.database.connection import transaction

SCHEMA = Path(__file__).with_name("schema.sql")
MIGRATION_LOCK = 7_266_567  # any constant: two processes must not migrate at once


def migrate(url: str) -> None:
    """Create what is missing; repeating it changes nothing."""
    with transaction(url) as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        cursor.execute(SCHEMA.read_text())


def ensure_event_partitions(cursor: Cursor, start: datetime, end: datetime) -> None:
    """Create the monthly partitions of `behavior.event` that `[start, end)` (UTC) touches."""
    month = datetime(start.year, start.month, 1, tzinfo=UTC)
    while month < end:
        following = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
        cursor.execute(
            f"create table if not exists behavior.event_{month:%Y_%m} partition of behavior.event "
            "for values from (%s) to (%s)",
            (month, following),
        )
        month = following
