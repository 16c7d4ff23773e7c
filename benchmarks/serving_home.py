"""A copy of a home to serve from, and the server's process: nothing of the home itself is changed.

Belongs here: what runs. Neighbours: `serving.py` says what is asked, `serving_load.py` asks.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from benchmarks.output import RunFailed
from benchmarks.serving_load import Plan
from recloop.addresses import database_name, with_database
from recloop.config.recommenders import chosen
from recloop.database import embedded
from recloop.database.connection import asked, connect, first
from recloop.database.schema import migrate
from recloop.errors import BadInput
from recloop.ledger import releases
from recloop.settings import PROJECT, Settings, process_environment

COPY = "recloop_bench_serving"
UNLIMITED = "[limits]\nrequests_per_second = 1e6\nburst = 1000000\n"
Json = dict[str, Any]


@contextmanager
def copied(settings: Settings) -> Iterator[Settings]:
    """The settings on a copy of the database and a home of their own; releases stay where they are.

    Raises:
        BadInput: somebody else is connected to the database, or it has no champion.
    """
    started = not settings.database_url and embedded.running_pid(settings.home) is None
    home, settings = settings.home, embedded.resolve(settings)
    server = with_database(settings.database_url, "postgres")
    asked(server, first, "select 1")  # the connection that this process keeps is another's then
    admin = connect(server, "recloop bench")
    admin.autocommit = True
    source = database_name(settings.database_url)
    folder = Path(tempfile.mkdtemp(prefix="recloop-serving-"))
    try:
        with admin.cursor() as cursor:
            cursor.execute(f'drop database if exists "{COPY}" with (force)')
            try:
                cursor.execute(f'create database "{COPY}" template "{source}"')
            except psycopg2.errors.ObjectInUse as error:
                raise BadInput(
                    "somebody is connected to the home's database, so that it cannot be copied; "
                    "`recloop down` ends the home's own Airflow."
                ) from error
            shutil.copytree(settings.config, folder / "config")
            (folder / "config" / "serve.toml").write_text(UNLIMITED)
            url = with_database(settings.database_url, COPY)
            migrate(url)
            copy = chosen(settings.model_copy(update={"database_url": url}))
            if asked(copy.database_url, releases.champion) is None:
                raise BadInput(
                    f"there is no champion in {home} to serve; run `make demo` first, or give --home."
                )
            changed = {"database_url": url, "home": folder, "config": folder / "config"}
            yield chosen(settings.model_copy(update=changed))
            cursor.execute(f'drop database if exists "{COPY}" with (force)')
    finally:
        admin.close()
        shutil.rmtree(folder, ignore_errors=True)
        if started:
            embedded.stop(home)


@dataclass(frozen=True)
class Server:
    """A process that answers."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """Of the process and its children, since their start."""
        family = [psutil.Process(self.process.pid)]
        family += family[0].children(recursive=True)
        return float(sum(sum(one.cpu_times()[:2]) for one in family))

    def health(self) -> Json:
        """What `/health/ready` says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/health/ready")
            return dict(json.loads(connection.getresponse().read()))
        finally:
            connection.close()

    def answering(self) -> tuple[int | None, int]:
        """The release that answers, and the one that is refused, 0: none; of one recommender."""
        (told,) = self.health()["recommenders"].values()
        return told["release"], told.get("refused", 0)


def command(server: str, port: int) -> list[str]:
    """What starts a server of this name.

    Raises:
        BadInput: there is no such server.
    """
    if server == "uvicorn":
        return [sys.executable, "-m", "recloop.server", "127.0.0.1", str(port), "1"]
    if server == "granian":
        options = f"--interface asgi --factory --loop uvloop --host 127.0.0.1 --port {port}"
        target = "recloop.server.__main__:app"
        return [sys.executable, "-m", "granian", *options.split(), "--no-ws", target]
    raise BadInput(f"`systems` should be of uvicorn, granian. Received: {server!r}.")


@contextmanager
def running(settings: Settings, server: str = "uvicorn") -> Iterator[Server]:
    """A server, ready.

    Raises:
        RunFailed: it did not come.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    given = process_environment() | settings.environment() | {"OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(command(server, port), env=given, cwd=PROJECT)
    one = Server(port, process)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise RunFailed(f"{server} ended with code {process.returncode}.")
            with suppress(OSError):
                if one.health()["ready"]:
                    break
            time.sleep(0.1)
        else:
            raise RunFailed(f"{server} was not ready within a minute: {one.health()}")
        yield one
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start_load(plan: Plan, folder: Path) -> subprocess.Popen[bytes]:
    """A second process that asks."""
    (folder / "plan.json").write_text(json.dumps(vars(plan)))
    asking = [sys.executable, "-m", "benchmarks.serving_load"]
    asking += [str(folder / "plan.json"), str(folder / "answers.json")]
    return subprocess.Popen(asking, cwd=PROJECT, env=process_environment())


def taken(process: subprocess.Popen[bytes], folder: Path) -> Json:
    """What came back.

    Raises:
        RunFailed: the process that asks failed.
    """
    if process.wait():
        raise RunFailed(f"the load ended with code {process.returncode}.")
    return dict(json.loads((folder / "answers.json").read_text()))
