"""Starts and stops Airflow's four components on this machine.

Each component is started by itself, in its own session, rather than by `airflow standalone`: that
saves the parent's imports, lets one killed component be started again, and switches off the log
servers, which listen on all interfaces. What was started is kept in `$AIRFLOW_HOME/processes.json`,
so that a later command, or the next boot after a crash, finds and stops it.

Belongs here: processes. Keep out: their environment (see `environment.py`) and requests to them (see
`airflow_client.py`).
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recloop.errors import ServiceAway
from recloop.runtime import sessions
from recloop.runtime.airflow_client import AirflowClient
from recloop.runtime.environment import DAG_IDS, HOST, airflow_environment, client_password
from recloop.settings import CLIENT_NAME, Settings

COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
DEFAULT_PORT = 8080
START_TIMEOUT = 240.0
"""Seconds until Airflow has to be healthy; on two busy cores the first start takes about 45."""
STOP_TIMEOUT = 8.0
"""Seconds between SIGTERM and SIGKILL; a scheduler without tasks needs six."""


def start(
    settings: Settings, port: int | None = None, timeout: float = START_TIMEOUT
) -> AirflowClient:
    """Start what is not running, wait until all of it is healthy, and return a client.

    Repeating it starts only what has died since. `port`: None keeps the one of the last start, or
    takes 8080, or a free one if that is taken.

    Raises:
        ServiceAway: a component ended, or Airflow was not healthy within `timeout` seconds.
    """
    state = _read_state(settings)
    running = [name for name in COMPONENTS if sessions.alive(state["processes"].get(name))]
    if not running:
        stop(settings)  # whatever a crash left behind
        state = {"port": _choose_port(port, state["port"]), "processes": {}, "former": []}
    environment = airflow_environment(settings, state["port"])
    _migrate(settings, environment)
    for name, arguments in COMPONENTS.items():
        if name not in running:
            if name in state["processes"]:
                sessions.end_all_but_tasks(state["processes"][name])
                state["former"].append(state["processes"][name])
            state["processes"][name] = _spawn(settings, name, arguments, environment)
            _write_state(settings, state)
    client = _client(settings)
    _wait_until_healthy(settings, client, state, timeout)
    client.ensure_pool(settings.gpu_pool, 1, "Training: as many slots as there are GPUs")
    return client


def stop(settings: Settings) -> bool:
    """Stop all components and their children, politely first. Returns whether any was running.

    Tasks in progress are ended too: the ledger's lease lets their next attempt take over.
    """
    state = _read_state(settings)
    ended = sessions.end([*state["processes"].values(), *state["former"]], STOP_TIMEOUT)
    if _state_file(settings).exists():
        _write_state(settings, {**state, "processes": {}, "former": []})
    return bool(ended)


def is_running(settings: Settings) -> bool:
    """Whether all components are alive."""
    processes = _read_state(settings)["processes"]
    return all(sessions.alive(processes.get(name)) for name in COMPONENTS)


def process_ids(settings: Settings) -> dict[str, int]:
    """`{component: pid}` of the components that are alive."""
    processes = _read_state(settings)["processes"]
    return {name: record["pid"] for name, record in processes.items() if sessions.alive(record)}


def url(settings: Settings) -> str:
    """Where the UI answers, or answered last."""
    return f"http://{HOST}:{_read_state(settings).get('port') or DEFAULT_PORT}"


def connect(settings: Settings) -> AirflowClient:
    """A client of the Airflow that `start` started.

    Raises:
        ServiceAway: it is not running.
    """
    if "api-server" not in process_ids(settings):
        raise ServiceAway(f"Airflow of {settings.home} is not running; start it with `recloop up`.")
    return _client(settings)


def _client(settings: Settings) -> AirflowClient:
    if not settings.users:
        return AirflowClient(url(settings))
    return AirflowClient(url(settings), CLIENT_NAME, client_password(settings))


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def log_file(settings: Settings, component: str) -> Path:
    """Where a component writes."""
    return settings.home / "logs" / f"{component}.log"


def _migrate(settings: Settings, environment: dict[str, str]) -> None:
    """Bring the metadata database to this Airflow's version; a note makes repeats free.

    The note names the database and its cluster's age, so that a database made anew is migrated.
    """
    from importlib.metadata import version

    from recloop.database.connection import transaction

    database = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    with transaction(database) as cursor:
        cursor.execute("select to_regclass('alembic_version') is not null")
        row = cursor.fetchone()
        migrated = bool(row and row[0])
        cursor.execute("select oid::text from pg_database where datname = current_database()")
        identity = [version("apache-airflow-core"), database, *(cursor.fetchone() or ())]
    note = settings.airflow_home / "migrated.json"
    if migrated and note.exists() and json.loads(note.read_text()) == identity:
        return
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise ServiceAway(
            f"`airflow db migrate` failed with code {done.returncode}: {done.stderr[-2000:]}"
        )
    note.write_text(json.dumps(identity))


def _spawn(
    settings: Settings, name: str, arguments: tuple[str, ...], environment: dict[str, str]
) -> dict[str, Any]:
    path = log_file(settings, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=settings.airflow_home,
            start_new_session=True,
        )
    return sessions.record_of(process.pid)


def _wait_until_healthy(
    settings: Settings, client: AirflowClient, state: dict[str, Any], timeout: float
) -> None:
    def ready() -> bool:
        for name, record in state["processes"].items():
            if not sessions.alive(record):
                raise ServiceAway(_ended(settings, name))
        health = client.health()
        beats = {
            "scheduler": health["scheduler"]["latest_scheduler_heartbeat"],
            "dag-processor": health["dag_processor"]["latest_dag_processor_heartbeat"],
            "triggerer": health["triggerer"]["latest_triggerer_heartbeat"],
        }
        # A heartbeat older than the process is that of its predecessor.
        if not all(_later(beat, state["processes"][name]) for name, beat in beats.items()):
            return False
        parsed = {*client.dag_ids(), *(Path(file).stem for file in client.import_errors())}
        return parsed.issuperset(DAG_IDS)

    deadline = time.monotonic() + timeout
    while True:
        try:
            if ready():
                return
        except ServiceAway as error:
            if "ended" in str(error):
                raise
        if time.monotonic() > deadline:
            raise ServiceAway(
                f"Airflow was not healthy within {timeout:.0f} s; its logs are in "
                f"{log_file(settings, 'scheduler').parent}. {client.url}/api/v2/monitor/health says "
                "which component is missing."
            )
        time.sleep(0.5)


def _ended(settings: Settings, name: str) -> str:
    path = log_file(settings, name)
    lines = path.read_text(errors="replace").splitlines()[-15:] if path.exists() else []
    return f"Airflow's {name} ended while starting; the end of {path}:\n" + "\n".join(lines)


def _later(beat: str | None, record: dict[str, Any]) -> bool:
    created = datetime.fromtimestamp(record["created"], UTC)
    return beat is not None and datetime.fromisoformat(beat) > created


def _choose_port(wanted: int | None, last: int | None) -> int:
    for candidate in (wanted,) if wanted else (last, DEFAULT_PORT):
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


def _state_file(settings: Settings) -> Path:
    return settings.airflow_home / "processes.json"


def _read_state(settings: Settings) -> dict[str, Any]:
    empty: dict[str, Any] = {"port": None, "processes": {}, "former": []}
    try:
        return empty | json.loads(_state_file(settings).read_text())
    except (FileNotFoundError, ValueError):
        return empty


def _write_state(settings: Settings, state: dict[str, Any]) -> None:
    path = _state_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(state, indent=2))
    partial.replace(path)
