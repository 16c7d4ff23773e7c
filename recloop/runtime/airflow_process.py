"""Starts and stops Airflow's four components on this machine, and the supervisor that watches them.

Each component is started by itself, in its own session, rather than by `airflow standalone`: that
saves the parent's imports, lets one killed component be started again, and switches off the log
servers, which listen on all interfaces.

Belongs here: the whole of them, as `recloop up`, `recloop down` and the demonstration need it. Keep
out: one component (see `process_sessions.py`), their environment (see `environment.py`), whether
they work (see `health.py`) and requests to them (see `airflow_client.py`).
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import closing
from functools import partial
from importlib.metadata import version
from pathlib import Path

from recloop.addresses import with_database
from recloop.config.dag_ids import expected, pool_of
from recloop.config.recommenders import usable
from recloop.database import embedded
from recloop.database.connection import asked, first, redacted
from recloop.database.connection import connect as connect_to_database
from recloop.errors import BadInput, ServiceAway
from recloop.home import locked
from recloop.runtime import process_sessions, supervisor
from recloop.runtime.airflow_client import AirflowClient
from recloop.runtime.environment import AIRFLOW, HOST, airflow_environment, client_password
from recloop.runtime.health import Complaint, judge, look, silence_of_api
from recloop.runtime.process_sessions import COMPONENTS, SUPERVISOR, State, log_file, read_state
from recloop.settings import CLIENT_NAME, Settings

START_TIMEOUT = 400.0
"""Seconds until Airflow has to be healthy; on two busy cores the first start takes about 45."""
ASKED_AGAIN = 3
"""Times that an api-server which does not answer is asked again before it is ended."""
STOP_TIMEOUT = 8.0
"""Seconds between SIGTERM and SIGKILL; a scheduler without tasks needs six."""

log = logging.getLogger(__name__)


def start(
    settings: Settings, port: int | None = None, timeout: float = START_TIMEOUT
) -> AirflowClient:
    """Start what is not running or does not work, wait until all of it is healthy, and return a client.

    Repeating it starts only what has died, and what hangs, since. Two at once: the second waits for
    the first. A first start that fails stops what it started. `port`: None keeps the one of the last
    start, or takes 8080, or a free one if that is taken.

    Raises:
        BadInput: the home cannot be written.
        ServiceAway: a component ended, or Airflow was not healthy within `timeout` seconds.
    """
    with locked(settings.home, process_sessions.LOCK, _busy):
        state = read_state(settings)
        anew = not any(process_sessions.alive(state["processes"].get(name)) for name in COMPONENTS)
        if anew:
            _stop(settings)  # whatever a crash left behind
            state = {**read_state(settings), "port": _choose_port(port, state["port"])}
        while True:
            try:
                return _start(settings, state, timeout)
            except BaseException as error:
                if anew:
                    _stop(settings)
                if not anew or port or not isinstance(error, _PortTaken):
                    raise
                # Another `up` took the port between our look and our start.
                state = {**read_state(settings), "port": free_port()}


class _PortTaken(ServiceAway):
    """Somebody else listens where the api-server was to."""


def _refuse_anothers_airflow(settings: Settings) -> None:
    """Refuse to migrate, and to schedule in, an Airflow that this home did not make: on a server that
    others use, it is theirs, or another home's."""
    if embedded.is_embedded(settings) or _note(settings).exists():
        return
    url = settings.database_url
    there = "select exists (select from pg_database where datname = %s)"
    if not asked(url, first, there, (AIRFLOW,)):
        return
    theirs = with_database(url, AIRFLOW)
    if asked(theirs, first, "select to_regclass('alembic_version') is not null"):
        raise BadInput(
            f"the server of RECLOOP_DATABASE_URL = {redacted(url)!r} has a database {AIRFLOW!r} that "
            "this home did not make: it is another Airflow's. Bring a server of recloop's own, one "
            "for each home, or drop that database if nobody needs it."
        )


def _start(settings: Settings, state: State, timeout: float) -> AirflowClient:
    _refuse_anothers_airflow(settings)
    environment = airflow_environment(settings, state["port"])
    database = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    _migrate(settings, environment)
    for _ in range(1 + ASKED_AGAIN):
        wrong = {complaint.component: complaint for complaint in _look(state, database)}
        if not any(complaint.kind == "silent" for complaint in wrong.values()):
            break
    for name in COMPONENTS:
        if name in wrong and wrong[name].kind != "starting":
            process_sessions.start_again(settings, state, name, environment)
    client = _client(settings)
    _wait_until_healthy(settings, client, state, database, timeout)
    if SUPERVISOR in wrong:
        supervisor.start(settings, state)
    for one in usable(settings)[0]:
        client.ensure_pool(pool_of(one), 1, "Training: as many slots as there are GPUs for it")
    return client


def wake_once(settings: Settings, client: AirflowClient, but: Collection[str]) -> None:
    """Unpause the DAGs, which begin paused, `but` these; one that was woken before is as people left
    it."""
    note = settings.airflow_home / "woken.json"
    known = set(json.loads(note.read_text())) if note.exists() else set[str]()
    found = client.dag_ids()
    for dag_id in found:
        if dag_id not in known:
            client.pause(dag_id, paused=dag_id in but)
    partial = note.with_suffix(".partial")
    partial.write_text(json.dumps(sorted(known.union(found))))
    partial.replace(note)


def stop(settings: Settings) -> bool:
    """Stop all components, their children and the supervisor. Returns whether any was running.

    Tasks in progress are ended too: the ledger's lease lets their next attempt take over.
    """
    if not settings.home.is_dir():
        return False
    with locked(settings.home, process_sessions.LOCK, _busy):
        return _stop(settings)


def _stop(settings: Settings) -> bool:
    state = read_state(settings)
    ended = 0
    if state[SUPERVISOR] is not None:  # first, or it starts again what ends
        ended += process_sessions.end([state[SUPERVISOR]], STOP_TIMEOUT)
    ended += process_sessions.end([*state["processes"].values(), *state["former"]], STOP_TIMEOUT)
    folder = settings.airflow_home.resolve()
    lost = partial(process_sessions.working_in, folder)  # with their note
    ended += process_sessions.end_processes(lost, 1.0)
    if process_sessions.state_file(settings).exists():
        process_sessions.write_state(
            settings, {**state, "processes": {}, SUPERVISOR: None, "former": []}
        )
    return bool(ended)


def complaints(settings: Settings) -> list[Complaint]:
    """What of Airflow and its supervisor does not work now; empty if all is well.

    Raises:
        ServiceAway: Airflow's database cannot be reached.
    """
    database = settings.database_url or embedded.address(settings.home)
    database = with_database(database, AIRFLOW)
    if not _is_migrated(settings, database):
        return [Complaint("database", "dead", "has not Airflow's tables of this version")]
    return _look(read_state(settings), database)


def process_ids(settings: Settings) -> dict[str, int]:
    """`{component: pid}` of the components that are alive, the supervisor among them."""
    living = process_sessions.living(read_state(settings))
    return {name: record["pid"] for name, record in living.items()}


def connect(settings: Settings) -> AirflowClient:
    """A client of the Airflow that `start` started.

    Raises:
        ServiceAway: it is not running.
    """
    if "api-server" not in process_ids(settings):
        raise ServiceAway(f"Airflow of {settings.home} is not running; start it with `recloop up`.")
    return _client(settings)


def _client(settings: Settings) -> AirflowClient:
    login = (CLIENT_NAME, client_password(settings)) if settings.users else ()
    return AirflowClient(process_sessions.url(settings), *login)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _busy() -> None:
    log.warning("another `recloop up` or `recloop down` works on this home; waiting for it …")


def _look(state: State, database: str) -> list[Complaint]:
    with closing(connect_to_database(database)) as connection:
        connection.autocommit = True
        return judge(look(state, connection, silence_of_api(state)))


def _migrate(settings: Settings, environment: dict[str, str]) -> None:
    """Bring the metadata database to this Airflow's version; a note makes repeats free."""
    database = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    if _is_migrated(settings, database):
        return
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        path = log_file(settings, "migrate")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(done.stdout + done.stderr)
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise ServiceAway(f"`airflow db migrate` failed: {said}. All that it said is in {path}.")
    _note(settings).write_text(json.dumps(_identity(database)))


def _is_migrated(settings: Settings, database: str) -> bool:
    """Whether this Airflow's migrations were run on this database."""
    try:
        there = asked(database, first, "select to_regclass('alembic_version') is not null")
        return there and json.loads(_note(settings).read_text()) == _identity(database)
    except (FileNotFoundError, ValueError):
        return False


def _identity(database: str) -> list[str]:
    """The database and its cluster's age, so that one made anew is migrated, and Airflow's version."""
    age = asked(
        database, first, "select oid::text from pg_database where datname = current_database()"
    )
    return [version("apache-airflow-core"), redacted(database), age]


def _note(settings: Settings) -> Path:
    return settings.airflow_home / "migrated.json"


def _wait_until_healthy(
    settings: Settings, client: AirflowClient, state: State, database: str, timeout: float
) -> None:
    deadline = time.monotonic() + timeout
    wrong: list[str] = []
    due = expected(settings)
    while True:
        living = process_sessions.living(state)
        for name in state["processes"]:
            if name not in living:
                raise _ended(settings, state, name)
        try:
            wrong = [str(c) for c in _look(state, database) if c.component != SUPERVISOR]
            if not wrong:
                parsed = {*client.dag_ids(), *(Path(file).stem for file in client.import_errors())}
                missing = {one for one in due if not {one, one.rpartition(".")[2]} & parsed}
                if not missing:
                    return
                wrong = [f"the dag-processor has not read {', '.join(sorted(missing))}"]
        except ServiceAway as error:
            wrong = [str(error)]
        if time.monotonic() > deadline:
            raise ServiceAway(
                f"Airflow was not healthy within {timeout:.0f} s: {'; '.join(wrong)}. Its logs are in "
                f"{log_file(settings, 'scheduler').parent}."
            )
        time.sleep(0.5)


def _ended(settings: Settings, state: State, name: str) -> ServiceAway:
    path = log_file(settings, name)
    lines = path.read_text(errors="replace").splitlines()[-15:] if path.exists() else []
    if any("address already in use" in line for line in lines):
        return _PortTaken(f"port {state['port']} is taken; give another with --port.")
    said = "\n".join(lines)
    return ServiceAway(f"Airflow's {name} ended while starting; the end of {path}:\n{said}")


def _choose_port(wanted: int | None, last: int | None) -> int:
    for candidate in (wanted,) if wanted else (last, process_sessions.DEFAULT_PORT):
        if candidate and _free(candidate):
            return candidate
    if wanted:
        raise ServiceAway(f"port {wanted} is taken; give another, or none to have one chosen.")
    return free_port()


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def stop_all(settings: Settings) -> bool:
    """Stop Airflow and the embedded PostgreSQL of these settings. Returns whether any was running."""
    stopped = stop(settings)
    return embedded.stop(settings.home) or stopped
