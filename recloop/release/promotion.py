"""Moving the champion: promote and roll back.

The ledger's transaction is the promotion. What must exist before it (weights, SavedModel, registry
version) is made before; what follows it (aliases, serving folder) is `publish`, which can be repeated
and is repeated when a crash came between.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

from models.learning.recipes import TrainingProgress
from recloop.contracts import Candidate, GateReport, Lease, Release, TrainingSet, UpdatePlan
from recloop.database.connection import Lock, transaction
from recloop.errors import ReleaseMissing
from recloop.ledger import releases
from recloop.ledger.deletions import require_files
from recloop.release import registry, serving
from recloop.settings import Settings
from recloop.training.candidate import hash_folder, top_up
from recloop.training.recommender import CHECKPOINT, restore_model


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
    """Learn from the held-out slice too, export, register, and promote.

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
    serving.write_export(settings, recommender, folder, plan.target)
    final = candidate.model_copy(update={"uri": str(folder), "sha256": hash_folder(folder)})
    number = registry.register(settings, plan, final, report, target, str(folder))
    with transaction(settings.database_url) as cursor:
        release = releases.promote(cursor, lease, str(folder))
        cursor.execute(
            "update ledger.release set registry_version = %s where version = %s",
            (number, release.version),
        )
    publish(settings)
    return release


def roll_back(settings: Settings, version: int | None, reason: str) -> Release:
    """Make an earlier release champion again (None: the one before) and publish it. A damaged export
    of it is written anew first.

    Raises:
        ReleaseMissing: there is no such release, or its files were thinned.
        ReleaseDamaged: it cannot be served. Nothing changed.
    """
    with transaction(settings.database_url) as cursor:
        target = releases.target_of_rollback(cursor, version)
    serving.mend_export(settings, target)
    with transaction(settings.database_url) as cursor:
        release = releases.roll_back(cursor, target.version, reason)
    publish(settings)
    return release


def publish(settings: Settings, version: int | None = None) -> tuple[Release, bool]:
    """Make the serving folder and the registry's aliases agree with the ledger, one process at a
    time. A damaged export of the champion (or of the release `version`) is written anew first.

    Returns:
        The release that was looked at, and whether its export was written anew.

    Raises:
        ReleaseMissing: there is no champion yet, or no such release.
        ReleaseDamaged: its export is damaged, and its checkpoint is, too.
    """
    with transaction(settings.database_url) as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (Lock.PUBLISH,))
        champion, reign = releases.champion(cursor), releases.reign(cursor)
        if champion is None or reign is None:
            raise ReleaseMissing("there is no champion yet; run `recloop update` first.")
        asked = champion
        if version is not None:
            asked = releases.release_of(cursor, version)
            require_files(cursor, version)
        mended = serving.mend_export(settings, asked)
        if asked.version != champion.version:
            return asked, mended
        serving.publish(settings, reign, champion)
        registry.point_aliases(settings, champion, releases.previous(cursor))
    return champion, mended
