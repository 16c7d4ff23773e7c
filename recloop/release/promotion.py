"""Moving the champion: promote and roll back.

The ledger's transaction is the promotion. What must exist before it (weights, SavedModel, registry
version) is made before; what follows it (aliases, serving folder) is `publish`, which can be repeated
and is repeated when a crash came between.

TF Serving's layout is `<base>/<number>/saved_model.pb`, where the highest number is the champion. The
number is that of the reign (`ledger.reign`), not of the release: a rollback opens a reign as a promotion
does, so the earlier release comes back under a new, higher number. That is the one rule which TF Serving
follows by itself, without a restart and without a config that it must read again (why no labels:
docs/adr/0016-a-reign-is-a-version.md). `models.config` says the same to a server that is started with a
config file; it never changes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from models.errors import CorruptCheckpoint, RestoreError
from models.learning.recipes import TrainingProgress
from models.recommenders.family import Recommender
from models.storage import seal
from models.storage.archive import whole_directory
from recloop.config.dataset import load_dataset
from recloop.contracts import Candidate, GateReport, Lease, Release, TrainingSet, UpdatePlan
from recloop.database.connection import Lock, asked, transaction
from recloop.errors import ReleaseDamaged, ReleaseMissing
from recloop.features.online import release_snapshot
from recloop.home import locked
from recloop.ledger import releases
from recloop.ledger.deletions import require_files
from recloop.release import registry
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
    write_export(settings, recommender, folder, plan.target)
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
    target = asked(settings.database_url, releases.target_of_rollback, version)
    mend_export(settings, target)
    release = asked(settings.database_url, releases.roll_back, target.version, reason)
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
        mended = mend_export(settings, asked)
        if asked.version != champion.version:
            return asked, mended
        put_in_place(settings, reign, champion)
        registry.point_aliases(settings, champion, releases.previous(cursor))
    return champion, mended


SAVED_MODEL = "saved_model"


def put_in_place(settings: Settings, reign: int, champion: Release) -> Path:
    """Put the champion in place as the version `reign`, and take away what is no version any more.

    A version appears whole, by a rename. It stays beside the one before it, which a server may still
    be loading; older ones go, and so do higher ones, which are of another ledger. Call it while no
    other process publishes. Repeating it changes nothing, but for a damaged version, which is
    replaced.

    Returns:
        The folder of all versions, TF Serving's `model_base_path`.
    """
    base = settings.serving / settings.model_name
    source, place = Path(champion.uri) / SAVED_MODEL, base / str(reign)
    if not _same(source, place):
        with whole_directory(place) as staging:
            shutil.copytree(source, staging, dirs_exist_ok=True, copy_function=_link)
    versions = sorted(int(path.name) for path in base.iterdir() if path.name.isdecimal())
    kept = {reign, *[version for version in versions if version < reign][-1:]}
    for version in sorted(set(versions) - kept):
        aside = base / f".{version}.gone"
        shutil.rmtree(aside, ignore_errors=True)
        (base / str(version)).rename(aside)
    for leftover in base.glob(".*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with locked(
        settings.home, "serving"
    ):  # other recommenders' databases know nothing of this one's
        _write_config(settings.serving)
    return base


def _same(source: Path, place: Path) -> bool:
    """Whether the version is there, whole, and this export."""
    try:
        seal.check(place)
        return (source / seal.SEAL).read_bytes() == (place / seal.SEAL).read_bytes()
    except (OSError, CorruptCheckpoint):
        return False


def _link(source: str, destination: str) -> None:
    """The same file under another name, or a copy where the file system has no such thing."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def _write_config(serving: Path) -> None:
    """Name every recommender that has a version in place."""
    named = sorted(path for path in serving.iterdir() if path.is_dir())
    text = "model_config_list {\n" + "".join(map(_configured, named)) + "}\n"
    path = serving / "models.config"
    if not path.exists() or path.read_text() != text:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text)
        temporary.replace(path)


def _configured(base: Path) -> str:
    return (
        "  config {\n"
        f'    name: "{base.name}"\n'
        f'    base_path: "{base.absolute()}"\n'
        '    model_platform: "tensorflow"\n'
        "    model_version_policy { latest { num_versions: 1 } }\n"
        "  }\n"
    )


# A release's export: the SavedModel that answers, written from the release's checkpoint.


def write_export(settings: Settings, recommender: Recommender, folder: Path, window: str) -> None:
    """Write the SavedModel below `folder`, with what is known of users now, and of items at the end
    of `window`, the last that the release learnt."""
    from models.recommenders.recommender_files import family_in

    calendar = load_dataset(settings).calendar
    last = calendar.parse(window)
    _, end = calendar.whole_days(last.start, last.end)
    asked = family_in(folder / CHECKPOINT).needs_features
    known = release_snapshot(settings, end) if asked else None
    recommender.export(folder / SAVED_MODEL, known)


def mend_export(settings: Settings, release: Release) -> bool:
    """Write a damaged or missing export anew; returns whether there was need to.

    Raises:
        ReleaseDamaged: its checkpoint cannot be used either. Nothing changed.
    """

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
        window = asked(settings.database_url, releases.target_of, release.version)
        write_export(settings, recommender, folder, window)
        return True
    return False
