"""The stage of `publish_recommendations`: everybody's recommendations as tables or files.

Like those of the flow: plain JSON in and out, the ledger remembers, it can be repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from recloop.database.connection import asked
from recloop.errors import ReleaseMissing
from recloop.ledger import releases
from recloop.settings import Settings
from recloop.stages.bookkeeping import Json, current_settings

log = logging.getLogger("recloop")


def publish_recommendations(
    k: int = 20,
    filters: Any = None,
    active_days: int | None = None,
    out: str = "",
    include_known: bool = False,
    settings: Settings | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Json:
    """Bring an outlet up to date with the champion and the log (Publication), and say so in a sentence.

    Args:
        filters: see `recloop.release.filters`: an object, its text, or nothing.
        active_days: None: all users.
        out: a file, a table, or empty: the schema `published`.

    Raises:
        BadInput: one of these cannot be used.
        ReleaseMissing: there is no champion yet.
    """
    from recloop.outlets import publication
    from recloop.release.filters import filters_of

    settings = settings or current_settings()
    wanted = publication.Wanted(
        k, filters_of(filters or {}), include_known, active_days, out.strip()
    )
    made = publication.publish_recommendations(settings, wanted, progress)
    return made.to_json() | {"told": told(made.to_json())}


def publish_if_there_is_a_champion(*given: Any, settings: Settings | None = None) -> Json | None:
    """The same, by the clock: None before the first promotion, which publishes by itself."""
    settings = settings or current_settings()
    if asked(settings.database_url, releases.champion) is None:
        log.info("%s", ReleaseMissing("there is no champion yet"))
        return None
    k, filters, active_days, out, include_known = given
    return publish_recommendations(k, filters, active_days, out, include_known, settings)


def told(made: Json) -> str:
    """A publication as a sentence."""
    users = f"{made['users']:,} users, {made['computed']:,} lists computed anew"
    return (
        f"recommendations of release {made['release']} at {made['target']}: {users}, "
        f"{made['rows']:,} rows, {made['similar_rows']:,} of similar items"
    )
