"""Lists of different lengths in one array. Offsets [0, 2, 2, 5]: lists of 2, 0 and 3 elements."""

import numpy as np
import pytest

from models.data.checks import check_offsets
from models.data.ragged import owners, picked
from models.learning.batch_source import owners_of
from models.tables.backend import tf

OFFSETS = np.array([0, 2, 2, 5])


def test_each_element_has_its_list() -> None:
    assert owners(OFFSETS).tolist() == [0, 0, 2, 2, 2]
    assert owners(np.array([0])).tolist() == []


def test_in_the_graph_lists_are_counted_from_the_first_one_given() -> None:
    part = tf.constant([2, 2, 5, 6], tf.int64)
    assert owners_of(part).numpy().tolist() == [1, 1, 1, 2]


def test_lists_are_picked_in_any_order() -> None:
    offsets, places = picked(np.array([0, 2, 2, 5]), np.array([2, 0, 2, 1]))
    assert offsets.tolist() == [0, 3, 5, 8, 8]
    assert places.tolist() == [2, 3, 4, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("offsets", [[0, 2, 1, 5], [1, 2, 2, 5], [0, 2, 2, 4], []])
def test_offsets_that_fit_no_lists_are_refused(offsets) -> None:
    check_offsets(OFFSETS, 5, "items")
    with pytest.raises(ValueError, match="rise from 0 to 5, the number of `items`"):
        check_offsets(np.array(offsets, np.int64), 5, "items")
