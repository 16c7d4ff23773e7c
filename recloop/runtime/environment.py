"""The environment in which recloop runs Airflow on one machine.

Belongs here: every `AIRFLOW__…` variable of the embedded set-up, and the files that Airflow needs in
its home. Keep out: starting processes (see `airflow_process.py`). A deployment of one's own sets
these itself (see `docker-compose.yml`).
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from recloop.config.dag_ids import DAG_IDS, expected, pool_of
from recloop.config.recommenders import usable
from recloop.database.embedded import create_database, end_idle_transactions, make, resolve
from recloop.database.schema import migrate
from recloop.errors import BadInput
from recloop.project.laying_out import in_checkout
from recloop.settings import CLIENT_NAME, PROJECT, TELEMETRY_OFF, Settings, process_environment

HOST = "127.0.0.1"
PARALLELISM = 8
"""Tasks at a time, of all recommenders; each trains in a pool of its own, of one slot."""

log = logging.getLogger("recloop")
AIRFLOW = "airflow"
"""The metadata database, beside recloop's."""
LOCAL_SETTINGS = '''"""Written by recloop (see recloop/runtime/preload.py); edits are overwritten."""

from recloop.runtime.preload import preload_if_scheduler

preload_if_scheduler(enabled={enabled!r})
'''


def airflow_environment(settings: Settings, port: int) -> dict[str, str]:
    """The whole environment of an Airflow process, this process's own included.

    Creates what it names: the `airflow` database beside recloop's, the folders, the secrets.
    """
    settings = resolve(settings.given or settings)  # its URL goes into the environment
    _make_databases(settings)
    url = create_database(settings.database_url, AIRFLOW)
    end_idle_transactions(url)
    folder = settings.airflow_home / "config"
    folder.mkdir(parents=True, exist_ok=True)
    text = LOCAL_SETTINGS.format(enabled=settings.preload)
    (folder / "airflow_local_settings.py").write_text(text, encoding="utf-8")
    airflow = {
        "CORE__DAGS_FOLDER": str(settings.project / "dags"),
        "CORE__PLUGINS_FOLDER": str(settings.project / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": str(PARALLELISM),
        "CORE__MP_START_METHOD": "fork",  # tasks inherit what the scheduler preloaded
        "CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple."
        "simple_auth_manager.SimpleAuthManager",
        **_people(settings),
        "API__HOST": HOST,
        "API__PORT": str(port),
        "API__BASE_URL": f"http://{HOST}:{port}",
        "API__WORKERS": "1",
        "API__EXPOSE_CONFIG": "False",
        "DATABASE__SQL_ALCHEMY_CONN": url,
        "DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "LOGGING__BASE_LOG_FOLDER": str(settings.home / "logs" / "airflow"),
        "LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
        "LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
        # A tenth of a second costs an idle machine 40 % of a core, one second (the default) each
        # task up to that.
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "SCHEDULER__TASK_QUEUED_TIMEOUT": "86400",  # a GPU queue may be long
        # A scheduler that takes a dead one's place takes its tasks over within this many seconds.
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
        # A supervisor that misses its task's exit looks again after this many seconds (default 5).
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "60",
        **_secrets(settings),
    }
    environment = process_environment()
    checkout = [str(PROJECT)] * in_checkout()
    paths = [str(settings.project), *checkout, *environment.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **environment,
        **settings.environment(),
        "RECLOOP_RECOMMENDER": "",  # a task's is that of its DAG
        **{f"AIRFLOW__{name}": value for name, value in airflow.items()},
        **{name: _past_proxies(environment.get(name, "")) for name in ("NO_PROXY", "no_proxy")},
        "AIRFLOW_HOME": str(settings.airflow_home),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(filter(None, paths))),
        "PYTHONWARNINGS": "ignore",
        **TELEMETRY_OFF,
        "FEAST_USAGE": "False",
    }


def _make_databases(settings: Settings) -> None:
    """Those of all datasets. One that cannot be made is told of again by each of its tasks."""
    for one in usable(settings)[0]:
        try:
            make(one)
        except BadInput as error:
            log.warning("%s", error)


def _past_proxies(given: str) -> str:
    """What goes past a proxy, with this machine: Airflow's components talk to each other there."""
    return ",".join(dict.fromkeys([*filter(None, given.split(",")), HOST, "localhost"]))


def client_password(settings: Settings) -> str:
    """Of the user `recloop`, where people have to log in; made at first use."""
    return _passwords(settings)[CLIENT_NAME]


def passwords_file(settings: Settings) -> Path:
    """Names and passwords of those who may log in, made before Airflow would make and print them."""
    return settings.airflow_home / "passwords.json"


def _people(settings: Settings) -> dict[str, str]:
    """Who may do what. Without names everybody is admin, which is why nothing listens beyond the
    loopback interface."""
    if not settings.users:
        return {"CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"}
    _passwords(settings)
    return {
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{CLIENT_NAME}:admin,{settings.users}",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(settings)),
    }


def _passwords(settings: Settings) -> dict[str, str]:
    """Those of everybody in `settings.users`; one that is there already stays as it is."""
    path = passwords_file(settings)
    kept: dict[str, str] = {}
    with contextlib.suppress(FileNotFoundError, ValueError):
        kept = dict(json.loads(path.read_text(encoding="utf-8")))
    names = [CLIENT_NAME, *(user.partition(":")[0] for user in settings.users.split(",") if user)]
    if set(names) <= set(kept):
        return kept
    made = {name: secrets.token_urlsafe(24 if name == CLIENT_NAME else 12) for name in names}
    return _write_private(path, made | kept)


def _secrets(settings: Settings) -> dict[str, str]:
    """Generated at first use, then read back, so that a restart keeps sessions and connections."""
    path = settings.airflow_home / "secrets.json"
    with contextlib.suppress(FileNotFoundError, ValueError):
        return dict(json.loads(path.read_text(encoding="utf-8")))
    made = {
        "CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "API__SECRET_KEY": secrets.token_urlsafe(48),
        "API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
    }
    return _write_private(path, made)


def _write_private(path: Path, content: dict[str, str]) -> dict[str, str]:
    """Write JSON that only the owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    partial.replace(path)
    return content


# The init job of `docker-compose.yml`: databases, passwords, migrations, the GPU pool.
#
# Runs to its end before any other service starts; repeating it changes nothing.

SECRET = Path("/run/secrets/airflow_passwords")


def commands(settings: Settings, woken: Collection[str] = ()) -> list[list[str]]:
    """Airflow's command lines, in order. DAGs start paused, so the last one wakes recloop's, but those
    that were `woken` before: people pause DAGs, and size pools, as they need it."""
    airflow = [sys.executable, "-m", "airflow"]
    anew = expected(settings) - set(woken)
    pools = [pool_of(one) for one in usable(settings)[0]]
    size = ["1", "Training: one slot per GPU"]
    unpause = ["dags", "unpause", "--treat-dag-id-as-regex", "--yes"]
    return [
        [*airflow, "db", "migrate"],
        [*airflow, "dags", "reserialize"],
        *([*airflow, "pools", "set", pool, *size] for pool in pools if f"pool {pool}" not in woken),
        *([[*airflow, *unpause, f"^({'|'.join(map(re.escape, sorted(anew)))})$"]] if anew else []),
    ]


def copy_passwords(settings: Settings, secret: Path = SECRET) -> None:
    """Airflow opens the file of its users' passwords to write, which a secret does not allow.

    Raises:
        BadInput: the secret cannot be read, or is no JSON of names and passwords.
    """
    try:
        found = json.loads(secret.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"AIRFLOW_PASSWORDS_FILE cannot be used: {error}. It should be JSON of user names and "
            f"passwords that uid {os.getuid()} may read."
        ) from None
    _write_private(passwords_file(settings), found)


def main() -> None:
    """Prepare the databases that the environment names.

    Raises:
        BadInput: `RECLOOP_DATABASE_URL` is not set.
        ServiceAway: the server does not answer.
    """
    settings = Settings.from_environment()
    if not settings.database_url:
        raise BadInput("RECLOOP_DATABASE_URL is empty; name the server that all services share.")
    migrate(settings.database_url)
    _make_databases(settings)
    end_idle_transactions(create_database(settings.database_url, AIRFLOW))
    copy_passwords(settings)
    note = settings.airflow_home / "woken"
    woken = note.read_text().splitlines() if note.exists() else []
    if note.exists() and not woken:  # of an earlier version, with one recommender
        woken = [*DAG_IDS, f"pool {settings.gpu_pool}"]
    for command in commands(settings, woken):
        subprocess.run(command, check=True)
    pools = [f"pool {pool_of(one)}" for one in usable(settings)[0]]
    note.write_text("\n".join(sorted({*woken, *expected(settings), *pools})))


if __name__ == "__main__":
    main()
