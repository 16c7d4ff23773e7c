"""The k best of many scores, without looking at them one by one.

TensorFlow's kernel meets every score with a branch. Here the largest of each group of `GROUP`
neighbours is taken first, which is one pass of vector instructions; the k best lie in the k groups
with the largest maxima, so only k * GROUP scores per row are left to look at. Ties go to the
earlier column, as in `tf.math.top_k`.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from models.backend import tf

GROUP = 16


def padded_rows(rows: np.ndarray) -> np.ndarray:
    """Item rows with zeros (the unknown item) added until they are a multiple of `GROUP`."""
    return np.concatenate([rows, np.zeros(-len(rows) % GROUP, rows.dtype)])


def best_columns(scores: tf.Tensor, k: int, columns: int) -> tf.Tensor:
    """The k largest of each row, largest first.

    Args:
        scores: float32 [B, M'], M' a multiple of `GROUP`.
        columns: how many of the M' count, at least k and more than M' - `GROUP`.

    Returns:
        float32 [B, k], and their columns, int32 [B, k]; where the score is -inf, any column.
    """
    if 2 * k >= scores.shape[1] // GROUP:
        return tf.math.top_k(scores[:, :columns], k)
    return _grouped(k)(scores, columns)


@lru_cache(maxsize=8)
def _grouped(k: int) -> Callable[[tf.Tensor, int], tuple[tf.Tensor, tf.Tensor]]:
    """`best_columns` by groups, compiled for all shapes: a growing catalogue makes no new graph."""

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.int32)],
    )
    def best(scores: tf.Tensor, columns: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        groups = tf.shape(scores)[1] // GROUP
        grouped = tf.reshape(scores, [-1, groups, GROUP])
        begin = (groups - 1) * GROUP
        last = tf.reduce_max(scores[:, begin:columns], axis=1, keepdims=True)
        maxima = tf.concat([tf.reduce_max(grouped, axis=2)[:, :-1], last], axis=1)
        chosen = tf.math.top_k(maxima, k, sorted=False).indices
        chosen = tf.sort(chosen, axis=1)  # for ties
        left = tf.gather(grouped, chosen, batch_dims=1)
        padding = tf.range(begin, begin + GROUP) >= columns
        left = tf.where((chosen == groups - 1)[:, :, None] & padding, -np.inf, left)
        values, place = tf.math.top_k(tf.reshape(left, [-1, k * GROUP]), k)
        return values, tf.gather(chosen, place // GROUP, batch_dims=1) * GROUP + place % GROUP

    return best  # type: ignore[no-any-return]
