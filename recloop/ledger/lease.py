"""Keeping a lease alive while work goes on, from a thread of its own.

A lease that cannot be renewed because the database is away is not lost yet: the commit decides.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from recloop.contracts import Lease
from recloop.database.connection import transaction
from recloop.errors import LeaseLost, ServiceAway
from recloop.ledger.shards import check_shard
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


# Watching over a shard while it is trained, from a thread of its own.
#
# Once the shard is somebody else's, the next `check()` raises. A worker that never comes to its
# next check, because it hangs, ends: it must not hold a slot, and the run that waits for its end,
# for longer.

log = logging.getLogger("recloop")
INTERVAL = 2.0
"""Seconds between two looks at the ledger."""
LAST_CHANCE = 10.0
"""Seconds for a worker to come to its next check once its shard is somebody else's."""


class ShardWatch:
    """Looks into the ledger now and then; `check()` raises once the shard is somebody else's."""

    def __init__(
        self, url: str, update_id: int, number: int, token: int, worker: bool = False
    ) -> None:
        self._url, self._worker = url, worker
        self._shard = update_id, number, token
        self._stop = threading.Event()
        self._lost: LeaseLost | None = None
        self._thread = threading.Thread(target=self._run, name="shard-watch", daemon=True)

    def check(self) -> None:
        """Raises LeaseLost when the merge took the shard over, or another try began it."""
        if self._lost is not None:
            raise self._lost

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            try:
                with transaction(self._url) as cursor:
                    check_shard(cursor, *self._shard)
            except LeaseLost as error:
                self._lost = error
                break
            except ServiceAway:
                continue
        if self._lost is not None and self._worker and not self._stop.wait(LAST_CHANCE):
            log.error("this worker hangs, and its shard was taken over: it ends. %s", self._lost)
            os._exit(1)


@contextmanager
def watched(
    url: str, update_id: int, number: int, token: int, worker: bool = False
) -> Iterator[ShardWatch]:
    """Watch over the shard for the length of the block.

    Args:
        worker: this process does nothing else: it is ended if it hangs.
    """
    watch = ShardWatch(url, update_id, number, token, worker)
    watch._thread.start()
    try:
        yield watch
    finally:
        watch._stop.set()
        watch._thread.join(timeout=5)
