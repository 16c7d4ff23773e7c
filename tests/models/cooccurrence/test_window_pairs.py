"""What a window adds to the memory, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from models.cooccurrence.pair_memory import PairMemory
from models.cooccurrence.window_pairs import LATEST, learnt
from models.data.queries import Interactions, OwnItems, Queries
from models.tables.vocabulary import Vocabulary

ITEMS = Vocabulary(np.array([10, 20, 30, 40]))
HALF_AGE = 60 * np.log(2)
"""Days after which an item that the user has weighs a half."""


def owned(lists: list[dict[int, float]]) -> OwnItems:
    """By query, the age of each item that the user has; bought once."""
    ages = np.array([age for one in lists for age in one.values()], np.float32)
    ones = np.ones(len(ages), np.float32)
    return OwnItems(
        np.cumsum([0, *map(len, lists)]),
        np.array([key for one in lists for key in one], np.int64),
        np.column_stack([ones, ones, ages, ages, ones, ones]).astype(np.float32),
        np.ones((len(lists), 2), np.float32),
    )


def queries(lists: list[dict[int, float]], days: list[float] | None = None) -> Queries:
    count = len(lists)
    return Queries(
        np.arange(1, count + 1),
        np.zeros((count, 1), np.int64),
        np.zeros((count, 0), np.float32),
        owned(lists),
        days=None if days is None else np.array(days, np.float64),
    )


def chose(*pairs: tuple[int, int]) -> Interactions:
    query, keys = zip(*pairs, strict=True)
    return Interactions(np.array(query, np.int32), np.array(keys), np.ones(len(pairs), np.float32))


def matrix(memory: PairMemory) -> np.ndarray:
    """C, dense, by rows 1 to 4."""
    dense = np.zeros((5, 5))
    for row in range(len(memory)):
        dense[row, memory.neighbours[row]] = memory.weights[row]
    assert not dense[0].any()
    return dense[1:, 1:]


def test_what_is_new_follows_what_the_user_has_and_stands_beside_what_else_is_new() -> None:
    asked = queries([{10: HALF_AGE, 99: 1.0}, {}])
    memory = learnt(PairMemory.empty(4), ITEMS, asked, chose((0, 10), (0, 20), (0, 30), (1, 20)))
    expected = np.zeros((4, 4))
    expected[0, [1, 2]] = 0.5  # 10, a half-age old, before the new 20 and 30
    expected[1, 2] = expected[2, 1] = 1.0  # in one basket; user 1 chose 20 alone
    assert matrix(memory) == pytest.approx(expected)
    # n, times chosen as new, users who have it, and chose it again.
    assert memory.counts[1:] == pytest.approx(
        np.array([[0.5, 0, 1, 1], [1, 2, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    )


def test_what_stands_beside_counts_a_quarter_where_pairs_come_again() -> None:
    """20 follows 10 in each of nine baskets, and in one of them 30 stands beside it."""
    asked = queries([{10: 0.0}] * 9)
    chosen = chose(*((n, 20) for n in range(9)), (0, 30))
    memory = learnt(PairMemory.empty(4), ITEMS, asked, chosen)
    expected = np.zeros((4, 4))
    expected[0, [1, 2]] = 9, 1
    expected[1, 2] = expected[2, 1] = 0.25
    assert matrix(memory) == pytest.approx(expected)


def test_how_new_pairs_are_is_the_share_of_what_was_counted_that_was_met_once() -> None:
    empty, sources = PairMemory.empty(4), np.array([1, 2])
    for counts, expected in (
        ([[1.0, 1.0], [0.3, 0.25]], 1.0),
        ([[1.0, 5.0], [1.0, 3.0]], 0.0),
        ([[1.0, 8.0], [7.0, 2.0]], 0.0),
        ([[0.9, 0.9], [0.0, 0.2]], 1.0),
    ):
        pairs = csr_array((np.ravel(counts), ([0, 0, 1, 1], [2, 3, 3, 4])), (2, 5))
        assert empty.novelty(5, pairs, sources) == pytest.approx(expected)
    often = csr_array(([18.0, 2.0], ([0, 1], [2, 3])), (2, 5))
    once = csr_array((np.ones(90), (np.zeros(90, int), np.arange(90) + 5)), (2, 95))
    often.resize((2, 95))
    share = 90 / 110
    assert empty.novelty(95, once + often, sources) == pytest.approx((share - 0.8) / 0.2)
    # What is remembered counts with what is new, whatever day it is told from.
    memory = learnt(
        empty, ITEMS, queries([{10: 0.0}] * 3, [100] * 3), chose((0, 20), (1, 20), (2, 20))
    )
    later, once_more = memory.at(np.array([128.0])), csr_array(([1.0], ([0], [3])), (1, 5))
    once_more *= later.growth
    assert later.novelty(5, once_more, np.array([1])) == 0.0
    assert later.novelty(5, once_more, np.array([2])) == 1.0


def test_what_comes_twice_or_weighs_nothing_or_is_unknown_counts_once_or_not() -> None:
    chosen = chose((0, 20), (0, 20), (0, 99), (0, 30))
    weights = np.array([1, 1, 1, 0], np.float32)
    chosen = Interactions(chosen.query, chosen.item_keys, weights)
    memory = learnt(PairMemory.empty(4), ITEMS, queries([{10: 0.0}]), chosen)
    expected = np.zeros((4, 4))
    expected[0, 1] = 1.0
    assert matrix(memory) == pytest.approx(expected)


def test_a_week_takes_three_per_cent_from_what_is_older() -> None:
    chosen = chose((0, 20))
    first = learnt(PairMemory.empty(4), ITEMS, queries([{10: 0.0}], [100]), chosen)
    second = learnt(first, ITEMS, queries([{10: 0.0}], [107]), chosen)
    assert second.growth == pytest.approx(1 / 0.97)
    assert matrix(second)[0, 1] / second.growth == pytest.approx(1.97)
    late = learnt(second, ITEMS, queries([{10: 0.0}], [100]), chosen)
    assert late.days.tolist() == [100, 107]
    assert matrix(late)[0, 1] / late.growth == pytest.approx(1 + 2 * 0.97)


def test_a_robots_history_and_basket_are_cut() -> None:
    """400 items owned and 400 chosen would be 320,000 pairs."""
    items = Vocabulary(np.arange(1, 901))
    asked = queries([{key: float(key) for key in range(1, 401)}])
    chosen = chose(*((0, key) for key in range(401, 801)))
    memory = learnt(PairMemory.empty(1000), items, asked, chosen)
    assert np.count_nonzero(memory.weights) == LATEST**2 + LATEST * (LATEST - 1)
    sources = np.flatnonzero(memory.weights.any(axis=1))
    assert sources.tolist() == [*range(1, LATEST + 1), *range(401, 401 + LATEST)]


def test_nothing_is_learnt_where_what_users_have_is_not_known() -> None:
    before = PairMemory.empty(4)
    unknown = Queries(
        np.ones(1, np.int64), np.zeros((1, 1), np.int64), np.zeros((1, 0), np.float32)
    )
    assert learnt(before, ITEMS, unknown, chose((0, 20))) is before


def test_a_window_touches_its_own_rows_only_and_leaves_what_was_as_it_is() -> None:
    first = learnt(PairMemory.empty(4), ITEMS, queries([{10: 0.0}]), chose((0, 20)))
    kept = [array.copy() for array in (first.neighbours, first.weights, first.counts)]
    second = learnt(first, ITEMS, queries([{30: 0.0}]), chose((0, 40)))
    assert (second.weights[1] == first.weights[1]).all()
    for array, copy in zip((first.neighbours, first.weights, first.counts), kept, strict=True):
        assert (array == copy).all()


def test_a_long_window_is_counted_one_stretch_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lists = [{10: 1.0, 20: 2.0}, {30: 1.0}, {}, {20: 3.0, 30: 4.0}, {40: 1.0}]
    days = [0.0, 0.0, 1.0, 1.0, 2.0]
    pairs = [(0, 30), (1, 10), (2, 20), (2, 40), (3, 40), (4, 10)]
    memory = PairMemory.empty(4)
    for low, high in ((0, 1), (1, 4), (4, 5)):  # the stretch with the second item ends behind it
        part = [(query - low, key) for query, key in pairs if low <= query < high]
        memory = learnt(memory, ITEMS, queries(lists[low:high], days[low:high]), chose(*part))
    monkeypatch.setattr("models.cooccurrence.window_pairs.MOST_OWN", 2)
    found = learnt(PairMemory.empty(4), ITEMS, queries(lists, days), chose(*pairs))
    for name, array in memory.to_arrays().items():
        assert found.to_arrays()[name].tolist() == array.tolist(), name
