"""Which server answered with which release since when, and which it refused.

Rows come from `recloop serve`, one for each change. Keep out: what was shown (`recloop/server/`).
"""

from __future__ import annotations

from typing import Any

from recloop.database.connection import Cursor, records


def note(cursor: Cursor, server: str, version: int, state: str, reason: str) -> None:
    """A server began to answer with a release (`served`), or could not (`refused`, and why)."""
    cursor.execute(
        "insert into ledger.served (server, version, state, reason) values (%s, %s, %s, %s)",
        (server, version, state, reason),
    )


def latest(cursor: Cursor, count: int = 10) -> list[dict[str, Any]]:
    """The newest notes, newest first: server, version, state, reason, at."""
    return records(
        cursor,
        "select server, version, state, reason, at from ledger.served order by at desc limit %s",
        (count,),
    )
