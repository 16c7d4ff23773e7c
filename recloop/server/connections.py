"""Connections of a server's threads to its databases, one for each, made again when it is lost.

A database that is away is asked by the follower alone (`again`), which looks twice a second anyway: a
request must not wait for what may not answer for long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import psycopg2

from recloop.database.connection import Connection, Cursor, connect, redacted, told_safely
from recloop.errors import ServiceAway

Value = TypeVar("Value")
NAME = "recloop serve"
PATIENCE = 0.0
"""Seconds that a recovering server is waited for: who asks waits, too."""
_threads = threading.local()
_away: dict[str, str] = {}
"""Why, of the databases that could not be reached when they were asked last, by URL."""


def asked(url: str, ask: Callable[[Cursor], Value], again: bool = False) -> Value:
    """What `ask` answers to a cursor on this thread's connection, each statement committed. It is
    called a second time if the connection was lost while nobody used it.

    Args:
        again: also if the database was away when it was asked last.

    Raises:
        ServiceAway: the database cannot be reached.
    """
    kept: dict[str, Connection] = _threads.__dict__.setdefault("kept", {})
    connection = kept.get(url)
    if connection is not None and not connection.closed:
        try:
            return _said(connection, ask)
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            connection.close()
            if isinstance(error, psycopg2.errors.QueryCanceled):
                raise
    if not again and url in _away:
        raise ServiceAway(_away[url])
    try:
        kept[url] = connection = connect(url, NAME, PATIENCE)
        connection.autocommit = True
        answer = _said(connection, ask)
    except ServiceAway as error:
        _away[url] = str(error)
        raise
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        connection = kept.pop(url)
        connection.close()
        _away[url] = f"the connection to {redacted(url)} was lost: {told_safely(error, url)}."
        raise ServiceAway(_away[url]) from error
    _away.pop(url, None)
    return answer


def _said(connection: Connection, ask: Callable[[Cursor], Value]) -> Value:
    with connection.cursor() as cursor:
        return ask(cursor)
