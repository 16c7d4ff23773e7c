import numpy as np
import pytest

from models.data.checks import check_amounts, check_finite, check_least
from models.data.queries import Interactions, Items, Queries


def queries(**change: np.ndarray) -> Queries:
    arrays = {
        "user_keys": np.array([5, 0], np.int64),
        "history": np.array([[3, 2, 0], [0, 0, 0]], np.int64),
        "statistics": np.array([[0.5], [0.0]], np.float32),
    }
    return Queries(**{**arrays, **change})


def interactions(**change: np.ndarray) -> Interactions:
    arrays = {
        "query": np.array([0, 1], np.int32),
        "item_keys": np.array([7, 8], np.int64),
        "weights": np.array([1.0, 0.0], np.float32),
    }
    return Interactions(**{**arrays, **change})


def items(**change: np.ndarray) -> Items:
    arrays = {
        "item_keys": np.array([7, 8], np.int64),
        "words": np.array([[1, 2], [0, 0]], np.int32),
    }
    return Items(**{**arrays, **change})


def test_sound_arrays_pass_and_have_a_length() -> None:
    assert len(queries()) == len(interactions()) == len(items()) == 2


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (queries, {"user_keys": np.array([5, 0])[:, None]}, "1 dimension.*shape \\(2, 1\\)"),
        (queries, {"user_keys": np.array([5, 0], np.int32)}, "int64.*Received: int32"),
        (queries, {"user_keys": np.array([5, -4], np.int64)}, "positive.*Received: -4 at \\(1,\\)"),
        (queries, {"history": np.zeros((3, 2), np.int64)}, "Received: 3 rows for 2"),
        (queries, {"history": np.array([[1], [-9]], np.int64)}, "Received: -9"),
        (queries, {"statistics": np.array([[1], [np.nan]], np.float32)}, "finite.*Received: nan"),
        (queries, {"statistics": [[1.0], [2.0]]}, "NumPy array. Received: list"),
        (interactions, {"query": np.array([0, -1], np.int32)}, "0 or more.*Received: -1"),
        (interactions, {"item_keys": np.array([7, 0], np.int64)}, "positive.*Received: 0"),
        (interactions, {"weights": np.array([1, -2], np.float32)}, "not negative.*Received: -2"),
        (interactions, {"weights": np.array([1, np.inf], np.float32)}, "finite.*Received: inf"),
        (interactions, {"weights": np.ones(3, np.float32)}, "Received: 3 rows for 2"),
        (items, {"item_keys": np.array([7, 7], np.int64)}, "unique. Received: 7 2 times"),
        (items, {"item_keys": np.array([7, 0], np.int64)}, "positive.*Received: 0"),
        (items, {"words": np.array([[1], [-1]], np.int32)}, "Received: -1"),
    ],
)
def test_a_bad_array_is_refused_by_name_and_value(make, change, message) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make(**change)
    assert next(iter(change)) in str(error.value)


def test_take_selects_whole_queries() -> None:
    taken = queries().take(np.array([0]))
    assert taken.user_keys.tolist() == [5]
    assert taken.history.tolist() == [[3, 2, 0]]
    assert taken.statistics.tolist() == [[0.5]]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -0.5])
def test_amounts_are_finite_and_not_negative(wrong: float) -> None:
    amounts = np.array([[0.0, 1.5], [2.0, 3.0]], np.float32)
    check_amounts("values", amounts)
    check_amounts("values", amounts[:0])
    amounts[1, 0] = wrong
    with pytest.raises(ValueError, match=r"`values` should be finite.*Received: .* at \(1, 0\)"):
        check_amounts("values", amounts)
    if np.isfinite(wrong):
        check_finite("values", amounts)
    else:
        with pytest.raises(ValueError, match="finite"):
            check_finite("values", amounts)


def test_keys_are_at_least_one() -> None:
    check_least("keys", np.array([1, 2**62]), 1, "positive")
    with pytest.raises(ValueError, match=r"`keys` should be positive. Received: 0 at \(1,\)"):
        check_least("keys", np.array([1, 0]), 1, "positive")
