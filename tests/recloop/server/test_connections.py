"""Connections that are lost, and a database that is away."""

from __future__ import annotations

import threading

import psycopg2
import pytest

from recloop.database.connection import Cursor, first, transaction
from recloop.errors import ServiceAway
from recloop.server import connections
from recloop.server.connections import NAME, asked

NOBODY = "postgresql+psycopg2://nobody@127.0.0.1:1/none"


@pytest.fixture(autouse=True)
def _anew() -> None:
    connections._away.clear()
    connections._threads.__dict__.clear()


def pid(cursor: Cursor) -> int:
    return int(first(cursor, "select pg_backend_pid()"))


def end_all(url: str) -> None:
    """What a restart of the server does to a connection."""
    with transaction(url) as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = %s and datname = current_database()",
            (NAME,),
        )


def test_a_thread_keeps_its_connection(database_url: str) -> None:
    found = [asked(database_url, pid), asked(database_url, pid)]
    other: list[int] = []
    thread = threading.Thread(target=lambda: other.append(asked(database_url, pid)))
    thread.start()
    thread.join()
    assert found[0] == found[1] != other[0]


def test_after_a_restart_of_the_database_the_next_answer_is_whole(database_url: str) -> None:
    before = asked(database_url, pid)
    end_all(database_url)
    assert asked(database_url, pid) != before


def test_a_connection_that_ends_within_an_answer_is_made_again(database_url: str) -> None:
    asked(database_url, pid)
    calls = []

    def ends_once(cursor: Cursor) -> int:
        calls.append(1)
        if len(calls) == 1:
            end_all(database_url)
        return pid(cursor)

    assert asked(database_url, ends_once) > 0
    assert len(calls) == 2


def test_what_is_away_is_asked_again_by_the_follower_alone(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    real = connections.connect

    def counted(url: str, *rest: object) -> object:
        tries.append(url)
        return real(NOBODY if away else url, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(connections, "connect", counted)
    away = True
    for _ in range(3):
        with pytest.raises(ServiceAway, match="cannot be reached"):
            asked(database_url, pid)
    assert len(tries) == 1
    with pytest.raises(ServiceAway):
        asked(database_url, pid, again=True)
    away = False
    with pytest.raises(ServiceAway):
        asked(database_url, pid)
    assert len(tries) == 2
    assert asked(database_url, pid, again=True) > 0
    connections._threads.__dict__.clear()  # as another thread
    assert asked(database_url, pid) > 0


def test_a_mistake_in_a_question_is_no_database_that_is_away(database_url: str) -> None:
    for _ in range(2):
        with pytest.raises(psycopg2.errors.UndefinedTable):
            asked(database_url, lambda cursor: cursor.execute("select from nothing_such"))
    assert asked(database_url, pid) > 0
