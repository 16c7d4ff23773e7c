"""What a coordinator accepts: deltas of its lineage's releases, each once, copied beside its artefacts.

From then on they are part of an ordinary plan (`Strategy.silos`): the challenger learns the window's own
events, the deltas are merged in as shards are, and the gate judges the result. A plan takes no other
folders than the accepted ones.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from psycopg2.extensions import cursor as Cursor

from recloop.contracts import Release
from recloop.database.connection import transaction
from recloop.errors import BadInput, ReleaseMissing
from recloop.ledger import releases
from recloop.settings import Settings
from recloop.silos.claims import ARRAYS, MANIFEST, check_files
from recloop.silos.offer import merged_deltas, offered_items
from recloop.silos.silo_delta import OfferedBy, check_headers, name_of, read_delta
from recloop.training.candidate import Cost
from recloop.training.material import Assignment
from recloop.training.recommender import family_of, restore_model
from recloop.training.sharding import Learned

if TYPE_CHECKING:
    from models.merging.changes import Changes
    from models.merging.merging import Part

MOST_WEIGHT = 10
"""A silo counts for at most so many times the coordinator's own events of the update."""


def accept(settings: Settings, folders: Sequence[Path], staleness: int) -> list[str]:
    """Check the deltas and copy them to `artifacts/silos/<name>`; what a plan's `silos` holds.

    Args:
        staleness: how many releases behind the champion a delta's may be.

    Raises:
        BadInput: a delta holds what it must not, doesn't fit, is too old or merged already.
        ReleaseMissing: there is no champion.
        models.errors.RestoreError: one was altered, or isn't one.
    """
    states = family_of(settings).states
    for folder in folders:
        check_files(folder, states)
    with transaction(settings.database_url) as cursor:
        champion = releases.champion(cursor)
        if champion is None:
            raise ReleaseMissing("there is no champion to merge into; run `recloop update` first.")
        merged = merged_deltas(cursor, champion)
        near = releases.lineage(cursor, champion, staleness + 1)
    model = restore_model(champion.uri)
    accepted: dict[str, str] = {}
    for folder in folders:
        check_headers(folder, model, offered_by(near, folder))
        # Checked again where nobody else writes: what was checked is what is merged.
        copy = settings.artifacts / "silos" / f".incoming-{uuid.uuid4().hex}"
        try:
            _copy(folder, copy, states)
            read_delta(copy, model, offered_by(near, folder))
            name = name_of(copy)
            if name in merged or name in accepted:
                raise BadInput(f"delta {name} ({folder}) is merged already; each is merged once.")
            target = copy.with_name(name)
            if not target.exists():
                copy.rename(target)
        except BadInput as error:
            raise BadInput(str(error).replace(str(copy), str(folder))) from error
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        accepted[name] = str(target)
    return list(accepted.values())


def check_accepted(
    cursor: Cursor, settings: Settings, silos: Sequence[str], champion: Release | None
) -> None:
    """Check that these are deltas that `accept` took, and that the champion has merged none of them.

    Raises:
        BadInput: one is another folder, was altered since, or is merged already.
    """
    home = (settings.artifacts / "silos").resolve()
    merged = merged_deltas(cursor, champion) if champion and silos else []
    seen: set[str] = set()
    for silo in silos:
        folder = Path(silo).resolve()
        if folder.parent != home:
            raise BadInput(
                f"`silos` takes deltas that `recloop silo merge` has accepted, folders in {home}. "
                f"Received: {silo!r}. Merge it by that command."
            )
        check_files(folder, family_of(settings).states)
        if name_of(folder) != folder.name:
            raise BadInput(f"delta {folder.name} was altered since it was accepted; merge it anew.")
        if folder.name in (*merged, *seen):
            raise BadInput(f"delta {folder.name} is merged already; each is merged once.")
        seen.add(folder.name)


def offered_by(known: Sequence[Release], folder: Path) -> OfferedBy:
    """Item keys of the offers of these releases, the champion's last.

    The function raises BadInput for another release's, and for one whose files are gone.
    """
    versions = {release.version: release for release in known}

    def keys(version: int) -> np.ndarray:
        if version not in versions:
            raise BadInput(
                f"delta {folder} was trained from release {version}; releases "
                f"{', '.join(map(str, versions))} are taken. Have the silo train from a new offer, or "
                "allow it with --staleness, if it is of the champion's lineage."
            )
        return offered_items(versions[version])

    return keys


def bounded(part: Changes, own_events: int) -> Changes:
    """The part, counting for no more examples than `MOST_WEIGHT` times the coordinator's own: what a
    silo says of itself cannot be verified, and must not drown the others."""
    most = float(MOST_WEIGHT * max(own_events, 1))

    def one(stage: Part) -> Part:
        if stage.examples <= most:
            return stage
        share = np.float32(most / stage.examples)
        times = {name: array * share for name, array in stage.times.items()}
        return replace(stage, examples=most, times=times)

    return {name: one(stage) for name, stage in part.items()}


def _copy(folder: Path, target: Path, states: Sequence[str]) -> None:
    for stage in states:
        (target / stage).mkdir(parents=True)
        for name in (MANIFEST, ARRAYS):
            shutil.copyfile(folder / stage / name, target / stage / name, follow_symlinks=False)


def learned_of_silos(work: Assignment, known: Sequence[Release]) -> list[Learned]:
    """The deltas of the plan's silos. Nobody here could learn their events instead.

    Raises:
        BadInput: one doesn't fit the champion, or is of a release that is not in `known`.
        models.errors.RestoreError: one was altered.
    """
    from models.merging.merging import discount

    if not work.plan.strategy.silos:
        return []
    assert work.champion is not None
    versions = [release.version for release in known][::-1]
    champion = restore_model(work.champion.uri)
    own_events = sum(one.interactions for one in work.training_sets)
    first = next(iter(champion.states))
    kind = work.plan.strategy.recipe.get("optimizer", champion.states[first].optimizer.kind)
    learned = []
    for uri in work.plan.strategy.silos:
        part, release = read_delta(Path(uri), champion, offered_by(known, Path(uri)))
        if part[first].optimizer != kind:
            raise BadInput(
                f"the delta {uri} was trained with {part[first].optimizer}, this update is with {kind}: "
                "have both take the same optimizer."
            )
        old = versions.index(release)
        part = bounded(part, own_events)
        learned.append(Learned(part, discount(old, len(versions) - 1), Cost(0, 0.0)))
    return learned
