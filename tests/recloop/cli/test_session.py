"""What goes wrong between the command line and the machine: one sentence, the right exit code."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg2
import pytest

from recloop.addresses import with_database
from recloop.cli.session import as_sentence
from recloop.database import embedded
from recloop.database.connection import connect, redacted, told_safely, transaction
from recloop.errors import BadInput, ServiceAway
from recloop.main import exit_code
from recloop.settings import PROJECT, Settings, process_environment

pytestmark = pytest.mark.slow


def recloop(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    given = process_environment()
    kept = {name: value for name, value in given.items() if not name.startswith("RECLOOP_")}
    return subprocess.run(
        [sys.executable, "-m", "recloop.main", *arguments],
        env=kept | variables,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/var/x"), 4, "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/var/x"), 4, "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "/var/x"), 2, "cannot be written"),
        (PermissionError(errno.EACCES, "Permission denied", "/var/x"), 2, "'/var/x'"),
        (OSError(errno.EIO, "Input/output error", "/var/x"), 1, "Where it happened: "),
        (psycopg2.errors.InsufficientPrivilege("permission denied for schema x"), 2, "few rights"),
        (psycopg2.errors.ReadOnlySqlTransaction("cannot execute"), 2, "can only be read"),
        (psycopg2.OperationalError("server closed the connection"), 4, "stopped answering"),
        (psycopg2.DataError("value out of range"), 1, "Where it happened: "),
    ],
)
def test_the_machine_s_errors_are_sentences(
    error: Exception, code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLOOP_HOME", str(tmp_path))
    told = as_sentence(error)
    assert told is not None
    assert exit_code(told) == code
    assert words in str(told)
    assert "\n" not in str(told)
    if "Where" in words:
        assert type(error).__name__ in (tmp_path / "logs" / "errors.log").read_text()


def test_what_a_library_wraps_is_found_and_a_mistake_in_recloop_stays_one() -> None:
    outer = RuntimeError("the store failed")
    outer.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert isinstance(as_sentence(outer), ServiceAway)
    assert as_sentence(KeyError("minimum_users")) is None
    assert as_sentence(ValueError("shapes do not match")) is None


def test_a_home_that_cannot_be_written_stops_a_command_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = recloop("status", RECLOOP_HOME=str(tmp_path / "file" / "var"))
    assert done.returncode == 2
    assert done.stderr.startswith("BadInput: RECLOOP_HOME")
    assert "Traceback" not in done.stderr


def test_a_role_with_too_few_rights_is_told_which(server_url: str, tmp_path: Path) -> None:
    admin = connect(with_database(server_url, "postgres"))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute("drop role if exists visitor")
        cursor.execute("create role visitor login")
        cursor.execute(f"create database {(name := f'visited_{os.getpid()}')}")
    url = with_database(server_url, name).replace("postgres@", "visitor@")
    done = recloop("status", RECLOOP_HOME=str(tmp_path), RECLOOP_DATABASE_URL=url)
    with admin.cursor() as cursor:
        cursor.execute(f"drop database {name} with (force)")
        cursor.execute("drop role visitor")
    admin.close()
    assert done.returncode == 2
    assert "the role of RECLOOP_DATABASE_URL has too few rights" in done.stderr
    assert "permission denied for database" in done.stderr
    assert "Traceback" not in done.stderr


SECRET = "s3cr3t/p@ss?w:ord"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{SECRET}@127.0.0.1:9/shop",
        "postgresql://ann:s3cr3t%2Fp%40ss%3Fw%3Aord@127.0.0.1:9/shop",
        "postgresql://ann@127.0.0.1:9/shop?password=s3cr3t&sslmode=disable",
        "postgresql://ann:s3cr3t@no.such.host.invalid/shop",
        "postgresql://ann:s3cr3t@127.0.0.1:port/shop",
    ],
)
def test_no_message_holds_a_piece_of_the_password(url: str) -> None:
    with pytest.raises((ServiceAway, BadInput)) as caught:
        connect(url)
    for piece in ("s3cr3t", "ss?w", "w:ord", "p@ss", "p%40ss"):
        assert piece not in str(caught.value)
        assert piece not in redacted(url)
    assert redacted(url).startswith("postgresql://ann@")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RECLOOP_DATABASE_URL", "mysql://ann:s3cr3t@127.0.0.1/shop"),
        ("RECLOOP_DATABASE_URL", "ann:s3cr3t@127.0.0.1/shop"),
        ("RECLOOP_DATABASE_URL", "postgresql://ann:s3cr3t@x@127.0.0.1/shop"),
        ("RECLOOP_DATABSE_URL", "postgresql://ann:s3cr3t@127.0.0.1/shop"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_without_its_secret(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadInput, match=variable) as caught:
        Settings.from_environment()
    assert "s3cr3t" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_driver_s_message_is_one_line_without_the_password() -> None:
    url = "postgresql://ann:half@other@host/x"
    error = psycopg2.OperationalError('could not translate host name "other@host"\nto address.')
    assert told_safely(error, url) == 'could not translate host name "***@host" to address'


def test_a_server_that_recovers_is_waited_for(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    real = psycopg2.connect

    def recovering(*arguments: object, **options: object) -> object:
        asked.append(time.monotonic())
        if len(asked) < 3:
            raise psycopg2.OperationalError("FATAL:  the database system is in recovery mode")
        return real(*arguments, **options)

    monkeypatch.setattr(psycopg2, "connect", recovering)
    with transaction(database_url) as cursor:
        cursor.execute("select 1")
    assert len(asked) == 3
    asked.clear()
    with pytest.raises(ServiceAway, match="recovery mode"):
        connect(database_url, patience=0)


COMMAND = """
import time
from recloop.cli.session import end_by_signal
from recloop.cli.session import session

end_by_signal()
with session() as settings:
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_takes_its_server_along(
    number: signal.Signals, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("ended")
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        env=process_environment() | {"RECLOOP_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    with command.stdout:
        assert command.stdout.readline() == "ready\n"
    pid = embedded.running_pid(home)
    assert pid is not None
    command.send_signal(number)
    assert command.wait(60) == 128 + number
    assert embedded.running_pid(home) is None
    assert not psutil.pid_exists(pid)
