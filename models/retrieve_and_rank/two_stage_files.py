"""Both stages on disk: saved with their slots, or exported for serving.

    saved/                      exported/
    ├── model.json              ├── model.json
    ├── towers/                 └── saved_model.pb, variables/, assets.extra/
    └── ranker/
        as `models.storage.checkpoint`         as `models.recommenders.export`

The SavedModel's signatures answer with both stages: `models.retrieve_and_rank.two_stage_serving`.
"""

from collections.abc import Mapping
from pathlib import Path

from models.cooccurrence.pair_memory import PairMemory
from models.data.queries import Queries
from models.errors import CorruptCheckpoint, IncompatibleCheckpoint
from models.ranker.ranker_serving import statistics_of_rows
from models.recommenders import export as towers_export
from models.recommenders import recommender_files
from models.retrieve_and_rank import two_stage_answers
from models.retrieve_and_rank.two_stage_config import FAMILY, RetrieveAndRankConfig
from models.retrieve_and_rank.two_stage_serving import TwoStageServing
from models.retrieve_and_rank.two_stages import memory_of
from models.storage import checkpoint
from models.tables.state import ModelState

TOWERS, RANKER = FAMILY.states


def save(
    config: RetrieveAndRankConfig,
    states: Mapping[str, ModelState],
    directory: Path,
    base: Path | None = None,
) -> str:
    """Writes both states. See `models.recommenders.recommender_files.save`."""
    return recommender_files.save(FAMILY.name, config.to_json(), states, directory, base)


def restore(
    directory: Path, magnitude_limit: float
) -> tuple[RetrieveAndRankConfig, ModelState, ModelState]:
    """What `save` wrote: configuration, towers, ranker.

    Raises:
        RestoreError: what is there can't be used; the message names the file and the remedy.
    """
    config = read_config(directory)
    states = {
        name: checkpoint.restore(directory / name, magnitude_limit) for name in (TOWERS, RANKER)
    }
    for name, wanted in ((TOWERS, config.retrieval), (RANKER, config.ranker)):
        if states[name].config != wanted:
            raise CorruptCheckpoint(
                f"The {name} in {directory} are not those of its {recommender_files.HEADER}: the files "
                "were mixed. Restore the previous release, or copy the model again."
            )
    memory = PairMemory.of(states[TOWERS].extra)
    if memory is not None and (
        memory.neighbours.shape[1] != config.neighbours
        or memory.neighbours.max(initial=0) > len(states[TOWERS].items)
    ):
        raise CorruptCheckpoint(
            f"The memory of pairs in {directory} is not of its {recommender_files.HEADER}, or of other "
            "items: the files were mixed. Restore the previous release, or copy the model again."
        )
    return config, states[TOWERS], states[RANKER]


def read_config(directory: Path) -> RetrieveAndRankConfig:
    """The configuration of the recommender in `directory`.

    Raises:
        RestoreError: there is none, or it isn't one of this recloop.
    """
    _, values = recommender_files.read_header(directory)
    try:
        return RetrieveAndRankConfig.of(values)
    except (KeyError, TypeError, ValueError) as error:
        raise IncompatibleCheckpoint(
            f"The configuration in {directory} isn't one of this recloop ({error}). "
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
    known = None if known is None else known.with_kinds(config.kinds)
    module = TwoStageServing(config, towers, ranker, known)
    arrays = two_stage_answers.arrays_of(
        towers,
        ranker,
        memory_of(config, towers),
        towers_export.exported_vectors(towers),
        statistics_of_rows(towers, known, config.item_statistics),
    )
    towers_export.export(towers, directory, FAMILY.name, config.to_json(), module, arrays)
