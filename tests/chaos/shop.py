"""A small shop whose loop runs under a real Airflow, and what is asked of it while things die."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from recloop.cli.loop import run_update
from recloop.database import embedded
from recloop.database.connection import connect, transaction
from recloop.errors import RecloopError, ServiceAway
from recloop.release.recommend import recommend
from recloop.runtime import airflow_process
from recloop.settings import Settings
from recloop.stages.ingest_stages import ingest_windows
from tests.asked_airflow import AskedAirflow, is_running
from tests.integration.shop_life import settings_of
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import shop_week, write

FIRST = date(2010, 12, 13)
WEEKS = 51
"""Windows that lie in the dataset's period."""
KNOWN = 3
"""Of them, those that the first release learns."""
DAGS = ("behavior_arrival", "ingest_behavior", "incremental_update", "full_rebuild")


@dataclass
class Asking:
    """Somebody who asks for recommendations all the while."""

    settings: Settings
    users: list[str]
    given: int = 0
    away: int = 0
    """Questions that met no PostgreSQL."""
    failures: list[str] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._ask, daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        self._done.set()

    def _ask(self) -> None:
        turn = 0
        while not self._done.wait(1.0):
            turn += 1
            answered = self._database_answers()
            try:
                if len(recommend(self.settings, self.users[turn % len(self.users)], 5).items) == 5:
                    self.given += 1
                    continue
                self.failures.append("fewer items than were asked for")
            except Exception as error:
                if answered and self._database_answers() and not isinstance(error, ServiceAway):
                    self.failures.append(repr(error)[:300])
                else:
                    self.away += 1

    def _database_answers(self) -> bool:
        try:
            connect(self.settings.database_url, patience=0).close()
        except RecloopError:
            return False
        return True


class ShopLoop:
    """The loop of a shop that delivers one week after the other."""

    def __init__(self, home: Path) -> None:
        settings = customised(
            settings_of("", home), "online_retail", home, period={"closed_days": []}
        )  # that shop's holidays are not this one's
        self.settings = embedded.resolve(settings.model_copy(update={"database_url": ""}))
        self.delivered = 0
        self._next = 0
        for _ in range(KNOWN):
            self.deliver()
        ingest_windows(self.settings)
        answer = run_update(self.settings, None, "rebuild", {"epochs": 1})
        assert answer["outcome"] == "promoted", answer
        self.client = AskedAirflow("")

    def start(self) -> None:
        """Start Airflow, with all that goes on by itself switched on."""
        self.client = AskedAirflow.start(self.settings)
        for dag_id in DAGS:
            self.client.pause(dag_id, paused=False)

    def stop(self) -> None:
        airflow_process.stop(self.settings)
        embedded.stop(self.settings.home)

    def deliver(self) -> str:
        """The next week's file arrives; returns its window."""
        assert self._next < WEEKS, f"the shop has {WEEKS} weeks"
        week = (FIRST + timedelta(weeks=self._next)).isoformat()
        self._next += 1
        lines = shop_week(week)
        assert self.settings.data is not None
        write(self.settings.data / f"{week}.csv", lines)
        self.delivered += len(lines)
        return week

    def asking(self) -> Asking:
        users = self.rows("select user_id from behavior.account order by user_key limit 3")
        return Asking(self.settings, [user for (user,) in users])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with transaction(self.settings.database_url) as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def is_decided(self, window: str) -> bool:
        """Whether the window was learnt, refused or skipped; an update may have covered it."""
        try:
            return bool(
                self.rows(
                    "select 1 from ledger.update u left join ledger.update_window w using "
                    f"(update_id) where '{window}' in (u.target, w.window_key) and u.state in "
                    "('promoted', 'rejected', 'deferred', 'skipped')"
                )
            )
        except RecloopError:
            return False

    def wake(self) -> None:
        """Have the arrival looked at now, not within half a minute."""
        try:
            self.client.trigger("behavior_arrival")
        except RecloopError:
            return

    def probe(self, timeout: float) -> float | None:
        """Trigger a task that changes nothing until one succeeds; seconds, None if none did."""
        began = time.monotonic()
        run_id = None
        while time.monotonic() - began < timeout:
            try:
                if run_id is None:
                    run_id = self.client.trigger("full_rebuild", {"dry_run": True})
                state = self.client.run_state("full_rebuild", run_id)
                if state == "success":
                    return time.monotonic() - began
                if state == "failed":
                    run_id = None
            except RecloopError:
                pass
            time.sleep(0.5)
        return None

    def is_well(self, timeout: float) -> bool:
        """Wait until all works again by the product's own judgement."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if is_running(self.settings):
                return True
            time.sleep(0.5)
        return False
