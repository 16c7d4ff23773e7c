"""The stages of a window before anything learns from it: plain JSON in and out.

    land → validate → featurize

Each can be repeated: what is done is a no-op that says so. `ingestion.py` runs them for many windows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recloop.contracts import Acceptance, LandingReport
from recloop.database.connection import transaction
from recloop.ledger import window_states
from recloop.settings import Settings
from recloop.stages.bookkeeping import (
    Json,
    calendar,
    current_settings,
    log_quarantined,
    named_window,
    timed_window,
)

log = logging.getLogger("recloop")

if TYPE_CHECKING:
    from recloop.validation.again import Again


def land(window: str | None = None, settings: Settings | None = None) -> Json:
    """Read what is new in the source, for `window` or for all (LandingReport)."""
    settings = settings or current_settings()
    began = time.monotonic()
    key = calendar(settings).parse(window).key if window else None
    report, _ = read(settings, key)  # first: a run for a refused file has to say that it is
    log_quarantined(settings, time.monotonic() - began)
    if key is not None:
        named = named_window(settings, key)
        with transaction(settings.database_url) as cursor:
            window_states.note_landed(cursor, [named])
            window_states.note_seconds(cursor, key, "land", time.monotonic() - began)
    return report.to_json()


def read(
    settings: Settings,
    window: str | None,
    progress: Callable[[int, int | None], None] | None = None,
) -> tuple[LandingReport, Again]:
    """Read what is new in the source, and judge again what today's settings judge otherwise."""
    from recloop.behavior.landing import land as read_source
    from recloop.config.dataset import load_dataset

    if load_dataset(settings).source.kind == "table":  # it forgets, and the source is read again
        again = judge_again(settings)
        return read_source(settings, window, progress), again
    return read_source(settings, window, progress), judge_again(settings)


def judge_again(settings: Settings | None = None) -> Again:
    """Let quarantined lines wait again that today's settings, or the clock, judge otherwise: `arrivals`
    then names their windows.

    Raises:
        BadInput: the dataset file cannot be used.
        ServiceAway: the database cannot be reached.
    """
    from recloop.validation import again

    found = again.judge_again(settings or current_settings(), datetime.now(UTC))
    if found.lines:
        log.info("%s quarantined lines are judged again by today's settings", found.lines)
    for sentence in found.stuck:
        log.info("%s", sentence)
    return found


def validate(window: str, settings: Settings | None = None, word: Acceptance | None = None) -> Json:
    """Accept a window's lines, quarantine rows, or refuse the window (ValidationReport).

    Args:
        word: of a person who takes the window as it is, whatever window rules it breaks.

    Raises:
        WindowRefused, CheckCrashed, ServiceAway: never merged.
    """
    from recloop.validation.window import validate_window

    settings = settings or current_settings()
    began = time.monotonic()
    with timed_window(settings, window, "validate"):
        report = validate_window(settings, window, word=word)
    log_quarantined(settings, time.monotonic() - began)
    return report.to_json()


def featurize(window: str, settings: Settings | None = None) -> Json:
    """Write the window's feature rows, materialise them online, build the training sets of its parts;
    the newest part's is returned (TrainingSet).

    What an update has learnt from, or is learning from, keeps its training set.
    """
    from recloop.features.featuring import featured

    known = settings or current_settings()
    return featured(known, window, lambda step: timed_window(known, window, step)).to_json()


def arrivals(settings: Settings | None = None) -> list[str]:
    """Windows for which new lines arrived; cheap enough to poll."""
    from recloop.behavior.arrivals import windows_with_new_lines

    return windows_with_new_lines(settings or current_settings())
