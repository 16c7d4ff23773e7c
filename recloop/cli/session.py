"""A command's settings, on a database that answers; and the embedded server's short life.

A command that had to start the embedded server stops it again when it ends, also by SIGTERM, unless
somebody else has connected meanwhile. `recloop up` keeps the one that it started.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from recloop.database import embedded
from recloop.database.connection import connect, transaction
from recloop.database.schema import migrate
from recloop.errors import BadInput, ServiceAway
from recloop.home import make_private
from recloop.runtime.process_sessions import alive, read_state
from recloop.settings import Settings

PRESENCE = "recloop command"


@contextmanager
def session(keep: bool = False) -> Iterator[Settings]:
    """Settings with a database URL that answers, its tables made.

    Args:
        keep: leave an embedded server that was started here running, if the block succeeds.

    Raises:
        BadInput: an environment variable cannot be used.
        ServiceAway: the database cannot be reached.
    """
    given = Settings.from_environment()
    if given.database_url:
        with suppress(BadInput):  # a question to the database writes no file
            make_private(given.home)
        migrate(given.database_url)
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
        if (
            started
            and (failed or not keep)
            and not _airflow_needs_it(given)
            and _alone(given, backend)
        ):
            embedded.stop(given.home)
        if presence is not None:
            presence.close()


def _airflow_needs_it(settings: Settings) -> bool:
    """Whether `recloop up` started Airflow, which may have lost the server only for a moment."""
    state = read_state(settings)
    return any(map(alive, [*state["processes"].values(), state["supervisor"]]))


def _alone(settings: Settings, presence: int) -> bool:
    """Whether no other command and no Airflow uses the server."""
    if embedded.running_pid(settings.home) is None:
        return False
    try:
        with transaction(embedded.address(settings.home)) as cursor:
            cursor.execute(
                "select count(*) from pg_stat_activity "
                "where (application_name = %s and pid <> %s) or datname = 'airflow'",
                (PRESENCE, presence),
            )
            row = cursor.fetchone()
    except ServiceAway:
        return False
    return row == (0,)
