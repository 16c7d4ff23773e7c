"""What co-occurs, in the graph that is served: `models.sessions.cooccurrence.shares` by rows."""

import numpy as np

from models.data.ragged import owners
from models.sessions.cooccurrence import Cooccurrence
from models.tables.backend import tf
from models.tables.state import ModelState


class ServedCooccurrence(tf.Module):
    """A state's co-occurrences by its rows, and what they add to its logits."""

    def __init__(self, state: ModelState, memory: Cooccurrence) -> None:
        super().__init__(name="cooccurrence")
        size = len(state.items) + 1
        row_of = state.items.rows(memory.keys)
        owner = row_of[owners(memory.offsets)]
        neighbour = row_of[memory.neighbours]
        order = np.argsort(owner, kind="stable")
        order = order[owner[order] > 0]  # an item that has expired asks nothing
        idf = np.zeros(size, np.float32)
        idf[row_of] = memory.idf
        idf[0] = 0.0
        # A neighbour that has expired still has its share, in column 0, which is never shown.
        self.offsets = _constant(np.searchsorted(owner[order], np.arange(size + 1)))
        self.neighbours = _constant(neighbour[order])
        self.weights = _constant(memory.weights[order])
        self.idf = _constant(idf)
        config = state.config
        length = config.history_length
        self.recency = _constant(
            (config.memory_recency ** np.arange(length, dtype=np.float64)).astype(np.float32)
        )
        self._weight, self._floor = config.memory_weight, config.memory_floor

    def bonus(self, history_rows: tf.Tensor) -> tf.Tensor:
        """What to add to the logits of all rows: int64 [B, H] (most recent first) to float32
        [B, items + 1]."""
        size = tf.shape(self.idf, tf.int64)[0]
        asked = tf.reshape(history_rows, [-1])
        strength = tf.reshape(tf.gather(self.idf, history_rows) * self.recency[None, :], [-1])
        entries = tf.ragged.range(
            tf.gather(self.offsets, asked), tf.gather(self.offsets, asked + 1)
        )
        place = entries.value_rowids()
        votes = tf.gather(strength, place) * tf.gather(self.weights, entries.values)
        query = place // tf.shape(history_rows, tf.int64)[1]
        cells = query * size + tf.gather(self.neighbours, entries.values)
        count = tf.shape(history_rows, tf.int64)[0]
        sums = tf.math.unsorted_segment_sum(votes, cells, count * size)
        sums = tf.reshape(sums, [count, size])
        shares = tf.math.divide_no_nan(sums, tf.reduce_sum(sums, axis=1, keepdims=True))
        return self._weight * tf.math.log1p(shares / self._floor)


def _constant(array: np.ndarray) -> tf.Variable:
    return tf.Variable(array, trainable=False)
