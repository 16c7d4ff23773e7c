"""What all optimizers share: which rows are touched, slots of every shape, rows that repeat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from models.tables.backend import tf
from models.tables.row_sparse import RowSparseOptimizer, distinct

RATE, OFF = tf.constant(0.5), tf.constant(0.0)


class Counting(RowSparseOptimizer):
    """Moves by rate * gradient; sums gradients by number, counts steps by row."""

    kind = "counting"
    slot_names = ("sum",)
    row_slot_names = ("count",)

    def initial(self, slot: str) -> float:
        return self.start if slot == "sum" else 0.0

    def step_of(
        self, slots: Mapping[str, tf.Tensor], gradient: tf.Tensor, learning_rate: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        after = {"sum": slots["sum"] + gradient, "count": slots["count"] + 1.0}
        return after, learning_rate * gradient


def tables() -> dict[str, tf.Variable]:
    """A table that grows, of four rows of two, and a scalar."""
    return {
        "rows": tf.Variable(np.zeros((4, 2), np.float32), shape=[None, 2]),
        "bias": tf.Variable(1.0),
    }


def sparse(values: list[list[float]], rows: list[int]) -> tf.IndexedSlices:
    return tf.IndexedSlices(tf.constant(values, tf.float32), tf.constant(rows, tf.int64), None)


def touched(optimizer: RowSparseOptimizer) -> dict[str, list[bool]]:
    return {name: flags.numpy().tolist() for name, flags in optimizer.touched.items()}


def test_slots_have_the_shape_of_their_table_or_one_number_a_row() -> None:
    optimizer = Counting(tables(), start=0.25)
    shapes = {name: tuple(slot.numpy().shape) for name, slot in optimizer.slots.items()}
    assert shapes == {
        "rows/sum": (4, 2),
        "rows/count": (4, 1),
        "bias/sum": (),
        "bias/count": (),
    }
    assert optimizer.slots["rows/sum"].numpy().tolist() == [[0.25, 0.25]] * 4
    optimizer.extend("rows", 2)
    assert optimizer.slots["rows/sum"].numpy().tolist() == [[0.25, 0.25]] * 6
    assert optimizer.slots["rows/count"].numpy().shape == (6, 1)


def test_a_row_is_touched_by_being_looked_up_and_a_kept_one_is_not() -> None:
    made = tables()
    optimizer = Counting(made, start=0.0)
    assert touched(optimizer) == {"rows": [True] * 4, "bias": [True]}
    optimizer.forget_touched(made)
    gradient = sparse([[2, 0], [0, 0], [4, 4], [2, 6]], [1, 2, 3, 1])
    keep = {"rows": tf.constant([True, True, True, False])}
    norm = optimizer.apply(made, {"rows": gradient, "bias": None}, RATE, OFF, keep=keep)
    assert touched(optimizer) == {"rows": [False, True, True, False], "bias": [False]}
    assert made["rows"].numpy().tolist() == [[0, 0], [-2, -3], [0, 0], [0, 0]]
    assert optimizer.slots["rows/count"].numpy().ravel().tolist() == [0, 1, 1, 0]
    assert float(norm) == pytest.approx(np.sqrt(4**2 + 6**2)), "of what may change alone"


def test_a_dense_gradient_touches_all_rows_and_a_scalar_is_one() -> None:
    made = tables()
    optimizer = Counting(made, start=0.0)
    optimizer.forget_touched(made)
    optimizer.apply(made, {"bias": tf.constant(3.0)}, RATE, tf.constant(1.5))
    assert touched(optimizer) == {"rows": [False] * 4, "bias": [True]}
    assert float(made["bias"]) == pytest.approx(1.0 - 0.5 * 1.5), "clipped to 1.5"
    optimizer.apply(made, {"rows": tf.zeros([4, 2])}, RATE, OFF)
    assert touched(optimizer)["rows"] == [True] * 4


def test_flags_move_with_their_rows_and_new_rows_are_touched() -> None:
    made = tables()
    optimizer = Counting(made, start=0.0)
    optimizer.forget_touched(made)
    optimizer.apply(made, {"rows": sparse([[1, 1]], [3])}, RATE, OFF)
    optimizer.keep_rows("rows", np.array([0, 3], np.int64))
    optimizer.extend("rows", 1)
    assert touched(optimizer)["rows"] == [False, True, True]
    assert optimizer.slots["rows/count"].numpy().ravel().tolist() == [0, 1, 0]


def test_rows_that_a_graph_has_made_distinct_are_not_summed_again() -> None:
    def operations(looked_up: bool) -> list[str]:
        def gradient_of(rows: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
            indices = tf.reshape(tf.unique(rows).y, [-1]) if looked_up else rows
            return distinct(tf.IndexedSlices(values, indices, None))[1]

        signature = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 2], tf.float32)]
        graph = tf.function(gradient_of, input_signature=signature, autograph=False)
        return [one.type for one in graph.get_concrete_function().graph.get_operations()]

    assert "UnsortedSegmentSum" not in operations(looked_up=True)
    assert "UnsortedSegmentSum" in operations(looked_up=False)
    rows, values = distinct(sparse([[1, 2], [3, 4], [5, 6]], [8, 2, 8]))
    assert (rows.numpy().tolist(), values.numpy().tolist()) == ([8, 2], [[6, 8], [3, 4]])
