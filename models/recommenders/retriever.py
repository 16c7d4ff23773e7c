"""RetrievalFacade: what every retrieval family's recommender answers; keys in, keys and scores out; and
queries as its networks take them, keys translated, histories and words averaged.

Belongs here: all that needs only a state and the two sides of a dot product. Neighbours: the
families' own facades, `models.two_tower.tower_recommender`, `models.factors.rating_recommender` and
`models.sessions.session_recommender`, add how to learn.
"""

from pathlib import Path
from typing import Protocol

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.queries import Queries
from models.metrics.ranking import Relevant
from models.recommenders import export
from models.recommenders.facade import Facade, KnowsIds
from models.recommenders.top_k import TopKRequest, best_columns, padded_rows
from models.tables.backend import tf
from models.tables.packing import as_exported, rows_of
from models.tables.state import ModelState


class Retriever(Protocol):
    """A network that answers with logits = query vectors . item vectors / temperature.

    Attributes:
        temperature: see above.
        query_tables: names of the tables that `query_vectors` reads.
    """

    temperature: float
    query_tables: tuple[str, ...]

    def query_vectors(
        self, user_rows: tf.Tensor, history_rows: tf.Tensor, statistics: tf.Tensor
    ) -> tf.Tensor:
        """int64 [B], int64 [B, H] (most recent first), float32 [B, S] to float32 [B, d]."""
        ...

    def item_vectors(self, item_rows: tf.Tensor) -> tf.Tensor:
        """int64 [M] to float32 [M, d]."""
        ...


class RetrievalFacade(Facade, KnowsIds):
    """A recommender that scores every item it knows, by a `Retriever`."""

    def top_k(
        self,
        queries: Queries,
        k: int,
        candidates: Int64Array | None = None,
        exclude: Relevant | None = None,
    ) -> tuple[Int64Array, Float32Array]:
        """The k best items of each query, best first; ties go to the earlier candidate.

        Args:
            queries: B of them, scored in blocks: users x items is never held at once.
            k, candidates, exclude: see `models.recommenders.top_k.TopKRequest`.

        Returns:
            keys int64 [B, k] and scores float32 [B, k]; where fewer than k items are left, key 0
            and -inf.

        Raises:
            ValueError: see `TopKRequest`.
        """
        asked = TopKRequest(self._state.items, len(queries), k, candidates, exclude)
        items = self._item_vectors(padded_rows(asked.rows))
        for block in asked.blocks():
            scores = self._scores(queries.take(block), items)
            banned = asked.banned(block)
            if len(banned):
                nothing = tf.fill([len(banned)], -np.float32(np.inf))
                scores = tf.tensor_scatter_nd_update(scores, banned, nothing)
            values, at = best_columns(scores, asked.shown, len(asked.pool))
            asked.fill(block, values.numpy(), at.numpy())
        return asked.keys, asked.scores

    def export(self, directory: str | Path) -> None:
        """Writes a SavedModel for serving. See `models.recommenders.export`."""
        export.export(self._state, Path(directory))

    def _item_vectors(self, rows: Int64Array) -> tf.Tensor:
        vectors = self._state.network.item_vectors(tf.constant(rows, tf.int64))
        return as_exported(self._state, vectors)

    def _scores(self, queries: Queries, items: tf.Tensor) -> tf.Tensor:
        """Float32 [B, M] logits."""
        network = self._state.network
        vectors = network.query_vectors(
            *(tf.constant(array) for array in translate(self._state, queries))
        )
        # Divided before the product: a pass over [B, d], and not over [B, M].
        return tf.linalg.matmul(vectors / network.temperature, items, transpose_b=True)


def translate(state: ModelState, queries: Queries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries as the graph takes them: user rows [B], history rows [B, H], statistics [B, S]."""
    history = state.items.rows(queries.latest(state.config.history_length))
    return state.users.rows(queries.user_keys), history, queries.statistics


def mean_of_rows(table: tf.Tensor, rows: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
    """Mean over each bag of the rows that are there.

    With `tf.gather` it would make a [B, n, d] tensor. On 512 queries of 50 items, d = 64, that tensor is
    6.5 MB, written and read six times per step; a fused sum over the rows that are there, of a small
    table of the distinct ones, does the same without it.

    Args:
        table: float32 [R, d], variable, tensor or packed table. Its gradient has each row once.
        rows: int64 [B, n].
        there: bool [B, n].

    Returns:
        float32 [B, d]; zeros where nothing is there.
    """
    bags, _ = tf.unstack(tf.where(there), num=2, axis=1)
    # The fused kernel would read a variable as a whole, which copies it: hence the small table.
    distinct, position, _ = tf.unique_with_counts(tf.boolean_mask(rows, there))
    return tf.sparse.segment_mean(
        rows_of(table, distinct), position, bags, num_segments=tf.shape(rows)[0]
    )
