"""A release's export: the SavedModel that answers, written from the release's checkpoint.

Belongs here: writing it, telling damage, and writing it anew. Neighbours: `serving.py` copies it to
where TF Serving looks; `recommend.py` answers from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recloop.behavior.dataset import load_dataset
from recloop.contracts import Release
from recloop.database.connection import transaction
from recloop.errors import ReleaseDamaged
from recloop.features.snapshot import release_snapshot
from recloop.ledger import releases
from recloop.release.serving import SAVED_MODEL
from recloop.settings import Settings
from recloop.update.model import restore_model

if TYPE_CHECKING:
    from models.ordering.cascade import Cascade


def write_export(settings: Settings, recommender: Cascade, folder: Path, window: str) -> None:
    """Write the SavedModel below `folder`, with what is known of users now, and of items at the end
    of `window`, the last that the release learnt."""
    end = load_dataset(settings).calendar.parse(window).end
    recommender.export(folder / SAVED_MODEL, release_snapshot(settings, end))


def mend_export(settings: Settings, release: Release) -> bool:
    """Write a damaged or missing export anew; returns whether there was need to.

    Raises:
        ReleaseDamaged: its checkpoint cannot be used either. Nothing changed.
    """
    from models.errors import RestoreError
    from models.storage import seal

    folder = Path(release.uri)
    try:
        seal.check(folder / SAVED_MODEL)
    except RestoreError as damage:
        try:
            recommender = restore_model(folder)
        except RestoreError as error:
            raise ReleaseDamaged(
                f"release {release.version} cannot be served: its export is damaged ({damage}), and "
                f"so is the checkpoint that it is made from ({error}). Roll back to another release "
                "with `recloop rollback --to`, or rebuild with `recloop update --plan rebuild`."
            ) from error
        with transaction(settings.database_url) as cursor:
            window = releases.target_of(cursor, release.version)
        write_export(settings, recommender, folder, window)
        return True
    return False
