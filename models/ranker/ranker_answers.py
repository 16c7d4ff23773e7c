"""The ranker without TensorFlow: its weights as arrays, and `models.ranker.ranker`'s logits of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.ranker.ranker_config import KNOWN_FEATURE, LARGEST, MEAN, SCALE, RankerConfig

if TYPE_CHECKING:
    from models.tables.state import ModelState

PREFIX = "ranker/"
BLOCK_PAIRS = 128
"""Pairs are scored so many at a time, the last block filled up: what a pair scores does not depend on
the others."""


def arrays_of(ranker: "ModelState") -> dict[str, np.ndarray]:
    """What `RankerAnswers` reads, by name."""
    scale = {name: ranker.extra[name] for name in (MEAN, SCALE) if name in ranker.extra}
    tables = {name: table.numpy() for name, table in ranker.network.tables.items()}
    steps = {"steps": np.array([ranker.steps], np.int64)}
    return {PREFIX + name: array for name, array in (tables | scale | steps).items()}


class RankerAnswers:
    """A ranker that scores pairs.

    Attributes:
        ranks: whether it has learned anything; until then the order of retrieval stands.
    """

    def __init__(self, config: RankerConfig, arrays: Mapping[str, np.ndarray]) -> None:
        names = [name for name in arrays if name.startswith(PREFIX)]
        self._tables = {name.removeprefix(PREFIX): np.asarray(arrays[name]) for name in names}
        self._config = config
        self.ranks = bool(self._tables["steps"][0])

    def score(
        self,
        features: Float32Array,
        user_rows: Int64Array | None = None,
        item_rows: Int64Array | None = None,
    ) -> Float32Array:
        """The scores of pairs: float32 [N].

        Args:
            features: float32 [N, F], as `models.ranker.pair_features` gives them.
            user_rows, item_rows: int64 [N], of a ranker with ids.
        """
        known = features[:, KNOWN_FEATURE] > 0
        start = features
        if MEAN in self._tables:
            scaled = (features - self._tables[MEAN]) / self._tables[SCALE]
            start = np.clip(scaled, -LARGEST, LARGEST).astype(np.float32, copy=False)
        if self._config.dimension:
            assert user_rows is not None
            assert item_rows is not None
            sides = (("user", user_rows), ("item", item_rows))
            ids = [self._tables[name][rows] * (rows > 0)[:, None] for name, rows in sides]
            start = np.asarray(np.concatenate([*ids, start], axis=1), np.float32)
        blocks = _in_blocks(start)
        score, repeat = self._heads(blocks)
        found = score.reshape(-1)[: len(features)]
        if repeat is not None:
            found = np.where(known, found + repeat.reshape(-1)[: len(features)], found)
        return np.asarray(found, np.float32)

    def _heads(self, start: Float32Array) -> tuple[Float32Array, Float32Array | None]:
        """Both heads of pairs float32 [n, BLOCK_PAIRS, W]; the second is None unless it is added to the
        score."""
        tables, config = self._tables, self._config
        crossed = start
        for layer in range(config.cross_layers):
            mixed = crossed @ tables[f"cross_{layer}_kernel"]
            mixed += tables[f"cross_{layer}_bias"]
            mixed *= start
            mixed += crossed
            crossed = mixed
        deep = crossed
        for layer in range(len(config.hidden)):
            deep = deep @ tables[f"dense_{layer}_kernel"]
            deep += tables[f"dense_{layer}_bias"]
            np.maximum(deep, np.float32(0.0), out=deep)
        joined = np.concatenate([deep, crossed], axis=2) if config.hidden else crossed
        choice = joined @ tables["choice_kernel"] + tables["choice_bias"]
        if config.second_head != "repeat":
            return choice, None
        return choice, joined @ tables["repeat_kernel"] + tables["repeat_bias"]


def _in_blocks(pairs: Float32Array) -> Float32Array:
    """float32 [N, W] as [n, BLOCK_PAIRS, W], zeros at the end."""
    missing = -len(pairs) % BLOCK_PAIRS
    filled = np.zeros((len(pairs) + missing, pairs.shape[1]), np.float32)
    filled[: len(pairs)] = pairs
    return filled.reshape(-1, BLOCK_PAIRS, pairs.shape[1])
