"""Before and after the first sparse update, from which on TensorFlow copies what it reads."""

import numpy as np
import pytest

from models.tables.backend import tf
from models.tables.rows import append_rows, count_rows, keep_rows, read, shape_of

START = np.arange(10, dtype=np.float32).reshape(5, 2)


def subtract(variable: tf.Variable, row: int, step: float) -> None:
    tf.raw_ops.ResourceScatterSub(resource=variable.handle, indices=[row], updates=[[step, step]])


@pytest.fixture(params=[False, True], ids=["fresh", "updated"])
def variable(request: pytest.FixtureRequest) -> tf.Variable:
    variable = tf.Variable(START, shape=[None, 2])
    if request.param:
        subtract(variable, 1, 0.0)
    return variable


def test_shapes_are_those_of_now(variable) -> None:
    append_rows(variable, np.ones((3, 2), np.float32))
    assert shape_of(variable) == (8, 2)
    assert count_rows(variable) == 8
    assert count_rows(tf.Variable(1.0)) == 1


def test_appending_and_keeping_move_bits_only(variable) -> None:
    append_rows(variable, np.full((1, 2), 7.0, np.float32))
    keep_rows(variable, np.array([5, 0, 3]))
    assert variable.numpy().tolist() == [[7, 7], [0, 1], [6, 7]]


def test_what_was_read_does_not_see_the_next_update(variable) -> None:
    before, tensor = read(variable), variable.read_value()
    for row in range(5):
        subtract(variable, row, 1.0)
    assert (before == START).all()
    assert (tensor.numpy() == START).all()
    assert (variable.numpy() == START - 1).all()


def test_what_was_appended_does_not_see_the_next_update(variable) -> None:
    rows = tf.ones([2, 2])
    append_rows(variable, rows)
    subtract(variable, 6, 1.0)
    assert rows.numpy().tolist() == [[1, 1], [1, 1]]
    assert variable.numpy()[-1].tolist() == [0, 0]
