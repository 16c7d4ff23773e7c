"""Top-k: what is asked (which items, how many, without which), and the k best of many scores.

TensorFlow's kernel meets every score with a branch. Here the largest of each group of `GROUP`
neighbours is taken first, which is one pass of vector instructions; the k best lie in the k groups
with the largest maxima, so only k * GROUP scores per row are left to look at. Ties go to the
earlier column, as in `tf.math.top_k`.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.ragged import owners
from models.metrics.ranking import Relevant, to_csr
from models.tables.backend import tf
from models.tables.vocabulary import Vocabulary

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


BLOCK_SCORES = 4_000_000
"""How many scores are held at a time: 16 MB of float32."""


def blocks(queries: int, width: int) -> Iterator[slice]:
    """The queries in blocks of so many that `width` numbers for each are not too much to hold."""
    size = max(1, BLOCK_SCORES // max(width, 1))
    for low in range(0, queries, size):
        yield slice(low, min(low + size, queries))


class TopKRequest:
    """The arguments of a top-k.

    Attributes:
        rows, pool: int64 [C], of the candidates that are known, in their order, and their keys.
        shown: how many of them a query gets, where none is excluded.
        keys, scores: int64 and float32 [B, k], the answer to fill: key 0 and -inf everywhere.
    """

    def __init__(
        self,
        items: Vocabulary,
        queries: int,
        k: int,
        candidates: Int64Array | None,
        exclude: Relevant | None,
    ) -> None:
        """Checks them.

        Args:
            items: those that the model knows.
            queries: B, how many ask.
            k: how many items each wants.
            candidates: int64 [C'], unique; None is every item known. Unknown keys are left out.
            exclude: per query, item keys not to return: a list of B int64 arrays, or a CSR pair
                (offsets int64 [B + 1], keys int64 [n]).

        Raises:
            ValueError: k isn't positive, candidates repeat, or there isn't one list per query.
        """
        if k < 1:
            raise ValueError(f"`k` should be a positive integer. Received: `k` = {k}.")
        if candidates is None:
            self.rows = np.arange(1, len(items) + 1)
        else:
            rows = items.rows(np.asarray(candidates, np.int64))
            self.rows = rows[rows > 0]
            distinct = len(np.unique(self.rows))
            if distinct != len(self.rows):
                raise ValueError(
                    f"`candidates` should be unique. Received: {len(self.rows)} known keys, "
                    f"{distinct} distinct. Pass np.unique(candidates)."
                )
        self.pool = items.keys[self.rows - 1]
        self.shown = min(k, len(self.pool))
        # Where each item row stands among the candidates; -1: nowhere.
        self._place = np.full(len(items) + 1, -1, np.int64)
        self._place[self.rows] = np.arange(len(self.pool))
        nothing = (np.zeros(queries + 1, np.int64), np.zeros(0, np.int64))
        self._offsets, excluded = to_csr(nothing if exclude is None else exclude, queries)
        self._excluded = items.rows(excluded)
        self.keys: Int64Array = np.zeros((queries, k), np.int64)
        self.scores: Float32Array = np.full((queries, k), -np.inf, np.float32)

    def blocks(self, width: int = 1) -> Iterator[slice]:
        """The queries in blocks, of `width` numbers for each candidate; none, if none is shown."""
        return blocks(len(self.keys) if self.shown else 0, len(self.pool) * width)

    def excluded(self, block: slice) -> tuple[Int64Array, Int64Array]:
        """What these queries don't want: (query within the block, item row), int64 [e] each."""
        offsets = self._offsets[block.start : block.stop + 1]
        rows = self._excluded[offsets[0] : offsets[-1]]
        known = rows > 0
        return owners(offsets)[known], rows[known]

    def banned(self, block: slice) -> Int64Array:
        """The same among the candidates: int64 [e, 2], query within the block and place."""
        owner, rows = self.excluded(block)
        return np.stack([owner, self._place[rows]], axis=1)[self._place[rows] >= 0]

    def fill(self, block: slice, scores: Float32Array, at: np.ndarray) -> None:
        """Notes the best of these queries: scores [b, shown], best first, and which candidates."""
        none = np.isneginf(scores)
        self.scores[block, : self.shown] = scores
        self.keys[block, : self.shown] = np.where(none, 0, self.pool[np.where(none, 0, at)])
