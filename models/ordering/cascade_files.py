"""A cascade on disk: saved with its slots, or exported for serving.

    saved/                      exported/
    ├── cascade.json            ├── cascade.json
    ├── towers/                 ├── saved_model.pb, variables/
    └── ranker/                 └── assets.extra/vocabulary.npz
        as `models.storage.checkpoint`

The SavedModel has the signatures of `models.storage.export` (retrieval alone), and
    logits  user_row int64 [B], history_rows int64 [B, H], statistics float32 [B, S]
            -> logits float32 [B, items], of rows 1 and up
    rank    features float32 [N, F], as `models.ordering.candidates` gives them
            -> scores float32 [N]
Between the two, `models.ordering.served_cascade` finds candidates and their features, in NumPy:
they come from the feature store, which a graph can't ask.
"""

import json
from pathlib import Path

import numpy as np

from models.backend import tf
from models.errors import CorruptCheckpoint, IncompatibleCheckpoint, RestoreError
from models.ordering.ranker import KNOWN_FEATURE
from models.ordering.ranker_config import CascadeConfig
from models.ordering.ranking_feed import LARGEST, MEAN, SCALE
from models.state import ModelState
from models.storage import checkpoint
from models.storage import export as towers_export
from models.storage.publishing import whole_directory

CONFIG = "cascade.json"
TOWERS, RANKER = "towers", "ranker"


def save(
    config: CascadeConfig,
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
) -> tuple[CascadeConfig, ModelState, ModelState]:
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


def read_config(directory: Path) -> CascadeConfig:
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
        return CascadeConfig.of(values)
    except (KeyError, TypeError, ValueError) as error:
        raise IncompatibleCheckpoint(
            f"The configuration in {path} isn't one of this recloop ({error}). "
            "Restore it with the recloop that wrote it, or rebuild the model."
        ) from error


def export(config: CascadeConfig, towers: ModelState, ranker: ModelState, directory: Path) -> None:
    """Writes the SavedModel to `directory`, whole or not at all, replacing one that is there."""
    module = towers_export.Serving(towers)
    module.ranker = _RankerServing(ranker)
    query = towers_export.query_signature(towers.config)
    features = tf.TensorSpec([None, ranker.config.feature_width], tf.float32, "features")
    module.endpoints["logits"] = tf.function(module.logits, input_signature=query)
    module.endpoints["rank"] = tf.function(module.ranker.rank, input_signature=[features])
    with whole_directory(directory) as staging:
        towers_export.write(module, towers, staging)
        _write_config(config, staging)


class _RankerServing(tf.Module):
    """The ranker's weights and the scale of its features."""

    def __init__(self, ranker: ModelState) -> None:
        super().__init__(name="recloop_ranker")
        width = ranker.config.feature_width
        self.tables = dict(ranker.network.tables)
        self.mean = tf.constant(ranker.extra.get(MEAN, np.zeros(width, np.float32)))
        self.scale = tf.constant(ranker.extra.get(SCALE, np.ones(width, np.float32)))
        self._scaled = MEAN in ranker.extra
        self._ranks = ranker.steps > 0
        self._logits = ranker.network.logits

    def rank(self, features):  # type: ignore[no-untyped-def]
        if not self._ranks:
            return {"scores": features[:, 0]}
        scaled = features
        if self._scaled:
            scaled = tf.clip_by_value((features - self.mean) / self.scale, -LARGEST, LARGEST)
        known = tf.cast(features[:, KNOWN_FEATURE] > 0, tf.float32)
        score, _ = self._logits({"features": scaled, "known": known})
        return {"scores": score}


def _write_config(config: CascadeConfig, directory: Path) -> None:
    (directory / CONFIG).write_text(json.dumps(config.to_json(), indent=2) + "\n")
