"""`recloop serve` as a process: how it starts, what it refuses to start with, and how it ends."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from recloop.server.__main__ import app
from recloop.server.keys import keys_file, make_key
from recloop.settings import PROJECT, Settings, process_environment

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(settings: Settings, *options: str) -> Iterator[subprocess.Popen[str]]:
    given = process_environment()
    kept = {name: value for name, value in given.items() if not name.startswith("RECLOOP_")}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "recloop.main", "serve", *options],
        env=kept | settings.environment(),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def asked(port: int, path: str, host: str = "127.0.0.1", **body: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(host, port, timeout=20)
    try:
        if body:
            headers = {"content-type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
        else:
            connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def ready(port: int, process: subprocess.Popen[str], host: str = "127.0.0.1") -> None:
    for _ in range(600):
        assert process.poll() is None, process.stdout and process.stdout.read()
        with suppress(OSError):
            asked(port, "/health/live", host)
            return
        time.sleep(0.1)
    pytest.fail("the server did not come")


def told(settings: Settings, *options: str) -> tuple[int, str]:
    with serving(settings, *options) as process:
        output, _ = process.communicate(timeout=60)
        return process.returncode, output


def test_answers_that_are_being_made_are_finished_at_its_end(settings: Settings, cursor) -> None:
    """The ledger is locked while a request reads it: the answer comes after the signal."""
    from recloop.database.connection import transaction

    port = free_port()
    found: list[tuple[int, Any]] = []
    with serving(settings, "--port", str(port)) as process:
        ready(port, process)
        (worker,) = psutil.Process(process.pid).children()
        with transaction(settings.database_url) as locking:
            locking.execute("lock table lineage.release in access exclusive mode")
            asking = threading.Thread(target=lambda: found.append(asked(port, "/v1/releases")))
            asking.start()
            time.sleep(0.6)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert process.poll() is None
            assert worker.is_running()
        asking.join()
        assert found == [(200, {"recommender": "default", "answering": None, "releases": []})]
        assert process.wait(timeout=20) == 0
        assert not worker.is_running()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it_too_and_leave_no_process(
    number: int, settings: Settings, cursor
) -> None:
    port = free_port()
    with serving(settings, "--port", str(port), "--workers", "2") as process:
        ready(port, process)
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3
        for _ in range(4):
            assert asked(port, "/health/ready")[0] == 503  # there is no champion
        process.send_signal(number)
        process.wait(timeout=30)
        _, alive = psutil.wait_procs(family, timeout=15)
        assert not alive


def test_a_port_that_is_taken_is_told(settings: Settings, cursor) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, output = told(settings, "--port", port)
    assert code == 2
    assert "another program listens there; choose another --port" in " ".join(output.split())
    code, output = told(settings, "--host", "no.such.host.invalid")
    assert (code, "needs" in output or "without a key" in output) == (2, True)


def test_others_are_not_listened_to_without_a_key(settings: Settings, cursor) -> None:
    code, output = told(settings, "--host", "0.0.0.0")
    words = " ".join(output.split())
    assert code == 2
    assert "without a key the server listens to this machine only" in words
    assert "recloop serve-key add" in words
    make_key(settings, "shop", ("recommend",))
    port = free_port()
    with serving(settings, "--host", "0.0.0.0", "--port", str(port)) as process:
        ready(port, process)
        assert asked(port, "/v1/recommend", user="1")[0] == 401
    keys_file(settings).write_text("{")
    code, output = told(settings)
    assert (code, "make the keys anew" in " ".join(output.split())) == (2, True)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_it_listens_to_the_sixth_version_of_addresses_too(settings: Settings, cursor) -> None:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    port = free_port()
    with serving(settings, "--host", "::1", "--port", str(port)) as process:
        ready(port, process, "::1")
        assert asked(port, "/health/live", "::1") == (200, {"live": True})
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        assert f"http://[::1]:{port}/v1/recommend" in "".join(output.split())


def test_a_mistake_in_serve_toml_is_told_before_anything_starts(
    settings: Settings, cursor, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "datasets").symlink_to(PROJECT / "config" / "datasets")
    (config / "serve.toml").write_text("thread = 3\n")
    code, output = told(settings.model_copy(update={"config": config}))
    assert (code, "thread" in output) == (2, True)


def test_the_server_s_process_makes_its_app_of_the_environment(
    settings: Settings, cursor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sys.getswitchinterval()
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    try:
        assert app().state.follower.states.keys() == {"default"}
    finally:
        sys.setswitchinterval(before)
