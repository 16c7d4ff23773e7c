"""What was shown, and what came of it, written down without anybody waiting for it.

Answers put a record into a bounded queue; one thread writes what waits, in blocks. When the database is
away, records wait; when the queue is full, the newest is counted as lost, and the answer goes out.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extras import execute_values

from recloop.errors import RecloopError
from recloop.server.connections import reading

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
        return (
            self.request_id,
            self.version,
            self.at,
            self.user_id,
            items,
            self.moment,
            self.features,
        )


@dataclass(frozen=True)
class Feedback:
    """What a user did with an item of an answer."""

    url: str
    request_id: str
    item_id: str
    kind: str
    at: datetime


class Recorder:
    """Writes impressions and feedback.

    Attributes:
        lost: records that found no room, or that the database refused.
        written: records that were written.
    """

    def __init__(self, waiting: int) -> None:
        self._queue: queue.Queue[Impression | Feedback] = queue.Queue(waiting)
        self.lost = self.written = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    @property
    def waiting(self) -> int:
        """Records that are not written yet."""
        return self._queue.qsize()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, if the database answers, and end."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def note(self, record: Impression | Feedback) -> None:
        """Queue a record; never waits."""
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self.lost += 1

    def _run(self) -> None:
        while not self._stopping.wait(PAUSE):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write all that waits; what cannot be written for now waits on."""
        while block := self._take():
            by_url: dict[str, list[Impression | Feedback]] = defaultdict(list)
            for record in block:
                by_url[record.url].append(record)
            for url, records in by_url.items():
                try:
                    _write(url, records)
                    self.written += len(records)
                except RecloopError as error:
                    log.warning("impressions wait: %s", error)
                    for record in records:
                        self.note(record)
                    return
                except (
                    Exception
                ):  # a record that the database refuses must not stop the others' writing
                    log.exception("%d impressions were refused", len(records))
                    self.lost += len(records)

    def _take(self) -> list[Impression | Feedback]:
        block: list[Impression | Feedback] = []
        while len(block) < BLOCK:
            try:
                block.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return block


def _write(url: str, records: list[Impression | Feedback]) -> None:
    shown = [record.row() for record in records if isinstance(record, Impression)]
    told = [
        (record.request_id, record.item_id, record.kind, record.at)
        for record in records
        if isinstance(record, Feedback)
    ]
    with reading(url) as cursor:
        if shown:
            execute_values(  # not COPY, which cannot write through a view
                cursor,
                f"insert into ledger.impression ({', '.join(COLUMNS)}) values %s "
                "on conflict do nothing",
                shown,
            )
        if told:
            execute_values(
                cursor,
                "insert into ledger.feedback (request_id, item_id, kind, at) values %s "
                "on conflict do nothing",
                told,
            )
