"""What every stage does around its work: the lease it holds, the seconds it took, what it put aside.

Neighbour: `update_stages.py`, which says what the work is.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import cursor as Cursor

from recloop.calendar import Window, WindowCalendar
from recloop.config.recommenders import chosen, settings_of
from recloop.contracts import Lease
from recloop.database import embedded
from recloop.database.connection import asked, first
from recloop.errors import LeaseLost, ServiceAway
from recloop.ledger import shards, updates, window_states
from recloop.settings import Settings

if TYPE_CHECKING:
    from recloop.validation.row_rules import Quarantined

log = logging.getLogger("recloop")
Json = dict[str, Any]
Progress = Callable[[Any], None] | None
"""Whoever is told of each step of a training, if anybody is."""
HERE = "command line"
"""Who holds an update where no run of Airflow does."""
RENEWAL = updates.LEASE_SECONDS / 3
"""Seconds between two renewals of a lease."""
LOOK = 2.0
"""Seconds between two looks at whose a shard is."""
LAST_CHANCE = 10.0
"""Seconds for a worker to come to its next check once its shard is somebody else's."""


@contextmanager
def timed_window(settings: Settings, window: str, stage: str) -> Iterator[None]:
    """Record the block's wall seconds as a stage of a window, if it succeeds."""
    began = time.monotonic()
    yield
    seconds = time.monotonic() - began
    asked(settings.database_url, window_states.note_seconds, window, stage, seconds)


@contextmanager
def leased(
    settings: Settings, update_id: int, holder: str, stage: str
) -> Iterator[tuple[Lease, Callable[[], None]]]:
    """Take the update's lease, keep it alive for the block, record the stage's seconds."""
    began, url = time.monotonic(), settings.database_url
    lease = asked(url, updates.take_over, update_id, holder)
    with watched(url, lambda cursor: updates.renew(cursor, lease), RENEWAL) as check:
        yield lease, check
    asked(url, updates.note_seconds, update_id, stage, time.monotonic() - began)


@contextmanager
def shard_held(
    settings: Settings, update_id: int, number: int, worker: bool = False
) -> Iterator[tuple[int | None, Callable[[], None]]]:
    """Begin a shard of an update and watch over it for the block: (fencing token, check).

    The token is None when the shard has reported already.

    Args:
        worker: this process does nothing else, and is ended if it goes on when the shard is no longer
            its own.

    Raises:
        LeaseLost: the merge took the shard over.
    """
    token = asked(settings.database_url, shards.begin_shard, update_id, number)
    if token is None:
        yield None, lambda: None
        return

    def look(cursor: Cursor) -> None:
        shards.check_shard(cursor, update_id, number, token)

    with watched(settings.database_url, look, LOOK, worker) as check:
        yield token, check


@contextmanager
def watched(
    url: str, look: Callable[[Cursor], object], interval: float, worker: bool = False
) -> Iterator[Callable[[], None]]:
    """Look into the ledger every `interval` seconds, from a thread of its own, while the block runs.

    Yields a check that raises LeaseLost once `look` has. A ledger that cannot be asked because the
    database is away has taken nothing yet: the commit decides.

    Args:
        worker: this process does nothing else. If it hangs and never comes to its next check, it ends:
            it must not hold a slot, and the run that waits for its end, for longer.
    """
    stop, lost = threading.Event(), list[LeaseLost]()

    def run() -> None:
        while not lost and not stop.wait(interval):
            try:
                asked(url, look)
            except LeaseLost as error:
                lost.append(error)
            except ServiceAway:
                continue
        if lost and worker and not stop.wait(LAST_CHANCE):
            log.error("this worker hangs, and its shard was taken over: it ends. %s", lost[0])
            os._exit(1)

    def check() -> None:
        if lost:
            raise lost[0]

    thread = threading.Thread(target=run, name="lease-keeper", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        stop.set()
        thread.join(timeout=5)


def both(check: Callable[[], None], progress: Progress) -> Callable[[Any], None]:
    """A progress callback that first checks the lease, then tells whoever listens."""

    def call(state: Any) -> None:
        check()
        if progress is not None:
            progress(state)

    return call


def quarantined(settings: Settings, since: datetime) -> list[Quarantined]:
    """What was quarantined since this moment of the server's clock, by rule."""
    from recloop.config.dataset import load_dataset
    from recloop.config.limits import load_limits
    from recloop.validation.row_rules import quarantined_since

    spec = load_dataset(settings)
    return asked(settings.database_url, quarantined_since, since, spec, load_limits(settings, spec))


def log_quarantined(settings: Settings, seconds: float) -> None:
    """Say in the task's log which rules quarantined lines in the last `seconds`."""
    earlier = "select now() - make_interval(secs => %s)"
    for broken in quarantined(
        settings, asked(settings.database_url, first, earlier, (seconds + 1,))
    ):
        log.info("quarantined: %s", broken)


def nothing(reason: str, approval: bool, because: str = "nothing to do") -> Json:
    """The answer of a plan that has nothing to do."""
    none = {"update_id": None, "decision": "none", "reason": reason, "approval": approval}
    return none | {"because": because}


def current_settings(recommender: str = "") -> Settings:
    """Settings of a recommender, on a database that answers and has its tables: of the one that this
    process's environment names, unless another is asked for.

    Raises:
        BadInput: the environment names none, and there are several; or there is none of that name.
    """
    settings = Settings.from_environment()
    settings = settings_of(settings, recommender) if recommender else chosen(settings)
    if settings.database_url and not embedded.exists(settings):
        embedded.make(settings)  # the recommender's file has come since the others' were made
    return embedded.resolve(settings)


def named_window(settings: Settings, key: str) -> Window:
    """The window that a person or a schedule named.

    Raises:
        BadInput: no line can be in it, now or ever (see `behavior/dating.py`).
    """
    from recloop.behavior import dating
    from recloop.config.dataset import load_dataset

    return dating.named_window(load_dataset(settings), key, datetime.now(UTC))


def calendar(settings: Settings) -> WindowCalendar:
    """The calendar of the dataset's windows."""
    from recloop.config.dataset import load_dataset

    return load_dataset(settings).calendar
