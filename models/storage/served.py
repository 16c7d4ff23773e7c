"""Served: a released SavedModel, asked in keys. What a release answers with, nothing to learn.

Neighbours: `models.storage.export` writes what this reads; `recloop.release.recommend` gives it a
user's online features.
"""

from pathlib import Path

import numpy as np

from models.arrays import Float32Array, Int64Array, Queries
from models.backend import tf
from models.errors import RestoreError
from models.ids.vocabulary import Vocabulary
from models.storage.export import VOCABULARY


class Served:
    """The model in `directory`, loaded.

    Raises:
        RestoreError: there is no SavedModel, or it lacks its vocabulary.
    """

    def __init__(self, directory: str | Path) -> None:
        folder = Path(directory)
        try:
            with np.load(folder / VOCABULARY) as arrays:
                self._users = Vocabulary(arrays["user_keys"])
                self._items = Vocabulary(arrays["item_keys"])
            self._model = tf.saved_model.load(str(folder))
        except (OSError, KeyError, ValueError) as error:
            raise RestoreError(
                f"no usable SavedModel in {folder}: {error}. Roll back to another release."
            ) from error

    def knows(self, user_key: int) -> bool:
        """Whether the user has an embedding of its own."""
        return bool(self._users.rows(np.array([user_key], np.int64))[0] > 0)

    def top_k(
        self, queries: Queries, k: int, exclude: Int64Array
    ) -> tuple[Int64Array, Float32Array]:
        """The k best items: keys int64 [B, k'] and scores float32 [B, k'], k' <= k.

        Args:
            exclude: int64 [B, E] item keys not to return, 0-padded.
        """
        rows = self._items.rows
        takes = self._model.signatures["top_k"].structured_input_signature[1]
        history = rows(queries.latest(takes["history_rows"].shape[1]))
        answer = self._model.signatures["top_k"](
            user_row=tf.constant(self._users.rows(queries.user_keys)),
            history_rows=tf.constant(history),
            # A family that takes none is asked as the others are.
            statistics=tf.constant(
                queries.statistics if takes["statistics"].shape[1] else queries.statistics[:, :0]
            ),
            exclude_rows=tf.constant(rows(exclude)),
            k=tf.constant(k, tf.int32),
        )
        return answer["keys"].numpy(), answer["scores"].numpy()
