"""Pins: a person's word, with a reason, that the champion stays.

While a pin is open no update begins that could be promoted, and one that had begun before is not
promoted. Windows go on being validated and measured; they wait, and are learnt once the champion is
unpinned. A rollback is a person's word, too, and goes on being possible: what it makes champion is
pinned from then on.

Neighbours: `updates.py` and `releases.py` ask `refuse_pinned`.
"""

from __future__ import annotations

from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.database.connection import first, records
from recloop.errors import BadInput, ChampionPinned, LedgerConflict, ReleaseMissing


def open_pin(cursor: Cursor) -> dict[str, Any] | None:
    """`version`, `by`, `reason` and `at` of the open pin; None: the champion is not pinned."""
    found = records(
        cursor,
        "select version, pinned_by as by, reason, pinned_at as at from ledger.pin "
        "where unpinned_at is null",
    )
    return found[0] if found else None


def pin(cursor: Cursor, by: str, reason: str) -> int:
    """Pin the champion; returns its version.

    Raises:
        BadInput: there is no reason.
        ReleaseMissing: there is no champion yet.
        LedgerConflict: it is pinned already.
    """
    _need(reason, "pinning the champion")
    cursor.execute("lock table ledger.reign in exclusive mode")  # no promotion is under way
    version = first(cursor, "select version from ledger.reign where ended_at is null")
    if version is None:
        raise ReleaseMissing("there is no champion to pin yet; run an update first.")
    known = open_pin(cursor)
    if known is not None:
        raise LedgerConflict(f"{_told(known)}; unpin it first to give another reason.")
    cursor.execute(
        "insert into ledger.pin (version, pinned_by, reason) values (%s, %s, %s)",
        (version, by, reason.strip()),
    )
    return int(version)


def unpin(cursor: Cursor, by: str, reason: str) -> None:
    """Let challengers be promoted again.

    Raises:
        BadInput: there is no reason.
        LedgerConflict: no pin is open.
    """
    _need(reason, "unpinning the champion")
    cursor.execute(
        "update ledger.pin set unpinned_by = %s, unpinned_why = %s, unpinned_at = now() "
        "where unpinned_at is null",
        (by, reason.strip()),
    )
    if cursor.rowcount != 1:
        raise LedgerConflict("the champion is not pinned; nothing has to be done.")


def refuse_pinned(cursor: Cursor) -> None:
    """Raises ChampionPinned while a pin is open."""
    known = open_pin(cursor)
    if known is not None:
        raise ChampionPinned(
            f"{_told(known)}. Nothing is promoted until it is unpinned: `recloop unpin --reason …`."
        )


def _told(known: dict[str, Any]) -> str:
    return f"the champion has been pinned by {known['by']}: {known['reason']}"


def _need(reason: str, what: str) -> None:
    if not reason.strip():
        raise BadInput(f"{what} needs a reason, which the ledger keeps; add one.")
