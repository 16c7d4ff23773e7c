"""Connections of a server's threads to its databases, one for each, made again when it is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from recloop.database.connection import Connection, Cursor, connect, redacted, told_safely
from recloop.errors import ServiceAway

NAME = "recloop serve"
PATIENCE = 0.0
"""Seconds that a recovering server is waited for: who asks waits, too."""
_threads = threading.local()


@contextmanager
def reading(url: str) -> Iterator[Cursor]:
    """A cursor that commits each statement, on this thread's connection.

    Raises:
        ServiceAway: the database cannot be reached.
    """
    kept: dict[str, Connection] = _threads.__dict__.setdefault("kept", {})
    connection = kept.get(url)
    if connection is None or connection.closed:
        connection = connect(url, NAME, PATIENCE)
        connection.autocommit = True
        kept[url] = connection
    try:
        with connection.cursor() as cursor:
            yield cursor
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        connection.close()
        raise ServiceAway(
            f"the connection to {redacted(url)} was lost: {told_safely(error, url)}."
        ) from error
