"""The mean of the rows that are there."""

import numpy as np

from models.recommenders.retriever import mean_of_rows
from models.tables.backend import tf

TABLE = np.array([[9.0, 9.0], [1.0, 2.0], [3.0, 6.0], [5.0, 4.0]], np.float32)


def test_mean_and_gradient_worked_by_hand() -> None:
    table = tf.Variable(TABLE, shape=[None, 2])
    rows = tf.constant([[1, 2, 0], [0, 0, 0], [3, 3, 1]], tf.int64)
    there = tf.constant([[True, True, False], [False, False, False], [True, True, True]])
    with tf.GradientTape() as tape:
        bags = mean_of_rows(table, rows, there)
        total = tf.reduce_sum(bags * tf.constant([[1.0, 0.0], [7.0, 7.0], [0.0, 3.0]]))
    np.testing.assert_allclose(bags, [[2.0, 4.0], [0.0, 0.0], [11 / 3, 10 / 3]], rtol=1e-6)
    gradient = tape.gradient(total, table)
    assert sorted(gradient.indices.numpy().tolist()) == [1, 2, 3]  # each once
    dense = tf.convert_to_tensor(gradient).numpy()
    np.testing.assert_allclose(dense, [[0, 0], [0.5, 1.0], [0.5, 0.0], [0.0, 2.0]], rtol=1e-6)


def test_nothing_there_at_all() -> None:
    table = tf.Variable(TABLE, shape=[None, 2])
    with tf.GradientTape() as tape:
        bags = mean_of_rows(table, tf.zeros([2, 3], tf.int64), tf.zeros([2, 3], tf.bool))
        total = tf.reduce_sum(bags)
    np.testing.assert_array_equal(bags, np.zeros((2, 2)))
    assert tape.gradient(total, table).values.shape[0] == 0


def test_a_graph_never_reads_the_whole_table() -> None:
    """Fused with its lookup, the mean would read, and so copy, all of a variable at each step."""
    table = tf.Variable(TABLE, shape=[None, 2])

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)])
    def run(rows):  # type: ignore[no-untyped-def]
        return mean_of_rows(table, rows, rows > 0)

    # Grappler's fusion looks for "Unique"; the op used here is another.
    kinds = {op.type for op in run.get_concrete_function().graph.get_operations()}
    assert "Unique" not in kinds
    assert "UniqueWithCounts" in kinds
    assert "ReadVariableOp" not in kinds
