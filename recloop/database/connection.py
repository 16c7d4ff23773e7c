"""Connections and transactions on the recloop database, through psycopg2.

One transaction per call, UTC in every session. A process keeps the connection of its last transaction
for the next one: making one costs the server more than most transactions do. An unreachable server is
always `ServiceAway`, so that callers can tell it from bad data; one that recovers from a crash is
waited for. No message holds a password.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import unquote

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extensions import parse_dsn

from recloop.errors import BadInput, ServiceAway

P = ParamSpec("P")
Value = TypeVar("Value")
NULL = "\\N"
OWN = ("RECLOOP_DATABASE_URL", "or unset it to use the embedded server (`recloop up`)")
RECOVERY_PATIENCE = 60.0
"""Seconds that a server which recovers from a crash is waited for."""
Parameters = Sequence[Any] | Mapping[str, Any] | None
"""Of a statement: `%s` by place, `%(name)s` by name."""
STARTING = ("is starting up", "in recovery mode", "not yet accepting connections")

log = logging.getLogger(__name__)


def libpq_url(url: str) -> str:
    """The URL as libpq takes it, without SQLAlchemy's driver name."""
    scheme, separator, rest = url.partition("://")
    return scheme.partition("+")[0] + separator + rest


def connect(
    url: str,
    name: str = "recloop",
    patience: float = RECOVERY_PATIENCE,
    setting: tuple[str, str] = OWN,
) -> Connection:
    """Connect as application `name`; the session's time zone is UTC.

    A server that says that it starts or recovers from a crash is asked again for `patience` seconds.

    Args:
        setting: where the URL comes from, and what else to do if the server does not answer.

    Raises:
        ServiceAway: the server does not answer or refuses the login.
    """
    deadline = time.monotonic() + patience
    told = False
    while True:
        try:
            return psycopg2.connect(
                libpq_url(url), connect_timeout=10, application_name=name, options=_options(url)
            )
        except psycopg2.OperationalError as error:
            if not _starts(error) or time.monotonic() > deadline:
                raise ServiceAway(
                    f"PostgreSQL at {redacted(url)} cannot be reached: {told_safely(error, url)}. "
                    f"Check {setting[0]}, {setting[1]}."
                ) from None
        except psycopg2.ProgrammingError as error:  # libpq's view of the URL; it may quote it
            raise BadInput(
                f"{setting[0]} = {redacted(url)!r} cannot be used: "
                f"{told_safely(error, url)}. It should be of the form "
                "postgresql://user@host/database."
            ) from None
        if not told:
            told = True
            log.warning("PostgreSQL is starting or recovering; waiting up to %.0f s …", patience)
        time.sleep(0.25)


def _starts(error: psycopg2.OperationalError) -> bool:
    """Whether a server is there that will answer soon. libpq gives no code for it, only the text."""
    return any(words in str(error) for words in STARTING)


def _options(url: str) -> str:
    """The URL's own, and UTC after them, which counts. A URL that is none is told by who connects."""
    try:
        given = str(parse_dsn(libpq_url(url)).get("options", ""))
    except psycopg2.ProgrammingError:
        given = ""
    return f"{given} -c timezone=UTC".strip()


def redacted(url: str) -> str:
    """The URL without its password, wherever in it the password stands."""
    scheme, separator, rest = url.partition("://")
    login, at, place = rest.rpartition("@")  # the last one: a password may hold others, and a ?
    head, _, query = place.partition("?")
    kept = [part for part in query.split("&") if part and not _names_a_secret(part)]
    user = login.partition(":")[0] + at
    return scheme + separator + user + head + ("?" + "&".join(kept) if kept else "")


def told_safely(error: Exception, url: str) -> str:
    """A driver's message on one line, without the password: libpq quotes what it cannot read."""
    text = " ".join(str(error).split())
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text.rstrip(".")


def _secrets(url: str) -> set[str]:
    """The password, and its pieces where it holds an @ or a /: libpq takes those for host or port."""
    login, _, place = url.partition("://")[2].rpartition("@")
    query = place.partition("?")[2]
    written = [login.partition(":")[2]]
    written += [part.partition("=")[2] for part in query.split("&") if _names_a_secret(part)]
    found = {piece for text in written for piece in (text, *re.split("[@/?#:]", text))}
    return {piece for text in found for piece in (text, unquote(text)) if piece}


def _names_a_secret(parameter: str) -> bool:
    return parameter.partition("=")[0].lower() in ("password", "sslpassword", "passfile")


@contextmanager
def transaction(url: str) -> Iterator[Cursor]:
    """A cursor in one transaction: committed when the block ends, rolled back when it raises."""
    connection = _kept.take(url) or connect(url)
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    except BaseException as error:
        lost = connection.closed
        connection.close()
        if lost and isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)):
            raise ServiceAway(
                f"the connection to {redacted(url)} was lost: "
                f"{told_safely(error, url)}. The transaction was rolled back; run it again."
            ) from error
        raise
    _kept.put_back(url, connection)


def asked(
    url: str, ask: Callable[Concatenate[Cursor, P], Value], *given: P.args, **named: P.kwargs
) -> Value:
    """What `ask` answers to a cursor in a transaction of its own, and to the other arguments."""
    with transaction(url) as cursor:
        return ask(cursor, *given, **named)


class _Kept:
    """One idle connection a process, whatever its number of threads: what is put back beside it is
    closed. A child that was forked starts with none; psycopg2 leaves its parent's socket alone."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start with none, in a child whose parent may hold the lock."""
        self._lock = threading.Lock()
        self._idle: tuple[str, Connection] | None = None

    def take(self, url: str) -> Connection | None:
        """The idle connection, if it is one to `url` and its server still answers; it is as new."""
        with self._lock:
            if self._idle is None or self._idle[0] != url:
                return None
            (_, connection), self._idle = self._idle, None
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("discard all")
            connection.autocommit = False
        except psycopg2.Error:  # the server was restarted, or ended the session
            connection.close()
            return None
        return connection

    def put_back(self, url: str, connection: Connection) -> None:
        """Keep a connection without a transaction; one to another database makes room for it."""
        with self._lock:
            if self._idle is None or self._idle[0] != url:
                before, self._idle = self._idle, (url, connection)
                connection = before[1] if before else None
        if connection is not None:
            connection.close()


_kept = _Kept()
os.register_at_fork(after_in_child=_kept.forget)


def first(cursor: Cursor, sql: str, parameters: Parameters = None) -> Any:
    """The first column of the first row; None where there is no row."""
    cursor.execute(sql, parameters)
    row = cursor.fetchone()
    return row and row[0]


def column(cursor: Cursor, sql: str, parameters: Parameters = None) -> list[Any]:
    """The first column of each row."""
    cursor.execute(sql, parameters)
    return [row[0] for row in cursor.fetchall()]


def records(cursor: Cursor, sql: str, parameters: Parameters = None) -> list[dict[str, Any]]:
    """Each row by the names of its columns."""
    cursor.execute(sql, parameters)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def copy_rows(
    cursor: Cursor, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Bulk-load `rows` into `table` with `COPY … FROM STDIN` (CSV; None is NULL)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_MINIMAL)
    writer.writerows([NULL if v is None else v for v in row] for row in rows)
    copy_csv(cursor, table, columns, buffer)


def copy_csv(cursor: Cursor, table: str, columns: Sequence[str], buffer: io.StringIO) -> None:
    """Bulk-load CSV text without a header; `\\N` is NULL."""
    buffer.seek(0)
    names = ", ".join(columns)
    cursor.copy_expert(
        f"copy {table} ({names}) from stdin with (format csv, null '{NULL}')", buffer
    )


# Advisory locks, one number each, so that no two purposes block each other. Taken with
# `pg_advisory_xact_lock`: released when the transaction ends, however it ends.


class Lock(IntEnum):
    """What may be done by one process at a time. The numbers are arbitrary, but never change."""

    MIGRATE = 7_266_567
    """Creating tables."""
    PLAN = 7_266_568
    """Opening an update: two triggers for one window make one."""
    LAND = 7_266_569
    """Reading a source."""
    BUILD = 7_266_570
    """Writing feature rows: two builds must not interleave."""
    OPEN_FEAST = 7_266_571
    """Creating or changing Feast's registry."""
    KEYS = 7_266_572
    """Giving keys to new users and items, one window at a time."""
    SILO = 7_266_574
    """Noting a silo's round."""
    OUTLET = 7_266_575
    """Publishing a recommender's recommendations; with the hash of its name as a second number."""
    PUBLISH = 7_266_573
    """Making the serving folder and the registry agree with the ledger."""
