"""ServedCascade: a released cascade, asked in keys. Nothing to learn.

Neighbours: `models.ordering.cascade_files` writes what this reads; `models.storage.served` does the
same for retrieval alone; `recloop.release.recommend` gives it a user's online features.
"""

from pathlib import Path

import numpy as np

from models.arrays import Float32Array, Int64Array, Queries
from models.backend import tf
from models.ordering.candidates import candidate_lists
from models.ordering.cascade_files import read_config
from models.ordering.cascade_stages import best_of_lists
from models.storage.served import Served


class ServedCascade(Served):
    """The cascade in `directory`, loaded; it answers with both stages.

    Raises:
        RestoreError: there is no SavedModel of a cascade, or it lacks its vocabulary.
    """

    def __init__(self, directory: str | Path) -> None:
        self._config = read_config(Path(directory))
        super().__init__(directory)

    def top_k(
        self, queries: Queries, k: int, exclude: Int64Array
    ) -> tuple[Int64Array, Float32Array]:
        """The k best items: keys int64 [B, k] and scores float32 [B, k]; 0 and -inf where fewer
        are left.

        Args:
            queries: with `own` and `items`, as in training.
            exclude: int64 [B, E] item keys not to return, 0-padded.
        """
        config = self._config
        history = self._items.rows(queries.latest(config.retrieval.history_length))
        logits = self._model.signatures["logits"](
            user_row=tf.constant(self._users.rows(queries.user_keys)),
            history_rows=tf.constant(history),
            statistics=tf.constant(queries.statistics),
        )["logits"].numpy()
        shown = np.ones((len(queries), len(self._items) + 1), bool)
        shown[np.arange(len(queries))[:, None], self._items.rows(exclude)] = False
        lists = candidate_lists(
            queries,
            self._items.keys,
            logits,
            shown[:, 1:],
            max(k, config.retrieved),
            config.popular,
            config.popularity_column,
            config.item_statistics,
        )
        features = tf.constant(lists.features)
        scores = self._model.signatures["rank"](features=features)["scores"].numpy()
        return best_of_lists(lists, scores, k)
