"""Ingesting many windows in order, in one process: what a backfill of `ingest_behavior` does, for the
command line and the warm-up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recloop import stages
from recloop.database.connection import transaction
from recloop.errors import WindowRefused
from recloop.ledger import windows
from recloop.settings import Settings

Json = dict[str, Any]


def ingest_windows(
    settings: Settings,
    window: str | None = None,
    through: str | None = None,
    on_lines: Callable[[int, int | None], None] | None = None,
    on_window: Callable[[str, int, int], None] | None = None,
) -> Json:
    """Land what is new, then validate and featurise each window that is due, oldest first.

    A refused window does not stop the others; its message is in the answer.

    Args:
        window: only this one. through: all up to this one, inclusive. Neither: all.
        on_lines: called with lines read so far, and the total if known.
        on_window: called with (key, windows done, windows due) before each.

    Returns:
        `{"lines" that were read, new "events" among them, "done": [key],
        "refused": [{"window", "message"}],
        "quarantined": [{"rule", "lines", "example", "remedy", "message"}],
        "sources_refused": [message]}`
    """
    from recloop.behavior.dataset import load_dataset
    from recloop.behavior.landing import land
    from recloop.validation.quarantine import quarantined_since
    from recloop.validation.thresholds import load_limits

    with transaction(settings.database_url) as cursor:
        cursor.execute("select now()")
        (began,) = cursor.fetchone() or (None,)
        known = windows.accepted(cursor)
    only = stages.calendar(settings).parse(window) if window else None
    last = stages.calendar(settings).parse(through).key if through else None
    landed = land(settings, window, progress=on_lines)
    if only:
        with transaction(settings.database_url) as cursor:
            windows.note_landed(cursor, [only])
    due = [only.key] if only else _due(settings, last)
    done: list[str] = []
    refused: list[Json] = []
    for index, key in enumerate(due):
        if on_window:
            on_window(key, index, len(due))
        try:
            stages.validate(key, settings)
        except WindowRefused as error:
            refused.append({"window": key, "message": str(error)})
            continue
        if not _featured(settings, key):
            stages.featurize(key, settings)
        done.append(key)
    spec = load_dataset(settings)
    with transaction(settings.database_url) as cursor:
        broken = quarantined_since(cursor, began, spec, load_limits(settings, spec))
        events = windows.accepted(cursor) - known
    return {
        "lines": landed.lines,
        "events": events,
        "done": done,
        "refused": refused,
        "quarantined": [one.to_json() | {"message": str(one)} for one in broken],
        "sources_refused": list(landed.refused),
    }


def _due(settings: Settings, last: str | None) -> list[str]:
    """Windows that wait for validation or features, or have late lines, oldest first."""
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            "select w.window_key from ledger.window w where (w.state in ('landed', 'validated') "
            "or exists (select 1 from behavior.landing l where l.window_key = w.window_key)) "
            "and (%(last)s::text is null or w.window_key <= %(last)s) order by w.starts",
            {"last": last},
        )
        return [row[0] for row in cursor.fetchall()]


def _featured(settings: Settings, key: str) -> bool:
    """Whether validation found no new event, so that the window's features still hold."""
    with transaction(settings.database_url) as cursor:
        return windows.state_of(cursor, key) == "featured"
