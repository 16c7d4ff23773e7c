"""Windows that a clock may decide on: what waits, and has not been answered yet."""

from __future__ import annotations

from psycopg2.extensions import cursor as Cursor

from recloop.ledger import releases
from recloop.ledger.updates import REBUILD_IN_VAIN
from recloop.windows import part_number


def windows_due(cursor: Cursor) -> list[str]:
    """Pending windows on which no update was promoted or rejected, oldest first.

    Beside `releases.undecided`: those that a policy skipped are due, too. A late part is not due by
    itself; the next increment covers it.
    """
    answered = f"state in ('promoted', 'rejected') and not {REBUILD_IN_VAIN}"
    cursor.execute(
        f"select target from ledger.update where {answered} union "
        "select window_key from ledger.update_window join ledger.update using (update_id) "
        f"where {answered}"
    )
    keys = {row[0] for row in cursor.fetchall()}
    pending = releases.pending(cursor)
    return [key for key in pending if key not in keys and not part_number(key)]
