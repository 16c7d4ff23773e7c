"""The process that `recloop up` leaves behind: it starts again what dies, hangs or lost its database.

It looks every three seconds and acts on the judgement of `health.py`, so that the loop goes on by
itself: the embedded PostgreSQL first, then whichever of Airflow's components is not well. What fails
again and again is started ever more rarely. It runs as two processes, a guardian and a watchman, which
replace each other, so that one `kill -9` of either costs a second.

Belongs here: the loop and its patience. Keep out: what is wrong (see `health.py`) and how a component
is started (see `process_sessions.py`). Imports stay light: it lives as long as Airflow does.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from psycopg2.extensions import connection as Connection

from recloop.addresses import with_database
from recloop.database import embedded, postgres_process
from recloop.database.connection import connect
from recloop.errors import RecloopError, ServiceAway
from recloop.home import keep_private, locked_if_free
from recloop.runtime import process_sessions
from recloop.runtime.environment import AIRFLOW, airflow_environment
from recloop.runtime.health import Complaint, Kind, judge, look, silence_of_api
from recloop.runtime.process_sessions import COMPONENTS, SUPERVISOR, State, read_state, start_again
from recloop.settings import Settings, process_environment

EVERY = 3.0
"""Seconds between two looks."""
ASK_EVERY = 4
"""Looks between two questions to the api-server, whose answer costs it more than a look does."""
HANGS_AFTER = 2
"""Connections one after the other that PostgreSQL leaves waiting for ten seconds before it is ended."""
PATIENCE: Mapping[Kind, float] = {"dead": 0.0, "hangs": 15.0, "silent": 45.0, "stuck": 6.0}
"""Seconds for which a complaint has to stand. A machine that slept wakes up with old heartbeats."""
FIRST_DELAY = 5.0
LONGEST_DELAY = 120.0
"""Seconds before a component is started the second time, and at most; each time twice as many."""
CALM = 300.0
"""Seconds after which a component that was started again counts as mended."""
DONE = 0
"""Exit code by which the watchman tells its guardian that there is nothing left to watch."""


class Patience:
    """When to act on a complaint: not at its first sight, and not over and over.

    Times are seconds of a clock that does not stand for the time of day.
    """

    def __init__(self) -> None:
        self._since: dict[tuple[str, Kind], float] = {}
        self._starts: dict[str, list[float]] = {}

    def due(self, complaints: Sequence[Complaint], now: float) -> list[Complaint]:
        """Those that have stood long enough, of components that have not been started too often."""
        standing = {(c.component, c.kind): c for c in complaints if c.kind in PATIENCE}
        self._since = {key: self._since.get(key, now) for key in standing}
        return [
            complaint
            for key, complaint in standing.items()
            if now - self._since[key] >= PATIENCE[complaint.kind]
            and now >= self._next_start(complaint.component, now)
        ]

    def started(self, component: str, now: float) -> None:
        """Note that the component was started."""
        self._starts.setdefault(component, []).append(now)

    def _next_start(self, component: str, now: float) -> float:
        recent = [start for start in self._starts.get(component, []) if now - start < CALM]
        self._starts[component] = recent
        if not recent:
            return now
        return recent[-1] + min(FIRST_DELAY * 2 ** (len(recent) - 1), LONGEST_DELAY)


class Watchman:
    """Looks, and starts again. One database connection is kept, one look costs milliseconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._embedded = embedded.is_embedded(settings)
        self._patience = Patience()
        self._connection: Connection | None = None
        self._idle: tuple[int, frozenset[int]] = (0, frozenset())
        self._lost_idle = 0
        self._looks = 0
        self._unheard = 0
        self._silence = ""
        self._said = ""

    def round(self, state: State) -> None:
        """One look, and what follows from it. The caller holds the home's lock."""
        if self._embedded:
            self._see_to_postgres()
        complaints = self._complaints(state)
        self._tell(complaints)
        due = self._patience.due(complaints, time.monotonic())
        if not due:
            return
        environment = airflow_environment(self._settings, state["port"])
        for complaint in due:
            _say(f"{complaint}; starting it again")
            self._patience.started(complaint.component, time.monotonic())
            start_again(self._settings, state, complaint.component, environment)
            if complaint.component == "scheduler":
                self._idle, self._lost_idle = (0, frozenset()), 0

    def _see_to_postgres(self) -> None:
        """Start the embedded server if it does not run, after ending one that hangs: it takes up no
        connection, while those that it took up before go on as if all were well."""
        home = self._settings.home
        pid = embedded.running_pid(home)
        if pid is not None and (self._unheard or self._looks % ASK_EVERY == 0):
            if embedded.takes_up_connections(home):
                self._unheard = 0
            else:
                self._unheard += 1
                _say("PostgreSQL takes up no connection")
            if self._unheard == HANGS_AFTER:
                _say("PostgreSQL hangs; ending it")
                postgres_process.kill(pid)
                self._unheard, pid = 0, None
        if pid is None:
            _say("PostgreSQL does not run; starting it")
            embedded.ensure_running(home)
            _say("PostgreSQL answers")

    def _complaints(self, state: State) -> list[Complaint]:
        self._count_lost(state)
        if self._silence or self._looks % ASK_EVERY == 0:
            self._silence = silence_of_api(state)
        self._looks += 1
        try:
            connection = self._connected()
            return [
                complaint
                for complaint in judge(look(state, connection, self._silence, self._lost_idle))
                if complaint.component in COMPONENTS
            ]
        except ServiceAway:
            self._connection = None
            raise

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            database = self._settings.database_url or embedded.address(self._settings.home)
            self._connection = connect(with_database(database, AIRFLOW), patience=0)
            self._connection.autocommit = True
        return self._connection

    def _count_lost(self, state: State) -> None:
        """Count executor processes of the present scheduler that were idle, and are gone."""
        record = state["processes"].get("scheduler")
        if record is None:
            return
        scheduler, idle = self._idle
        now = process_sessions.executors(record)
        if scheduler == record["pid"] and process_sessions.alive(record):
            self._lost_idle += len(idle - now.idle - now.at_work)
        else:
            self._lost_idle = 0
        self._idle = (record["pid"], now.idle)

    def _tell(self, complaints: Sequence[Complaint]) -> None:
        """Write what is wrong down when it changes, not at each look."""
        said = "; ".join(f"{c.component} {c.kind}" for c in complaints)
        if said != self._said:
            _say("; ".join(map(str, complaints)) or "all is well")
            self._said = said


def start(settings: Settings, state: State) -> None:
    """Start the supervisor and note it. The caller holds the home's lock."""
    given = settings
    if embedded.is_embedded(settings):  # so that it knows that the server is its to start
        given = settings.model_copy(update={"database_url": ""})
    environment = {**process_environment(), **given.environment()}
    command = ["-m", "recloop.runtime.supervisor"]
    state[SUPERVISOR] = process_sessions.spawn(settings, SUPERVISOR, command, environment)
    process_sessions.write_state(settings, state)


def watch(settings: Settings, guardian: int, stopped: threading.Event) -> None:
    """Look until told to stop, until somebody else is the supervisor, or until the guardian is gone."""
    watchman = Watchman(settings)
    said = ""
    while not stopped.wait(EVERY):
        _reap()
        try:
            with locked_if_free(settings.home, process_sessions.LOCK) as held:
                if not held:
                    continue  # an `up` or `down` is at work, and sees to all of it
                state = read_state(settings)
                if (state[SUPERVISOR] or {}).get("pid") != guardian:
                    return
                if os.getppid() != guardian:
                    _say("the guardian is gone; making another")
                    start(settings, state)
                    return
                watchman.round(state)
                said = ""
        except (RecloopError, OSError) as error:
            if said != str(error):
                said = str(error)
                _say(said)


def _reap() -> None:
    """Take leave of components that this process started and that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}", flush=True)


def _watch_in_child(settings: Settings, guardian: int) -> int:
    """The watchman's life; returns the process's exit code. SIGTERM ends it between two rounds."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        watch(settings, guardian, stopped)
    except BaseException as error:
        _say(f"the watchman fails: {error!r}")
        return 1
    return DONE


def main() -> None:
    """Guard a watchman: another takes the place of one that is killed."""
    keep_private()
    settings = Settings.from_environment()
    guardian = os.getpid()
    _say(f"watching {settings.home}")
    while True:
        child = os.fork()
        if child == 0:
            os._exit(_watch_in_child(settings, guardian))
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == DONE:
            return
        _say("the watchman is gone; making another")
        time.sleep(1)


if __name__ == "__main__":
    main()
