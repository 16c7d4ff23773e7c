"""What a person said when asked about a promotion: kept with the update, name and time included."""

from __future__ import annotations

from typing import Literal

from psycopg2.extensions import cursor as Cursor

from recloop.contracts import Lease
from recloop.ledger.updates import _check_fence

Answer = Literal["approved", "rejected"]


def answer_of(cursor: Cursor, update_id: int) -> tuple[str, Answer | None]:
    """An update's state, and what was answered."""
    cursor.execute(
        "select state, approval->>'answer' from ledger.update where update_id = %s", (update_id,)
    )
    row = cursor.fetchone()
    return (str(row[0]), row[1]) if row else ("unknown", None)


def note_answer(cursor: Cursor, lease: Lease, answer: Answer, by: str, why: str = "") -> None:
    """Record who said what, and why, on an update that waits for it; the last word counts.

    Raises:
        LeaseLost: another attempt took over, or the update is not waiting.
    """
    cursor.execute(
        "update ledger.update set approval = "
        "jsonb_build_object('answer', %s::text, 'by', %s::text, 'why', %s::text, 'at', now()) "
        "where update_id = %s and token = %s and state = 'evaluated'",
        (answer, by, why, lease.update_id, lease.token),
    )
    _check_fence(cursor, lease)
