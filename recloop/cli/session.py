"""A command's settings, on a database that answers; and the embedded server's short life.

A command that had to start the embedded server stops it again when it ends, unless somebody else has
connected meanwhile. `recloop up` and `recloop demo` manage it themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from recloop.database import embedded
from recloop.database.connection import connect, transaction
from recloop.database.schema import migrate
from recloop.errors import ServiceAway
from recloop.settings import Settings

PRESENCE = "recloop command"


@contextmanager
def session(keep: bool = False) -> Iterator[Settings]:
    """Settings with a database URL that answers, its tables made.

    Args:
        keep: leave an embedded server that was started here running.

    Raises:
        BadInput: an environment variable cannot be used.
        ServiceAway: the database cannot be reached.
    """
    given = Settings.from_environment()
    started = not given.database_url and embedded.running_pid(given.home) is None
    settings = embedded.resolve(given)
    if given.database_url:
        migrate(given.database_url)
    presence = connect(settings.database_url, PRESENCE)  # so that other commands see this one
    try:
        yield settings
    finally:
        alone = started and not keep and _alone(settings, presence.info.backend_pid)
        presence.close()
        if alone:
            embedded.stop(settings.home)


def _alone(settings: Settings, presence: int) -> bool:
    """Whether no other command and no Airflow uses the server."""
    try:
        with transaction(settings.database_url) as cursor:
            cursor.execute(
                "select count(*) from pg_stat_activity "
                "where (application_name = %s and pid <> %s) or datname = 'airflow'",
                (PRESENCE, presence),
            )
            row = cursor.fetchone()
    except ServiceAway:
        return False
    return row == (0,)
