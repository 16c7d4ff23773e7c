"""A `PairMemory` in the graph of an export: `models.cooccurrence.pair_scores`, line by line.

The cost is that of the items that a user has, times their neighbours; nothing but a table of zeros is
as wide as the catalogue.
"""

import numpy as np

from models.cooccurrence.pair_memory import PairMemory
from models.cooccurrence.pair_scores import (
    DAYS,
    FIRST_AGE,
    GAP_PRIOR,
    least_votes,
    log_rebuy,
    popularity_root,
)
from models.cooccurrence.window_pairs import AGE_DAYS, LAST_AGE
from models.tables.backend import tf


class ServedPairs(tf.Module):
    """What a memory says of queries and items, by rows."""

    def __init__(self, memory: PairMemory, rows: int, count: int) -> None:
        """`rows`: those of the items, with row 0; `count`: see `Together`."""
        super().__init__(name="pairs")
        memory = memory.longer(rows)
        every = np.arange(rows)
        self.neighbours = tf.Variable(memory.neighbours, trainable=False)
        self.shares = tf.Variable(memory.shares(every), trainable=False)
        self.root = tf.Variable(popularity_root(memory, every), trainable=False)
        self.least = tf.Variable(least_votes(memory, every), trainable=False)
        self.rebuy = tf.Variable(log_rebuy(memory, every), trainable=False)
        self.known = tf.Variable(np.float32(1.0 - memory.usual_novelty), trainable=False)
        self._count = count

    def found(self, own):  # type: ignore[no-untyped-def]
        """Entries int32 [e, 2] (query, item row) in order of the queries, votes and lifted votes float32
        [e].

        Args:
            own: owner int32 [n], ascending; rows int64 [n]; values float32 [n, 6]; totals.
        """
        owner, rows, values, _ = own
        strength = tf.exp(-tf.cast(values[:, LAST_AGE], tf.float64) / AGE_DAYS)
        shares = tf.cast(tf.gather(self.shares, rows), tf.float64)
        neighbours = tf.gather(self.neighbours, rows)
        width = tf.shape(self.root, tf.int64)[0]
        cells = tf.cast(owner, tf.int64)[:, None] * width + tf.cast(neighbours, tf.int64)
        there = (neighbours > 0) & (rows > 0)[:, None]
        cells, place = tf.unique(cells[there])
        sums = tf.math.unsorted_segment_sum(
            (strength[:, None] * shares)[there], place, tf.size(cells)
        )
        item = cells % width
        root = tf.cast(tf.gather(self.root, item), tf.float64)
        entries = tf.cast(tf.stack([cells // width, item], axis=1), tf.int32)
        return entries, tf.cast(sums, tf.float32), tf.cast(sums / root, tf.float32)

    def candidates(self, found, allowed):  # type: ignore[no-untyped-def]
        """Which of the pairs allowed (bool [B, n]) are among the best by either score: bool [B, n]."""
        entries, *scores = found
        fine = tf.gather_nd(allowed, entries)
        best = tf.zeros_like(fine)
        queries = tf.shape(allowed)[0]
        for score in scores if self._count else ():
            shown = tf.where(fine, score, -np.float32(np.inf))
            lists = tf.RaggedTensor.from_value_rowids(
                shown, tf.cast(entries[:, 0], tf.int64), tf.cast(queries, tf.int64), validate=False
            )
            lists = tf.pad(
                lists.to_tensor(-np.inf), [[0, 0], [0, self._count]], constant_values=-np.inf
            )
            edge = tf.math.top_k(lists, self._count).values[:, -1]
            best |= fine & (score >= tf.gather(edge, entries[:, 0]))
        return tf.scatter_nd(entries, tf.cast(best, tf.int32), tf.shape(allowed)) > 0

    def features(self, found, pairs, position, values):  # type: ignore[no-untyped-def]
        """`PAIR_MEMORY_FEATURES` of pairs int32 [N, 2]: float32 [N, 4].

        Args:
            position: int32 [B, n], where each pair stands in `own`; -1: nowhere.
            values: float32 [n, 6], of `own`.
        """
        entries, *scores = found
        logs = []
        for score in scores:
            dense = tf.scatter_nd(entries, score, tf.shape(position))
            least = tf.gather(self.least, pairs[:, 1])
            logs.append(tf.math.log(tf.maximum(tf.gather_nd(dense, pairs), least)))
        intervals = tf.maximum(values[:, DAYS] - 1.0, 0.0)
        last = values[:, LAST_AGE]
        mean = tf.maximum(values[:, FIRST_AGE] - last, 0.0) / tf.maximum(intervals, 1.0)
        gap = intervals / (intervals + GAP_PRIOR) * (tf.math.log1p(last) - tf.math.log1p(mean))
        # Row 0 is that of a pair that isn't known.
        gap = tf.gather(tf.pad(self.known * gap, [[1, 0]]), tf.gather_nd(position, pairs) + 1)
        return tf.stack([*logs, gap, tf.gather(self.rebuy, pairs[:, 1])], axis=1)
