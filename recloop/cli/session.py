"""Where a command meets the machine: its settings, on a database that answers; the embedded server's
short life; the signals that end it; and what goes wrong there, as one sentence.

Keep out: errors that recloop raises on purpose (see `recloop/errors.py`), which say all that themselves.

A command that had to start the embedded server stops it again when it ends, also by SIGTERM, unless
somebody else has connected meanwhile. `recloop up` keeps the one that it started.
"""

from __future__ import annotations

import contextlib
import errno
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType

import psycopg2
from psycopg2 import errors as postgres

from recloop.config.recommenders import chosen
from recloop.database import embedded
from recloop.database.connection import asked, connect, first, told_safely
from recloop.errors import BadInput, RecloopError, ServiceAway
from recloop.home import make_private
from recloop.runtime.process_sessions import living, read_state
from recloop.settings import Settings

PRESENCE = "recloop command"


@contextmanager
def session(
    keep: bool = False, given: Settings | None = None, of_all: bool = False
) -> Iterator[Settings]:
    """Settings of a recommender with a database URL that answers, its tables made.

    Args:
        keep: leave an embedded server that was started here running, if the block succeeds.
        of_all: settings of no recommender, for what is about all of them.
        given: settings in place of those of the environment.

    Raises:
        BadInput: an environment variable cannot be used, or it is not said which recommender is meant.
        ServiceAway: the database cannot be reached.
    """
    given = given or Settings.from_environment()
    given = given if of_all else chosen(given)
    if given.database_url:
        with suppress(BadInput):  # a question to the database writes no file
            make_private(given.home)
        embedded.make(given)
        yield given
        return
    started = embedded.running_pid(given.home) is None
    presence, failed = None, True
    try:
        settings = embedded.resolve(given)
        presence = connect(settings.database_url, PRESENCE)  # so that other commands see this one
        yield settings
        failed = False
    finally:
        backend = presence.info.backend_pid if presence is not None else 0
        # Airflow that `recloop up` started may have lost the server only for a moment.
        done = started and (failed or not keep)
        if done and not living(read_state(given)) and _alone(given, backend):
            embedded.stop(given.home)
        if presence is not None:
            presence.close()


def _alone(settings: Settings, presence: int) -> bool:
    """Whether no other command and no Airflow uses the server."""
    if embedded.running_pid(settings.home) is None:
        return False
    try:
        others = asked(
            embedded.address(settings.home),
            first,
            "select count(*) from pg_stat_activity "
            "where (application_name = %s and pid <> %s) or datname = 'airflow'",
            (PRESENCE, presence),
        )
    except ServiceAway:
        return False
    return bool(others == 0)


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
        if isinstance(seen, psycopg2.Error):
            return _of_postgres(seen, error)
        if isinstance(seen, OSError):
            return _of_system(seen, error)
        seen = getattr(seen, "orig", None) or getattr(seen, "__cause__", None)
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
        return chosen(Settings.from_environment()).database_url
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
