"""Thinning: deleting the files of releases and candidates that nothing needs any more.

What stays is decided by the ledger (`recloop/ledger/deletions.py`) and by the files themselves: a
delta checkpoint needs its base, whosever release that is. Killed at any point, it is repeated: what
was marked is deleted then. Folders are moved aside first, so that nobody reads half a release.

Keep out: rows of the ledger and training sets, which stay for ever (a rebuild needs them).
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from recloop.contracts import Thinning
from recloop.database.connection import transaction
from recloop.ledger.deletions import Keeping, mark
from recloop.planning.targets import is_intact
from recloop.release import registry
from recloop.settings import Settings
from recloop.training.recommender import CHECKPOINT

log = logging.getLogger("recloop")
ATTEMPT = re.compile(r"(\d+)-\S+")
"""`<update>-<fencing token>`: the folder of one attempt."""
ASIDE = ".thinning-"


def thin(settings: Settings, keep: int) -> Thinning:
    """Delete what none of the `keep` latest releases, the champion or a live update needs.

    Raises:
        models.errors.RestoreError: a checkpoint that stays cannot be read, so that what it is based
            on is unknown. Nothing was deleted.
    """
    # Listed before the ledger is asked: what comes into being meanwhile is not judged.
    attempts = [
        folder
        for kind in ("releases", "candidates", "shards")
        for folder in sorted((settings.artifacts / kind).glob("*/"))
        if folder.name.startswith(ASIDE) or ATTEMPT.fullmatch(folder.name)
    ]
    with transaction(settings.database_url) as cursor:
        keeping, fresh = mark(cursor, keep)
        needed = needed_folders([*keeping.kept.values(), *keeping.candidates])
    if keeping.lesson and is_intact(Path(keeping.lesson)):
        needed |= needed_folders([keeping.lesson])
    doomed = [folder for folder in attempts if not _stays(folder, keeping, needed)]
    # The registry before the files: a version whose folder is gone could not be told from others.
    unregistered = registry.forget(
        settings, {*keeping.thinned.values(), *map(str, doomed)} - set(keeping.kept.values())
    )
    freed = sum(_delete(folder) for folder in doomed)
    log.info("thinned releases %s: %d folders, %.1f MB", fresh, len(doomed), freed / 1e6)
    return Thinning(
        kept=tuple(keeping.kept),
        thinned=tuple(fresh),
        folders=len(doomed),
        bytes=freed,
        registry_versions=unregistered,
    )


def needed_folders(uris: Iterable[str]) -> set[Path]:
    """Every folder that restoring these releases or candidates reads, their own among them.

    Raises:
        models.errors.RestoreError: a manifest is damaged, or a base is gone.
    """
    from models.storage.archive import MANIFEST, chain

    needed: set[Path] = set()
    for uri in uris:
        folder = Path(uri).resolve()
        needed.add(folder)
        for manifest in sorted((folder / CHECKPOINT).rglob(MANIFEST)):
            needed |= {link.resolve() for link in chain(manifest.parent)}
    return needed


def _stays(folder: Path, keeping: Keeping, needed: set[Path]) -> bool:
    attempt = ATTEMPT.fullmatch(folder.name)
    if attempt is None:  # moved aside by a thinning that was killed
        return False
    if int(attempt[1]) in keeping.live_updates:
        return True
    place = folder.resolve()
    return any(path.is_relative_to(place) for path in needed)


def _delete(folder: Path) -> int:
    """Delete a folder; returns the bytes of its files."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    aside = folder
    if not folder.name.startswith(ASIDE):
        aside = folder.with_name(ASIDE + folder.name)
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    shutil.rmtree(aside)
    return size
