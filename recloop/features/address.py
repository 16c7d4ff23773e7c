"""Where the database of these settings is, in the forms that recloop and Feast take."""

from __future__ import annotations

from recloop.settings import Settings


def database_of(settings: Settings) -> str:
    """The database's URL; starts the embedded server when the settings name none.

    Raises:
        ServiceAway: the embedded server does not start.
    """
    if settings.database_url:
        return settings.database_url
    from recloop.database.embedded import ensure_running

    return ensure_running(settings.home)
