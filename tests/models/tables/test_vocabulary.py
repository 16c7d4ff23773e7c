import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tables.vocabulary import Vocabulary

KEYS = st.lists(st.integers(1, 2**63 - 1) | st.integers(1, 9), max_size=30)


def array(keys: list[int]) -> np.ndarray:
    return np.array(keys, np.int64)


@given(first=KEYS, second=KEYS, asked=KEYS)
def test_behaves_like_a_dict_that_numbers_keys_as_they_come(first, second, asked) -> None:
    oracle: dict[int, int] = {}
    vocabulary = Vocabulary()
    for keys in (first, second):
        before = len(oracle)
        for key in keys:
            oracle.setdefault(key, len(oracle) + 1)
        assert vocabulary.extend(array(keys)).tolist() == list(oracle)[before:]
    everything = [0, *first, *second, *asked]
    rows = vocabulary.rows(array(everything))
    assert rows.tolist() == [oracle.get(key, 0) for key in everything]
    assert vocabulary.keys.tolist() == list(oracle)
    assert vocabulary.keys_of(array(list(oracle.values()))).tolist() == list(oracle)


@given(first=KEYS, second=KEYS)
def test_growing_never_moves_a_row(first, second) -> None:
    vocabulary = Vocabulary(array(list(dict.fromkeys(first))))
    before = vocabulary.rows(array(first))
    vocabulary.extend(array(second))
    assert (vocabulary.rows(array(first)) == before).all()


def test_rows_keep_the_shape_asked() -> None:
    vocabulary = Vocabulary(array([30, 10]))
    assert vocabulary.rows(np.array([[10, 30, 0], [99, 10, 10]])).tolist() == [[2, 1, 0], [0, 2, 2]]
    assert Vocabulary().rows(np.zeros((2, 3), np.int64)).shape == (2, 3)


def test_the_unknown_row_has_key_0() -> None:
    assert Vocabulary(array([30])).keys_of(array([0, 1])).tolist() == [0, 30]


@pytest.mark.parametrize("key", [0, -3])
def test_a_key_that_is_not_positive_is_refused(key) -> None:
    vocabulary = Vocabulary()
    with pytest.raises(ValueError, match=f"Received: {key}"):
        vocabulary.extend(array([5, key]))
    assert len(vocabulary) == 0


def test_a_saved_vocabulary_that_repeats_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1 repeated"):
        Vocabulary(array([4, 5, 4]))


def test_keys_are_read_only() -> None:
    with pytest.raises(ValueError, match=r"read-only"):
        Vocabulary(array([4])).keys[0] = 9


@given(first=KEYS, second=KEYS, data=st.data())
def test_keeping_renumbers_as_a_list_would(first, second, data) -> None:
    vocabulary = Vocabulary(array(list(dict.fromkeys(first))))
    oracle = list(dict.fromkeys(first))
    kept = data.draw(st.permutations(range(len(oracle))))
    kept = kept[: data.draw(st.integers(0, len(oracle)))]
    vocabulary.keep(array(kept) + 1)
    oracle = [oracle[i] for i in kept]
    assert vocabulary.keys.tolist() == oracle
    vocabulary.extend(array(second))
    oracle = list(dict.fromkeys(oracle + second))
    numbers = {key: row for row, key in enumerate(oracle, start=1)}
    asked = [0, *first, *second]
    assert vocabulary.rows(array(asked)).tolist() == [numbers.get(key, 0) for key in asked]


@pytest.mark.parametrize("rows", [[0], [1, 1], [3], [-1], [0, -1]])
def test_rows_that_are_not_there_cannot_be_kept(rows) -> None:
    vocabulary = Vocabulary(array([70, 20]))
    with pytest.raises(ValueError, match=r"distinct and in \[1, 2\]"):
        vocabulary.keep(array(rows))
    assert vocabulary.keys.tolist() == [70, 20]


@pytest.mark.parametrize("far", [3_000, 10**12])
def test_keys_that_stop_being_dense_are_found_as_before(far) -> None:
    """By address while keys are dense, by search from the first that isn't; `find` can't tell."""
    vocabulary = Vocabulary(np.arange(1, 200))
    vocabulary.extend(array([far, 250]))
    vocabulary.extend(np.arange(150, 400))
    every = np.r_[0, np.arange(1, 200), far, 250, 399, -5, 400, far + 1, 2**62]
    expected = np.r_[0, np.arange(1, 200), 200, 201, 400, 0, 0, 0, 0]
    assert vocabulary.rows(every).tolist() == expected.tolist()
