"""The signals of windows, kept with them: measured once, before anything learnt from the window."""

from __future__ import annotations

import json
from typing import Any

from psycopg2.extensions import cursor as Cursor


def note_signals(cursor: Cursor, window_key: str, signals: dict[str, Any]) -> None:
    """Keep a window's signals; measured anew (a rollback, a person's wish), the newest stay."""
    cursor.execute(
        "update ledger.window set signals = %s where window_key = %s",
        (json.dumps(signals), window_key),
    )


def signals_before(cursor: Cursor, window_key: str, count: int) -> list[dict[str, Any]]:
    """The signals of the last `count` windows before this one that have any, oldest first."""
    cursor.execute(
        "select signals from ledger.window where signals is not null and starts < "
        "(select starts from ledger.window where window_key = %s) order by starts desc limit %s",
        (window_key, count),
    )
    return [row[0] for row in cursor.fetchall()][::-1]
