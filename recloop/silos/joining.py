"""What a coordinator accepts: deltas of its lineage's releases, each once, copied beside its artefacts.

From then on they are part of an ordinary plan (`Strategy.silos`): the challenger learns the window's own
events, the deltas are merged in as shards are, and the gate judges the result.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from recloop.database.connection import transaction
from recloop.errors import BadInput, ReleaseMissing
from recloop.ledger import releases
from recloop.settings import Settings
from recloop.silos.delta import name_of, read_delta
from recloop.silos.offer import merged_deltas
from recloop.update.model import restore_model


def accept(settings: Settings, folders: Sequence[Path], staleness: int) -> list[str]:
    """Check the deltas and copy them to `artifacts/silos/<name>`; what a plan's `silos` holds.

    Args:
        staleness: how many releases behind the champion a delta's may be.

    Raises:
        BadInput: a delta holds what it must not, doesn't fit, is too old or merged already.
        ReleaseMissing: there is no champion.
        models.errors.RestoreError: one was altered, or isn't one.
    """
    with transaction(settings.database_url) as cursor:
        champion = releases.champion(cursor)
        if champion is None:
            raise ReleaseMissing("there is no champion to merge into; run `recloop update` first.")
        merged = merged_deltas(cursor, champion)
        near = [r.version for r in releases.lineage(cursor, champion, staleness + 1)]
    model = restore_model(champion.uri)
    accepted: dict[str, str] = {}
    for folder in folders:
        _, release = read_delta(folder, model)
        name = name_of(folder)
        if name in merged or name in accepted:
            raise BadInput(f"delta {name} ({folder}) is merged already; each is merged once.")
        if release not in near:
            raise BadInput(
                f"delta {name} ({folder}) was trained from release {release}; releases "
                f"{', '.join(map(str, near))} are taken. Have the silo train from a new offer, or "
                "allow it with --staleness, if it is of the champion's lineage."
            )
        target = settings.artifacts / "silos" / name
        if not target.exists():
            shutil.copytree(folder, target)
        accepted[name] = str(target)
    return list(accepted.values())
