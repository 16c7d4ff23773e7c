"""Queries in rows: keys translated, and histories and words averaged.

`mean_of_rows` would make a [B, n, d] tensor if it were written with `tf.gather`. On 512 queries of
50 items, d = 64, that tensor is 6.5 MB, written and read six times per step; a fused sum over the rows
that are there, of a small table of the distinct ones, does the same without it.
"""

import numpy as np

from models.data.queries import Queries
from models.tables.backend import tf
from models.tables.packing import rows_of
from models.tables.state import ModelState


def translate(state: ModelState, queries: Queries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries as the graph takes them: user rows [B], history rows [B, H], statistics [B, S]."""
    history = state.items.rows(queries.latest(state.config.history_length))
    return state.users.rows(queries.user_keys), history, queries.statistics


def mean_of_rows(table: tf.Tensor, rows: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
    """Mean over each bag of the rows that are there.

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
