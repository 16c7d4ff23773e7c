"""What was shown, and what came of it, written down without anybody waiting for it.

Answers leave a record; one thread writes what waits, in blocks. When the database is away, records wait
where they are; when there is no room for more, the newest is counted as lost, and the answer goes out.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import psycopg2
from psycopg2.extras import execute_values

from recloop.database.connection import Cursor, copy_rows
from recloop.errors import RecloopError
from recloop.server.connections import asked

log = logging.getLogger("recloop.serve")
PAUSE = 0.25
"""Seconds between two blocks."""
BLOCK = 2_000
COLUMNS = ("request_id", "version", "at", "user_id", "items", "moment", "features")


@dataclass(frozen=True)
class Impression:
    """One answer."""

    url: str
    """Of the recommender's database."""
    request_id: str
    version: int
    at: datetime
    user_id: str
    items: tuple[int, ...]
    """Keys, the best first."""
    moment: datetime | None
    features: str
    """JSON: see `people.Person.features`."""

    def row(self) -> tuple[object, ...]:
        """By `COLUMNS`."""
        items = "{" + ",".join(map(str, self.items)) + "}"
        told = (self.request_id, self.version, self.at, self.user_id)
        return (*told, items, self.moment, self.features)


@dataclass(frozen=True)
class Feedback:
    """What a user did with an item of an answer."""

    url: str
    request_id: str
    item_id: str
    kind: str
    at: datetime

    def row(self) -> tuple[object, ...]:
        """Request, item, kind, time."""
        return (self.request_id, self.item_id, self.kind, self.at)


Record = Impression | Feedback


class Recorder:
    """Writes impressions and feedback.

    Attributes:
        waiting: records that are not written yet.
        written: records that were written.
        lost: records that found no room, or that the database refused.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, deque[Record]] = defaultdict(deque)
        self._lock = threading.Lock()
        self.waiting = self.written = self.lost = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, if the database answers, and end."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def note(self, record: Record) -> bool:
        """Keep a record until it is written; never waits. Whether there was room."""
        with self._lock:
            if self.waiting >= self._most:
                self.lost += 1
                return False
            self._kept[record.url].append(record)
            self.waiting += 1
            return True

    def _run(self) -> None:
        while not self._stopping.wait(PAUSE):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write all that waits; what cannot be written for now waits on."""
        with self._lock:
            urls = list(self._kept)
        for url in urls:
            try:
                while block := self._block(url):
                    self._done(url, len(block), _written(url, block))
            except RecloopError as error:
                log.warning("impressions wait: %s", error)
            except Exception:  # whatever it is, the next block may be written
                log.exception("%d impressions are lost", len(block))
                self._done(url, len(block), 0)

    def _block(self, url: str) -> list[Record]:
        """The records that wait longest. They stay where they are until they are written."""
        with self._lock:
            return list(islice(self._kept[url], BLOCK))

    def _done(self, url: str, count: int, written: int) -> None:
        with self._lock:
            for _ in range(count):
                self._kept[url].popleft()
            self.waiting -= count
            self.written += written
            self.lost += count - written


def _written(url: str, records: Sequence[Record]) -> int:
    """Writes records, and says how many; the database refused the others."""
    try:
        asked(url, lambda cursor: _write(cursor, records))
        return len(records)
    except psycopg2.Error as error:
        if len(records) == 1:
            log.warning("an impression is refused: %s", error)
            return 0
    # One of them cannot be written, or a connection was lost after it had written: each by itself.
    return sum(_written(url, [record]) for record in records)


def _write(cursor: Cursor, records: Sequence[Record]) -> None:
    shown = [record.row() for record in records if isinstance(record, Impression)]
    told = [record.row() for record in records if isinstance(record, Feedback)]
    if len(shown) > 1:
        copy_rows(cursor, "lineage.impression", COLUMNS, shown)  # into a view none can be copied
    elif shown:
        _insert(cursor, "impression", COLUMNS, shown)
    if told:
        _insert(cursor, "feedback", ("request_id", "item_id", "kind", "at"), told)


def _insert(
    cursor: Cursor, table: str, columns: Sequence[str], rows: list[tuple[object, ...]]
) -> None:
    """Rows that are not there yet."""
    names = ", ".join(columns)
    into = f"insert into ledger.{table} ({names}) values %s on conflict do nothing"
    execute_values(cursor, into, rows)
