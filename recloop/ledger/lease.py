"""Keeping a lease alive while work goes on, from a thread of its own.

A lease that cannot be renewed because the database is away is not lost yet: the commit decides.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from recloop.contracts import Lease
from recloop.database.connection import transaction
from recloop.errors import LeaseLost, ServiceAway
from recloop.ledger.updates import LEASE_SECONDS, renew


class LeaseKeeper:
    """Renews a lease every third of its length; `check()` raises once it is lost."""

    def __init__(self, url: str, lease: Lease, interval: float = LEASE_SECONDS / 3) -> None:
        self._url, self._lease, self._interval = url, lease, interval
        self._stop = threading.Event()
        self._lost: LeaseLost | None = None
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def check(self) -> None:
        """Raises LeaseLost when another attempt took over."""
        if self._lost is not None:
            raise self._lost

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                with transaction(self._url) as cursor:
                    renew(cursor, self._lease)
            except LeaseLost as error:
                self._lost = error
                return
            except ServiceAway:
                continue


@contextmanager
def kept(url: str, lease: Lease, interval: float = LEASE_SECONDS / 3) -> Iterator[LeaseKeeper]:
    """Keep `lease` alive for the length of the block."""
    keeper = LeaseKeeper(url, lease, interval)
    keeper._thread.start()
    try:
        yield keeper
    finally:
        keeper._stop.set()
        keeper._thread.join(timeout=5)
