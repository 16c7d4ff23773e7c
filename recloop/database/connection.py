"""Connections and transactions on the recloop database, through psycopg2.

One transaction per call, UTC in every session. An unreachable server is always `ServiceAway`, so
that callers can tell it from bad data.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from recloop.errors import ServiceAway

NULL = "\\N"


def libpq_url(url: str) -> str:
    """The URL as libpq takes it, without SQLAlchemy's driver name."""
    scheme, separator, rest = url.partition("://")
    return scheme.partition("+")[0] + separator + rest


def connect(url: str, name: str = "recloop") -> Connection:
    """Connect as application `name`; the session's time zone is UTC.

    Raises:
        ServiceAway: the server does not answer or refuses the login.
    """
    try:
        connection = psycopg2.connect(
            libpq_url(url), connect_timeout=10, application_name=name, options=_options(url)
        )
    except psycopg2.OperationalError as error:
        raise ServiceAway(
            f"PostgreSQL at {redacted(url)} cannot be reached: {str(error).strip()}. "
            "Check RECLOOP_DATABASE_URL, or unset it to use the embedded server (`recloop up`)."
        ) from error
    return connection


def _options(url: str) -> str | None:
    return None if "options=" in url else "-c timezone=UTC"


def redacted(url: str) -> str:
    """The URL without its password."""
    head, separator, tail = url.rpartition("@")
    if not separator:
        return url
    scheme, _, login = head.partition("://")
    return f"{scheme}://{login.partition(':')[0]}@{tail}"


@contextmanager
def transaction(url: str) -> Iterator[Cursor]:
    """A cursor in one transaction: committed when the block ends, rolled back when it raises."""
    connection = connect(url)
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        if connection.closed:
            raise ServiceAway(
                f"the connection to {redacted(url)} was lost: {str(error).strip()}. "
                "The transaction was rolled back; run it again."
            ) from error
        raise
    finally:
        connection.close()


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
