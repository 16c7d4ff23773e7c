"""Advisory locks, one number each, so that no two purposes block each other.

Taken with `pg_advisory_xact_lock`: released when the transaction ends, however it ends.
"""

from __future__ import annotations

from enum import IntEnum


class Lock(IntEnum):
    """What may be done by one process at a time. The numbers are arbitrary, but never change."""

    MIGRATE = 7_266_567
    """Creating tables."""
    PLAN = 7_266_568
    """Opening an update: two triggers for one window make one."""
    LAND = 7_266_569
    """Reading a source."""
    BUILD = 7_266_570
    """Writing feature rows: two builds must not interleave."""
    OPEN_FEAST = 7_266_571
    """Creating or changing Feast's registry."""
    KEYS = 7_266_572
    """Giving keys to new users and items, one window at a time."""
    PUBLISH = 7_266_573
    """Making the serving folder and the registry agree with the ledger."""
