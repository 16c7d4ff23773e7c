"""The best of each row, against a sort."""

import numpy as np
import pytest

from models.data.best_of_rows import best, kth_best


def test_the_best_of_each_row_ties_by_the_earlier_column() -> None:
    inf = np.inf
    scores = np.array([[1, 3, 3, 2], [-inf, -inf, 5, -inf], [0, 0, 0, 0]], np.float32)
    owner, column, values = best(scores, 3)
    assert owner.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert column.tolist() == [1, 2, 3, 2, 0, 1, 2]
    assert values.tolist() == [3, 3, 2, 5, 0, 0, 0]
    assert kth_best(scores, 3).tolist() == [2, -inf, 0]


@pytest.mark.parametrize("width", [7, 64, 321, 1000])
def test_the_best_by_groups_are_those_of_a_sort(width: int) -> None:
    rng = np.random.default_rng(width)
    scores = rng.integers(0, 50, (9, width)).astype(np.float32)  # with many ties
    scores[rng.random((9, width)) < 0.1] = -np.inf
    for k in (1, 5, 6):
        owner, column, _ = best(scores, k)
        for row in range(9):
            order = np.argsort(-scores[row], kind="stable")[:k]
            order = order[scores[row, order] > -np.inf]
            assert column[owner == row].tolist() == order.tolist()
            least = scores[row, order[-1]] if len(order) == k else -np.inf
            assert kth_best(scores, k)[row] == least
