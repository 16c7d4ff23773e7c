"""A cascade on disk: saved with its slots, or exported for serving.

    saved/                      exported/
    ├── cascade.json            ├── cascade.json
    ├── towers/                 └── saved_model.pb, variables/, assets.extra/
    └── ranker/
        as `models.storage.checkpoint`         as `models.recommenders.export`

The SavedModel's signatures answer with both stages: `models.retrieve_and_rank.two_stage_serving`.
"""

import json
from pathlib import Path

from models.data.queries import Queries
from models.errors import CorruptCheckpoint, IncompatibleCheckpoint, RestoreError
from models.recommenders import export as towers_export
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.retrieve_and_rank.two_stage_serving import TwoStageServing
from models.storage import checkpoint, seal
from models.storage.archive import whole_directory
from models.tables.state import ModelState

CONFIG = "cascade.json"
TOWERS, RANKER = "towers", "ranker"


def save(
    config: RetrieveAndRankConfig,
    towers: ModelState,
    ranker: ModelState,
    directory: Path,
    base: Path | None = None,
) -> None:
    """Writes both models to `directory`, whole or not at all, replacing one that is there.

    Args:
        directory: a new folder, or one to replace.
        base: the cascade that the two were restored from: only what changed since is written, where
            that is less (`models.storage.delta`).
    """
    with whole_directory(directory) as staging:
        _write_config(config, staging)
        for name, state in ((TOWERS, towers), (RANKER, ranker)):
            checkpoint.save(state, staging / name, None if base is None else base / name)


def restore(
    directory: Path, magnitude_limit: float
) -> tuple[RetrieveAndRankConfig, ModelState, ModelState]:
    """What `save` wrote: configuration, towers, ranker.

    Raises:
        RestoreError: what is there can't be used; the message names the file and the remedy.
    """
    config = read_config(directory)
    towers = checkpoint.restore(directory / TOWERS, magnitude_limit)
    ranker = checkpoint.restore(directory / RANKER, magnitude_limit)
    for name, state, wanted in (
        (TOWERS, towers, config.retrieval),
        (RANKER, ranker, config.ranker),
    ):
        if state.config != wanted:
            raise CorruptCheckpoint(
                f"The {name} in {directory} are not those of its {CONFIG}: the files were mixed. "
                "Restore the previous release, or copy the model again."
            )
    return config, towers, ranker


def read_config(directory: Path) -> RetrieveAndRankConfig:
    """The configuration of the cascade in `directory`.

    Raises:
        RestoreError: there is none, or it isn't one of this recloop.
    """
    path = directory / CONFIG
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RestoreError(
            f"No cascade in {directory}: {error}. Roll back to another release."
        ) from error
    try:
        return RetrieveAndRankConfig.of(values)
    except (KeyError, TypeError, ValueError) as error:
        raise IncompatibleCheckpoint(
            f"The configuration in {path} isn't one of this recloop ({error}). "
            "Restore it with the recloop that wrote it, or rebuild the model."
        ) from error


def export(
    config: RetrieveAndRankConfig,
    towers: ModelState,
    ranker: ModelState,
    directory: Path,
    known: Queries | None = None,
) -> None:
    """Writes the SavedModel to `directory`, whole or not at all, replacing one that is there.

    Args:
        known: what the release knows of users (`own`) and of items (`items`, one moment).
    """
    module = TwoStageServing(config, towers, ranker, known)
    with whole_directory(directory) as staging:
        towers_export.write(module, towers, staging)
        _write_config(config, staging)
        seal.close(staging)


def _write_config(config: RetrieveAndRankConfig, directory: Path) -> None:
    (directory / CONFIG).write_text(json.dumps(config.to_json(), indent=2) + "\n")
