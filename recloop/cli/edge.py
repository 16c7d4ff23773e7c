"""Where the command line meets the machine: what goes wrong there becomes one sentence.

Belongs here: errors of the operating system and of PostgreSQL that no stage expects (a full disk, a
role without rights), and the signals that end a command. Keep out: errors that recloop raises on
purpose (see `recloop/errors.py`), which say all that by themselves.
"""

from __future__ import annotations

import contextlib
import errno
import signal
import traceback
from datetime import UTC, datetime
from types import FrameType

import psycopg2
from psycopg2 import errors as postgres

from recloop.database.connection import told_safely
from recloop.errors import BadInput, RecloopError, ServiceAway
from recloop.settings import Settings

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
CAUSES = 10
"""Errors behind an error that are looked at: libraries wrap what the driver says."""


def end_by_signal() -> None:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does: what it started is stopped first."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _leave)


def _leave(number: int, _frame: FrameType | None) -> None:
    for again in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(again, signal.SIG_IGN)  # stopping a server is not stopped half-way
    raise SystemExit(128 + number)


def as_sentence(error: BaseException) -> RecloopError | None:
    """The error in recloop's terms; None if it is no matter of the machine but a mistake in recloop."""
    seen: BaseException | None = error
    for _ in range(CAUSES):
        if seen is None:
            break
        if isinstance(seen, psycopg2.Error):
            return _of_postgres(seen, error)
        if isinstance(seen, OSError):
            return _of_system(seen, error)
        seen = getattr(seen, "orig", None) or seen.__cause__
    return None


def _of_system(error: OSError, raised: BaseException) -> RecloopError:
    where = f" {error.filename!r}" if error.filename else ""
    said = f"{error.strerror or error}:{where}" if where else str(error.strerror or error)
    if error.errno in FULL:
        return ServiceAway(
            f"the disk is full ({said}). Free some of it, or set RECLOOP_HOME to a larger one, and "
            "repeat the command: what was begun is taken up again."
        )
    if error.errno in FORBIDDEN:
        return BadInput(
            f"a file cannot be written or read ({said}). Give this user the right to it, or name "
            "another place: RECLOOP_HOME for what recloop writes, RECLOOP_DATA for what it reads."
        )
    return RecloopError(f"the operating system refused ({said}).{_trace(raised)}")


def _of_postgres(error: psycopg2.Error, raised: BaseException) -> RecloopError:
    said = told_safely(error, _database_url())
    if isinstance(error, postgres.InsufficientPrivilege):
        return BadInput(
            f"the role of RECLOOP_DATABASE_URL has too few rights: {said}. Grant it what is missing "
            "(it creates schemas and tables in its database), or name another role."
        )
    if isinstance(error, postgres.ReadOnlySqlTransaction):
        return BadInput(
            f"the server of RECLOOP_DATABASE_URL can only be read: {said}. Name the primary, and a "
            "role that may write."
        )
    if error.pgcode is not None and error.pgcode.startswith("53"):  # insufficient resources
        return ServiceAway(f"PostgreSQL has run out of something: {said}. Make room and repeat.")
    if isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)):
        return ServiceAway(f"PostgreSQL stopped answering: {said}. Repeat the command.")
    return RecloopError(f"PostgreSQL refused a statement: {said}.{_trace(raised)}")


def _database_url() -> str:
    with contextlib.suppress(RecloopError):
        return Settings.from_environment().database_url
    return ""


def _trace(error: BaseException) -> str:
    """Write the traceback to a file, if one can be written; where it is."""
    with contextlib.suppress(RecloopError, OSError):
        path = Settings.from_environment().home / "logs" / "errors.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            print(datetime.now(UTC).isoformat(timespec="seconds"), file=log)
            log.write("".join(traceback.format_exception(error)))
        return f" Where it happened: {path}."
    return ""
