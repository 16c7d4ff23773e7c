"""Training sets of all parts of a window: built where one is missing, kept where it was learnt from.

Neighbours: `training_set.py` builds one, `ledger/parts.py` says which events belong to which part.
"""

from __future__ import annotations

from recloop.contracts import TrainingSet
from recloop.database.connection import transaction
from recloop.errors import BadInput, CheckCrashed
from recloop.features.artefact import is_intact
from recloop.features.training_set import build_training_set
from recloop.ledger import parts
from recloop.settings import Settings

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


def _accepted(known: Known) -> dict[str, int]:
    return {key: accepted for key, (accepted, _) in known.items()}
