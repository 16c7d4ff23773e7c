"""The embedded server: idempotent start, survival of a killed postmaster, a clear error when away."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recloop.addresses import with_database
from recloop.database import embedded
from recloop.database.connection import connect, copy_rows, redacted, transaction
from recloop.database.schema import migrate
from recloop.errors import ServiceAway


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    with transaction(database_url) as cursor:
        cursor.execute("select count(*) from ledger.window")
        assert cursor.fetchone() == (0,)


def test_copy_keeps_nulls_quotes_and_line_breaks(database_url: str) -> None:
    rows = [("a,b", None), ('say "x"', "two\nlines"), ("", "ü")]
    with transaction(database_url) as cursor:
        cursor.execute("create table t (x text, y text)")
        copy_rows(cursor, "t", ["x", "y"], rows)
        cursor.execute("select x, y from t")
        assert cursor.fetchall() == rows


def insert_and_fail(url: str) -> None:
    with transaction(url) as cursor:
        cursor.execute("insert into t values (1)")
        cursor.execute("insert into t values (%s)", (1 // 0,))


def test_a_failed_block_rolls_back(database_url: str) -> None:
    with transaction(database_url) as cursor:
        cursor.execute("create table t (x int)")
    with pytest.raises(ZeroDivisionError):
        insert_and_fail(database_url)
    with transaction(database_url) as cursor:
        cursor.execute("select count(*) from t")
        assert cursor.fetchone() == (0,)


def backend(url: str) -> int:
    with transaction(url) as cursor:
        cursor.execute("select pg_backend_pid()")
        return int((cursor.fetchone() or (0,))[0])


def test_one_connection_serves_one_transaction_after_another_and_is_as_new(
    database_url: str,
) -> None:
    first = backend(database_url)
    with transaction(database_url) as cursor:
        cursor.execute("set search_path = ledger")
        cursor.execute("set time zone 'Asia/Tokyo'")
        cursor.execute("create temporary table left_over (x int)")
        cursor.execute("select pg_advisory_lock(4711)")
    with transaction(database_url) as cursor:
        cursor.execute(
            "select pg_backend_pid(), current_setting('search_path'), current_setting('timezone'), "
            "to_regclass('left_over'), (select count(*) from pg_locks where locktype = 'advisory')"
        )
        assert cursor.fetchone() == (first, '"$user", public', "UTC", None, 0)


def test_a_kept_connection_that_the_server_ended_is_made_anew(
    server_url: str, database_url: str
) -> None:
    first = backend(database_url)
    with transaction(server_url) as cursor:  # another database: the idle one makes room
        cursor.execute("select count(*) from pg_stat_activity where pid = %s", (first,))
    first = backend(database_url)
    ended = with_database(server_url, "postgres")
    connection = connect(ended)
    with connection, connection.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(%s, 5000)", (first,))
    connection.close()
    assert backend(database_url) != first


def test_what_was_open_after_an_error_is_not_used_again(database_url: str) -> None:
    first = backend(database_url)
    with pytest.raises(ZeroDivisionError), transaction(database_url) as cursor:
        cursor.execute("select %s", (1 // 0,))
    assert backend(database_url) != first


def test_threads_at_once_and_a_forked_child_each_have_their_own(database_url: str) -> None:
    with transaction(database_url) as cursor, ThreadPoolExecutor(1) as other:
        cursor.execute("select pg_backend_pid()")
        assert cursor.fetchone() != (other.submit(backend, database_url).result(),)
    mine = backend(database_url)
    child = multiprocessing.get_context("fork").Pool(1)
    with child:
        assert child.apply(backend, (database_url,)) != mine
    assert backend(database_url) == mine, "the child left the parent's connection alone"


def test_server_comes_back_after_its_postmaster_was_killed(tmp_path: Path) -> None:
    url = embedded.ensure_running(tmp_path)
    with transaction(url) as cursor:
        cursor.execute("create table kept (x int)")
    pid = embedded.running_pid(tmp_path)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    # By another process, as the supervisor does. Here the dead one is a zombie: it keeps its number.
    start = (
        "import pathlib, sys; from recloop.database import embedded; "
        "embedded.ensure_running(pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", start, str(tmp_path)], check=True, timeout=60)
    try:
        with transaction(url) as cursor:
            cursor.execute("select count(*) from kept")
            assert cursor.fetchone() == (0,)
    finally:
        assert embedded.stop(tmp_path)
    assert embedded.running_pid(tmp_path) is None


def test_a_server_that_is_away_is_named_with_the_remedy_and_without_the_password() -> None:
    url = "postgresql+psycopg2://ann:secret@127.0.0.1:9/shop"
    with pytest.raises(ServiceAway, match="RECLOOP_DATABASE_URL") as caught, transaction(url):
        pass
    assert "secret" not in str(caught.value)
    assert redacted(url) == "postgresql+psycopg2://ann@127.0.0.1:9/shop"
