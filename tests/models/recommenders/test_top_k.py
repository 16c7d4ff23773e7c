"""The k best, held against TensorFlow's kernel and against sorting."""

import numpy as np
import pytest

from models.recommenders.top_k import GROUP, best_columns, padded_rows
from models.tables.backend import tf


@pytest.mark.parametrize("k", [1, 3, 20])
@pytest.mark.parametrize("values", [5, 1000], ids=["many ties", "few ties"])
def test_equals_a_stable_sort_ties_and_all(k: int, values: int) -> None:
    rng = np.random.default_rng(k)
    scores = rng.integers(0, values, (7, 50 * GROUP)).astype(np.float32)
    scores[2, 5:] = -np.inf
    found, columns = best_columns(tf.constant(scores), k, 50 * GROUP)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(found, np.take_along_axis(scores, expected, axis=1))


def test_few_columns_are_looked_at_one_by_one() -> None:
    scores = tf.constant([[3.0, 1.0, 2.0] + [0.0] * (GROUP - 3)])
    found, columns = best_columns(scores, 3, GROUP)
    np.testing.assert_array_equal(found, [[3.0, 2.0, 1.0]])
    np.testing.assert_array_equal(columns, [[0, 2, 1]])


@pytest.mark.parametrize("columns", [40 * GROUP, 40 * GROUP - 1, 39 * GROUP + 1])
def test_padding_is_never_chosen(columns: int) -> None:
    rng = np.random.default_rng(columns)
    scores = rng.standard_normal((5, 40 * GROUP)).astype(np.float32)
    scores[:, columns:] = 99.0
    scores[:, columns - 1] = 50.0
    found, at = best_columns(tf.constant(scores), 4, columns)
    expected = np.argsort(-scores[:, :columns], axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(at, expected)
    assert (found.numpy()[:, 0] == 50.0).all()


def test_rows_are_padded_with_the_unknown_item() -> None:
    rows = np.arange(1, GROUP + 2)
    padded = padded_rows(rows)
    assert len(padded) == 2 * GROUP
    np.testing.assert_array_equal(padded[: GROUP + 1], rows)
    assert (padded[GROUP + 1 :] == 0).all()
    assert len(padded_rows(rows[:GROUP])) == GROUP
