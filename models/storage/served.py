"""Served: a released SavedModel, asked in keys. What a release answers with, nothing to learn.

Neighbours: `models.storage.export` writes what this reads; `recloop.release.recommend` gives it a
user's online features.
"""

from pathlib import Path

import numpy as np

from models.arrays import Float32Array, Int64Array, Queries
from models.backend import tf
from models.errors import IncompatibleCheckpoint
from models.ids.vocabulary import Vocabulary
from models.storage import seal
from models.storage.export import VOCABULARY


class Served:
    """The model in `directory`, loaded.

    Raises:
        CorruptCheckpoint: a file is missing or not what was written; the message names it.
        IncompatibleCheckpoint: it is whole, but this recloop or TensorFlow cannot use it.
    """

    signature = "top_k"
    """Which signature answers."""

    def __init__(self, directory: str | Path) -> None:
        folder = Path(directory)
        seal.check(folder)
        try:
            with np.load(folder / VOCABULARY) as arrays:
                self._users = Vocabulary(arrays["user_keys"])
                self._items = Vocabulary(arrays["item_keys"])
            self._model = tf.saved_model.load(str(folder))
            self._answer = self._model.signatures[self.signature]
        except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
            raise IncompatibleCheckpoint(
                f"the SavedModel in {folder} is not one of this recloop: {error}"
            ) from error

    def knows(self, user_key: int) -> bool:
        """Whether the user has an embedding of its own."""
        return bool(self._users.rows(np.array([user_key], np.int64))[0] > 0)

    def request(self, queries: Queries, k: int, exclude: Int64Array) -> dict[str, np.ndarray]:
        """The inputs of the signature for these queries, as a client of TensorFlow Serving sends
        them. Arguments are those of `top_k`."""
        rows = self._items.rows
        takes = self._answer.structured_input_signature[1]
        # A family that takes no statistics is asked as the others are.
        width = takes["statistics"].shape[1]
        return {
            "user_row": self._users.rows(queries.user_keys),
            "history_rows": rows(queries.latest(takes["history_rows"].shape[1])),
            "statistics": queries.statistics[:, : None if width else 0],
            "exclude_rows": rows(exclude),
            "k": np.array(min(k, len(self._items)), np.int32),
            **self._more(queries),
        }

    def top_k(
        self, queries: Queries, k: int, exclude: Int64Array
    ) -> tuple[Int64Array, Float32Array]:
        """The k best items: keys int64 [B, k'] and scores float32 [B, k'], k' = min(k, items); where
        fewer are left, 0 and -inf.

        Args:
            exclude: int64 [B, E] item keys not to return, 0-padded.
        """
        asked = self.request(queries, k, exclude)
        answer = self._answer(**{name: tf.constant(value) for name, value in asked.items()})
        return answer["keys"].numpy(), answer["scores"].numpy()

    def _more(self, queries: Queries) -> dict[str, np.ndarray]:
        """Inputs that the signature takes beside those of every family."""
        del queries
        return {}
