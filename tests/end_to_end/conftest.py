"""One Airflow for all end-to-end tests, on the loop that `loop_home` prepared.

`loop_home` (see the root conftest) gives settings whose ledger has a champion and several windows
that wait for a decision.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from recloop.calendar import part_number
from recloop.database.connection import transaction
from recloop.ledger import releases
from recloop.runtime import airflow_process
from recloop.settings import Settings
from tests.asked_airflow import AskedAirflow
from tests.end_to_end.person import PERSON, logged_in


@dataclass
class Loop:
    """A running loop, and what a test asks about it."""

    settings: Settings
    client: AskedAirflow

    def champion(self) -> int:
        """The version that answers."""
        return int(self.one("select version from ledger.reign where ended_at is null"))

    def oldest_waiting(self) -> str:
        """The window that the next update would decide on. Where all is learnt, the last window is
        rolled back: a test must not depend on how many ran before it."""
        from recloop.stages import update_stages

        waiting = update_stages.undecided(self.settings)
        return waiting[0] if waiting else self._roll_back_one()

    def _roll_back_one(self) -> str:
        from recloop.stages import update_stages

        versions = self.rows("select version from ledger.release where thinned_at is null")
        with transaction(self.settings.database_url) as cursor:
            now = set(releases.release_of(cursor, self.champion()).windows)
            earlier = [releases.release_of(cursor, version) for (version,) in versions]
        # Not simply the release before: upkeep promotes some that learnt no window.
        parent = max((r for r in earlier if set(r.windows) < now), key=lambda r: len(r.windows))
        update_stages.roll_back(parent.version, "a test learns it again", self.settings)
        return min(key for key in now - set(parent.windows) if not part_number(key))

    def start_update(self, conf: dict[str, Any]) -> str:
        """Start `incremental_update`; returns the run's id."""
        return self.client.trigger("incremental_update", conf)

    def wait_for_training(self, run_id: str, timeout: float = 120) -> int:
        """Wait until the run's training task is at work; returns its process id."""

        def training() -> int | bool:
            tasks = {t["task_id"]: t for t in self.client.tasks("incremental_update", run_id)}
            started = self.one("select count(*) from ledger.update where state = 'training'")
            return bool(tasks["train"]["state"] == "running" and started) and tasks["train"]["pid"]

        pid = self.client.wait_until(training, timeout, "the training task", every=0.2)
        assert isinstance(pid, int)
        time.sleep(0.5)  # into the middle of it
        return pid

    def finish(self, run_id: str, timeout: float = 240) -> dict[str, str]:
        """Wait for the run and what it carries on to; returns the run's task states."""
        state = self.client.wait_for_run("incremental_update", run_id, timeout)
        states = self.client.task_states("incremental_update", run_id)
        assert state == "success", states
        self.client.wait_until_idle(["incremental_update"], timeout)
        return states

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the recloop database."""
        with transaction(self.settings.database_url) as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def one(self, query: str) -> Any:
        """The first column of the first row."""
        return self.rows(query)[0][0]

    def assert_trained_once(self, window: str) -> None:
        """The window is in the champion's lineage once, by one promoted update; no update is alive."""
        outcomes = self.rows(
            f"select state, reason from ledger.update where target = '{window}' order by update_id"
        )
        # A refusal would leave nothing to count: loop_home needs limits that an increment meets.
        assert [state for state, _ in outcomes][-1:] == ["promoted"], outcomes
        trained = self.rows(
            "select window_key, count(*) from ledger.trained t join ledger.reign r using (version) "
            "where r.ended_at is null group by window_key"
        )
        assert dict(trained)[window] == 1
        assert {count for _, count in trained} == {1}
        since = self.rows(
            "with recursive lineage as (select version, parent_version, update_id "
            "from ledger.release join ledger.reign using (version) where ended_at is null "
            "union all select r.version, r.parent_version, r.update_id "
            "from ledger.release r join lineage l on r.version = l.parent_version) "
            "select w.window_key from lineage join ledger.update u using (update_id) "
            "join ledger.update_window w using (update_id) "
            "where u.plan->>'decision' = 'increment'"
        )
        assert len(since) == len(set(since)), "a window was in two increments of the lineage"
        alive = "state in ('planned', 'training', 'evaluated')"
        assert self.rows(f"select update_id, state from ledger.update where {alive}") == []


@dataclass
class Answers:
    """What somebody who kept asking for recommendations got."""

    given: int = 0
    failures: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def loop(loop_home: Settings) -> Iterator[Loop]:
    settings = loop_home.model_copy(update={"users": f"{PERSON}:op"})
    with pytest.MonkeyPatch.context() as patch:
        # The scheduler keeps what it read of a DAG for so long, and tests change schedules.
        patch.setenv("AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL", "1")
        # They say when it is to be read again; every half a minute costs a tenth of a core.
        patch.setenv("AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL", "600")
        client = AskedAirflow.start(settings)
        try:
            for dag_id in ("ingest_behavior", "incremental_update", "rollback_release"):
                client.pause(dag_id, paused=False)
            yield Loop(settings, client)
        finally:
            airflow_process.stop(settings)


@pytest.fixture
def page(loop: Loop) -> Iterator[Any]:
    """The UI in a browser, somebody logged in."""
    with logged_in(loop.settings, loop.client.url) as made:
        yield made


@pytest.fixture(autouse=True)
def whole_again(loop: Loop) -> Iterator[None]:
    """Whatever a test killed runs again for the next."""
    yield
    airflow_process.start(loop.settings)
    loop.client.wait_until_idle(["incremental_update"], 300)


@pytest.fixture
def asking(loop: Loop) -> Callable[[], Any]:
    """`with asking() as answers:` asks the champion over and over while the block runs."""
    from recloop.release.recommend import recommend

    users = [
        row[0]
        for row in loop.rows("select user_id from behavior.account order by user_key limit 3")
    ]

    @contextmanager
    def keep_asking() -> Iterator[Answers]:
        answers, done = Answers(), threading.Event()

        def ask() -> None:
            while not done.is_set():
                for user in users:
                    try:
                        items = recommend(loop.settings, user, 5).items
                        assert len(items) == 5, f"{user} got {len(items)}"
                        answers.given += 1
                    except Exception as error:
                        answers.failures.append(repr(error))
                done.wait(0.3)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        try:
            yield answers
        finally:
            done.set()
            thread.join(30)

    return keep_asking


def kill(pid: int) -> None:
    """kill -9, and wait until it is gone."""
    process = psutil.Process(pid)
    process.kill()
    process.wait(10)
