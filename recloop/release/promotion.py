"""Moving the champion: promote and roll back.

The ledger's transaction is the promotion. What must exist before it (weights, SavedModel, registry
version) is made before; what follows it (aliases, serving folder) is `publish`, which can be repeated
and is repeated when a crash came between.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

from models.learning.recipes import TrainingProgress
from recloop.behavior.dataset import load_dataset
from recloop.contracts import Candidate, GateReport, Lease, Release, TrainingSet, UpdatePlan
from recloop.database.connection import transaction
from recloop.errors import ReleaseMissing
from recloop.features.item_days import item_snapshot
from recloop.ledger import releases
from recloop.release import registry, serving
from recloop.settings import Settings
from recloop.update.model import CHECKPOINT, restore_model
from recloop.update.train import hash_folder, top_up


def promote(
    settings: Settings,
    lease: Lease,
    plan: UpdatePlan,
    candidate: Candidate,
    report: GateReport,
    target: Sequence[TrainingSet],
    learn_held_out: bool,
    progress: Callable[[TrainingProgress], None],
) -> Release:
    """Learn from the held-out slice too, export, register, and crown.

    Raises:
        LeaseLost: another attempt took over, or the champion moved; nothing changed.
        models.errors.NonFiniteWeights: the last pass exploded; nothing changed.
    """
    recommender = (
        top_up(settings, plan, candidate, target, progress)
        if learn_held_out
        else restore_model(candidate.uri)
    )
    folder = settings.artifacts / "releases" / f"{lease.update_id}-{lease.token}"
    shutil.rmtree(folder, ignore_errors=True)
    recommender.save(folder / CHECKPOINT)
    restore_model(folder)  # what cannot be restored must not be promoted
    recommender.export(folder / serving.SAVED_MODEL)
    statistics = item_snapshot(settings, load_dataset(settings).calendar.parse(plan.target).end)
    serving.write_item_statistics(folder / serving.SAVED_MODEL, statistics)
    final = candidate.model_copy(update={"uri": str(folder), "sha256": hash_folder(folder)})
    number = registry.register(settings, plan, final, report, target, str(folder))
    with transaction(settings.database_url) as cursor:
        release = releases.crown(cursor, lease, str(folder))
        cursor.execute(
            "update ledger.release set registry_version = %s where version = %s",
            (number, release.version),
        )
    publish(settings)
    return release


def roll_back(settings: Settings, version: int | None, reason: str) -> Release:
    """Make an earlier release champion again (None: the one before) and publish it."""
    with transaction(settings.database_url) as cursor:
        release = releases.roll_back(cursor, version, reason)
    publish(settings)
    return release


def publish(settings: Settings) -> Release:
    """Make the registry's aliases and the serving folder agree with the ledger.

    Raises:
        ReleaseMissing: there is no champion yet.
    """
    with transaction(settings.database_url) as cursor:
        champion = releases.champion(cursor)
        if champion is None:
            raise ReleaseMissing("there is no champion yet; run `recloop update` first.")
        previous = releases.previous(cursor)
    serving.publish(settings, champion, previous)
    registry.point_aliases(settings, champion, previous)
    return champion
