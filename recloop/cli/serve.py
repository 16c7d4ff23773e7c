"""`recloop serve` and its keys: answers over HTTP, from a process of its own."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
from types import FrameType
from typing import Annotated

import typer

from recloop.cli.output import console, say
from recloop.cli.session import session
from recloop.errors import BadInput, ServiceAway
from recloop.settings import Settings, process_environment

LOOPBACK = ("127.0.0.1", "::1", "localhost")
keys_app = typer.Typer(name="serve-key", no_args_is_help=True, help="Who may ask `recloop serve`.")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8085,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes; each holds the releases.")
    ] = 1,
) -> None:
    """Answer over HTTP from the champions of all recommenders, following every promotion and rollback.
    Ends at Ctrl-C."""
    from recloop.server.keys import keys_file, read_file
    from recloop.server.serve_file import read_serve

    with session(of_all=True) as settings:
        read_serve(settings)  # a mistake in it is told here
        keys = read_file(settings)
        if host not in LOOPBACK and not keys:
            raise BadInput(
                f"without a key the server listens to this machine only. Received: --host {host}. Make "
                f"one with `recloop serve-key add NAME` (it goes into {keys_file(settings)})."
            )
        _require_free(host, port)
        # One thread in each matrix product: requests are answered side by side already.
        environment = process_environment() | settings.environment() | {"OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "recloop.server", host, str(port), str(workers)]
        process = subprocess.Popen(command, env=environment)
        shown = f"[{host}]" if ":" in host else host
        say(f"answers at http://{shown}:{port}/v1/recommend; its description: /openapi.json")
        ended = _waited_for(process)
    if ended not in (0, -signal.SIGTERM, -signal.SIGINT):
        raise ServiceAway(f"the server ended with code {ended}; what it wrote above says why.")


def _require_free(host: str, port: int) -> None:
    """The server's own message would not say which option to change."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        remedy = "another program listens there; choose another --port" if taken else str(error)
        raise BadInput(f"--host {host} --port {port} cannot be listened on: {remedy}.") from error


def _waited_for(process: subprocess.Popen[bytes]) -> int:
    """The exit code; signals that ask this command to end are passed on."""

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        process.terminate()  # a hang-up would make the server begin its workers anew

    before = {
        number: signal.signal(number, pass_on)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    }
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@keys_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    scope: Annotated[
        str, typer.Option(help="Comma-separated, of recommend, feedback, read, metrics.")
    ] = "recommend,feedback",
) -> None:
    """Make a key, shown this once; in place of the one that NAME had."""
    from recloop.server.keys import make_key

    scopes = tuple(one.strip() for one in scope.split(",") if one.strip())
    console.print(make_key(Settings.from_environment(), name, scopes), soft_wrap=True)


@keys_app.command("drop")
def drop(name: Annotated[str, typer.Argument()]) -> None:
    """Take a key away; running servers notice within a second."""
    from recloop.server.keys import drop_key

    drop_key(Settings.from_environment(), name)


@keys_app.command("list")
def listed() -> None:
    """Who has a key, and for what."""
    from recloop.server.keys import read_file

    for name, value in sorted(read_file(Settings.from_environment()).items()):
        console.print(f"{name}: {', '.join(map(str, value['scopes']))}")  # type: ignore[call-overload]
