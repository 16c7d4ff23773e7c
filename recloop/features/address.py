"""Where the database of these settings is."""

from __future__ import annotations

from recloop.settings import Settings


def database_of(settings: Settings) -> str:
    """The database's URL; starts the embedded server when the settings name none.

    Raises:
        ServiceAway: the embedded server does not start.
    """
    from recloop.database.embedded import resolve

    return resolve(settings).database_url
