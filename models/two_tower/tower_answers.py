"""The two towers without TensorFlow: queries' vectors and logits from an export's arrays.

The arithmetic is that of `models.two_tower.two_tower`, line by line.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from models.data.checks import Float32Array
from models.data.queries import Queries
from models.recommenders.answers import mean_of_rows, product, unit
from models.tables.vocabulary import Vocabulary
from models.two_tower.tower_config import ModelConfig

if TYPE_CHECKING:
    from models.tables.state import ModelState

NORM_EPSILON = 1e-4
ITEM_VECTORS = "item_vectors"


def arrays_of(towers: "ModelState", item_vectors: np.ndarray) -> dict[str, np.ndarray]:
    """What `TowerAnswers` reads, by name.

    Args:
        item_vectors: float32 [items + 1, d or d + 1], as the export has them.
    """
    tables = {name: towers.network.tables[name].numpy() for name in towers.network.query_tables}
    return {ITEM_VECTORS: item_vectors, **tables}


class TowerAnswers:
    """Both towers, items' vectors known."""

    def __init__(self, config: ModelConfig, arrays: Mapping[str, np.ndarray]) -> None:
        self._config = config
        self.item_vectors = arrays[ITEM_VECTORS]
        self._user = arrays["user"]
        self._history = None
        if config.history_length:
            self._history = arrays["history" if "history" in arrays else "item"]
        self._statistics = arrays["statistics"] if config.statistics_width else None

    def unbiased_items(self) -> Float32Array:
        """float32 [items, d], without a bias."""
        return self.item_vectors[1:, :-1] if self._config.item_bias else self.item_vectors[1:]

    def query_vectors(self, queries: Queries, users: Vocabulary, items: Vocabulary) -> Float32Array:
        """float32 [B, d], or [B, d + 1] with a bias."""
        rows = users.rows(queries.user_keys)
        query = np.where(rows[:, None] > 0, self._user[rows], np.float32(0.0))
        if self._history is not None:
            history = items.rows(queries.latest(self._config.history_length))
            query += mean_of_rows(self._history, history)
        if self._statistics is not None:
            query += self._of_statistics(queries.statistics)
        query = unit(query, NORM_EPSILON)
        if self._config.item_bias:
            query = np.concatenate([query, np.ones((len(query), 1), np.float32)], axis=1)
        return query

    def _of_statistics(self, statistics: Float32Array) -> Float32Array:
        assert self._statistics is not None
        scaled = statistics * np.float32(self._config.statistics_scale)
        return product(scaled, np.ascontiguousarray(self._statistics.T))

    def item_offsets(self) -> Float32Array:
        """What each item's bias adds to its product: float32 [items]."""
        if self._config.item_bias:
            return np.ascontiguousarray(self.item_vectors[1:, -1])
        return np.zeros(len(self.item_vectors) - 1, np.float32)

    def logits(self, vectors: Float32Array) -> Float32Array:
        """Of every item known, in row order: float32 [B, items], from `query_vectors`."""
        found = product(vectors, self.item_vectors[1:])
        found /= np.float32(self._config.temperature)
        return found
