"""Features and training sets of a window: of all its parts, built where one is missing, kept where it
was learnt from; begun again when events come meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from recloop.config.learnable import meaning_of
from recloop.contracts import TrainingSet
from recloop.database.connection import asked, transaction
from recloop.errors import BadInput, CheckCrashed
from recloop.features import daily, online
from recloop.features.artefact import is_intact
from recloop.features.training_set import build_training_set
from recloop.ledger import parts
from recloop.settings import Settings

ATTEMPTS = 3
"""How often a window's features are begun again when events come meanwhile."""
log = logging.getLogger("recloop")
Timed = Callable[[str], AbstractContextManager[None]]
Known = dict[str, tuple[int, TrainingSet | None]]
"""Of each part of a window: accepted events, and the training set that it keeps."""


def known_parts(settings: Settings, window_key: str) -> Known:
    """What the ledger says now; to be asked before features are computed.

    Raises:
        BadInput: no line of the window was validated yet.
    """
    with transaction(settings.database_url) as cursor:
        rows = parts.to_feature(cursor, window_key)
    if not rows:
        raise BadInput(
            f"window {window_key} has no validated lines to make features of; "
            f"run `recloop ingest --window {window_key}`."
        )
    return {key: (accepted, kept) for key, accepted, kept in rows}


def build_parts(settings: Settings, window_key: str, known: Known) -> TrainingSet | None:
    """Build what is missing, record each in the ledger; returns the newest part's training set, or
    None when events came since `known` was asked: then the window's features lack them.

    Raises:
        BadData, CheckCrashed, ServiceAway: as `build_training_set`.
    """
    newest = None
    for key, (accepted, kept) in known.items():
        if kept is not None and is_intact(kept):
            newest = kept
            continue
        try:
            newest = build_training_set(settings, key)
        except CheckCrashed:
            if _accepted(known_parts(settings, window_key)) == _accepted(known):
                raise
            return None
        with transaction(settings.database_url) as cursor:
            if not parts.note_featured(cursor, newest, accepted):
                return None
    with transaction(settings.database_url) as cursor:
        parts.settle(cursor, window_key)
    return newest if _accepted(known_parts(settings, window_key)) == _accepted(known) else None


def featured(
    settings: Settings, window_key: str, timed: Timed, more_follow: bool = False
) -> TrainingSet:
    """Write the window's feature rows, materialise them online, build the training sets of its parts;
    returns the newest part's. A family without features has the last of these only.

    Args:
        timed: times a step, by its name.
        more_follow: whether the caller brings the online store up to these rows later, together with
            those of windows that follow at once (`online.materialize`).

    Raises:
        BadInput: no line of the window was validated yet.
        BadData: a joined feature knows of the query's day or later.
        CheckCrashed: events keep coming.
        ServiceAway: the database was lost.
    """
    meaning = meaning_of(settings)
    for _ in range(ATTEMPTS):
        known = known_parts(settings, window_key)
        if meaning.features:
            with timed("features"):
                daily.build_features(settings, window_key)
                if not more_follow:
                    online.materialize(settings)
        with timed("training_set"):
            training_set = build_parts(settings, window_key, known)
        if training_set is not None:
            return training_set
        log.info("events of window %s came while its features were written; again", window_key)
    raise CheckCrashed(f"events of window {window_key} keep coming; run it again when they rest.")


def catch_up(settings: Settings, progress: Callable[[int, int], None] = lambda *_: None) -> int:
    """Build the training sets that this recommender lacks of windows whose features are written: it came
    after them, or another recommender's ingestion wrote them. Returns of how many windows.

    Where the features of a window were not written, because no recommender needed any, they are now. A
    window with late events that are not in the features yet, and those after it, wait for them.

    Args:
        progress: called with windows done, and all to do.

    Raises:
        BadData: a joined feature knows of the query's day or later.
        ServiceAway: the database was lost. What is done stays done.
    """
    lacking = asked(settings.database_url, parts.unprepared)
    done = _caught_up(settings, lacking, progress)
    if lacking and meaning_of(settings).features:
        online.materialize(settings)
    return done


def _caught_up(settings: Settings, lacking: list[str], progress: Callable[[int, int], None]) -> int:
    meaning = meaning_of(settings) if lacking else None
    for done, key in enumerate(lacking):
        progress(done, len(lacking))
        log.info("training set of window %s for recommender %s", key, settings.recommender)
        known = known_parts(settings, key)
        if meaning and meaning.features and not asked(settings.database_url, daily.is_built, key):
            daily.build_features(settings, key)
        try:
            build_parts(settings, key, known)
        except CheckCrashed as error:
            log.warning("%s", error)
            return done
    return len(lacking)


def _accepted(known: Known) -> dict[str, int]:
    return {key: accepted for key, (accepted, _) in known.items()}
