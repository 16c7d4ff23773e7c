"""Finding numbers among others that are in order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.data.ragged import distinct, look_up

NUMBERS = st.lists(st.integers(-20, 20), max_size=30)


@given(NUMBERS, NUMBERS)
def test_what_is_found_and_where_is_what_python_says(ordered: list[int], wanted: list[int]) -> None:
    ordered = sorted(ordered)

    known, place = look_up(np.array(ordered, np.int64), np.array(wanted, np.int64))

    assert known.tolist() == [number in ordered for number in wanted]
    assert place.tolist() == [sum(each < number for each in ordered) for number in wanted]


def test_shape_is_that_of_what_is_wanted() -> None:
    known, place = look_up(np.array([2, 5]), np.array([[5, 7], [0, 2]]))

    assert known.tolist() == [[True, False], [False, True]]
    assert place.tolist() == [[1, 2], [0, 0]]


@given(NUMBERS)
def test_distinct_numbers_are_those_of_a_set(numbers: list[int]) -> None:
    for in_runs in (False, True):
        found = distinct(np.array(numbers, np.int64), in_runs)
        assert found.tolist() == sorted(set(numbers))
