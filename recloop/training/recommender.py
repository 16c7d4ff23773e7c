"""Which recommender recloop keeps fresh, and where a release's is.

Belongs here: the family that the dataset file names, its models made and restored. Keep out:
training them (`fitting.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.data.queries import OWN_COLUMNS
from models.recommenders.family import Family, Recommender, Widths
from recloop.config.dataset import load_dataset
from recloop.features.daily import HISTORY_LENGTH
from recloop.features.ranker_inputs import ITEM_STATISTICS, STATISTICS
from recloop.settings import Settings

if TYPE_CHECKING:
    from models.data.events import Events
    from recloop.contracts import Release

CHECKPOINT = "checkpoint"
MOST = 0.5
"""Share of own items with counts by kind from which on a new model takes them."""


def widths_of(kinds: int = 0) -> Widths:
    """How wide features are, where events of so many kinds are counted apart."""
    return Widths(
        history=HISTORY_LENGTH,
        statistics=len(STATISTICS),
        item_statistics=len(ITEM_STATISTICS) + kinds,
        popularity_column=ITEM_STATISTICS.index("purchases_28d"),
        kinds=kinds,
    )


def family_of(settings: Settings) -> Family:
    """The family that the dataset file names."""
    return load_dataset(settings).model.known_family


def new_model(settings: Settings, seed: int, events: Events) -> Recommender:
    """A recommender of the dataset's family and shape, knowing nothing, as wide as the features of the
    events that it is to learn."""
    spec, widths = load_dataset(settings), widths_of(kinds_told(events))
    return spec.model.known_family.load().new(spec.known_shape, widths, seed)


def kinds_told(events: Events) -> int:
    """How many kinds of events the features count apart; 0, where most of them were written before they
    did: what was nearly always 0 is standardised to be enormous once it no longer is."""
    own = events.own
    if not len(own.values):
        return own.kinds
    counted = own.values[:, len(OWN_COLUMNS) :].any(axis=1)
    return own.kinds if np.mean(counted) >= MOST else 0


def family_of_release(release: Release) -> Family:
    """The family that a release is of.

    Raises:
        models.errors.RestoreError: its files say none.
    """
    from models.recommenders.recommender_files import family_in

    return family_in(Path(release.uri) / CHECKPOINT)


def restore_model(uri: str | Path, magnitude_limit: float | None = None) -> Recommender:
    """The model of a candidate or a release, of whatever family it is.

    Raises:
        models.errors.RestoreError: it cannot be used.
    """
    from models.recommenders.recommender_files import family_in
    from models.storage.checkpoint import MAGNITUDE_LIMIT

    limit = MAGNITUDE_LIMIT if magnitude_limit is None else magnitude_limit
    folder = Path(uri) / CHECKPOINT
    return family_in(folder).load().restore(folder, limit)
