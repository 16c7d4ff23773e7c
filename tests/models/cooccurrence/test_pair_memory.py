"""The memory's rows: bounded, numbered anew, told from another origin, saved."""

from __future__ import annotations

import numpy as np
import pytest

from models.cooccurrence.pair_memory import PREFIX, PairMemory
from models.cooccurrence.window_pairs import learnt
from models.tables.vocabulary import Vocabulary
from tests.models.cooccurrence.test_window_pairs import ITEMS, chose, matrix, queries


def test_of_a_full_row_those_stay_that_are_chosen_oftener_than_their_popularity_says() -> None:
    """20 and 30 follow 10 twice each and 40 once; but 30 was chosen ten times more without it."""
    asked = queries([{10: 0.0}] * 2 + [{}] * 10)
    pairs = [(0, 20), (1, 20), (0, 30), (1, 30), (0, 40), *((n, 30) for n in range(2, 12))]
    memory = learnt(PairMemory.empty(2), ITEMS, asked, chose(*pairs))
    assert memory.neighbours[1].tolist() == [2, 4]
    assert memory.weights[1].tolist() == [2, 1]


def test_where_all_was_met_once_those_stay_that_are_popular() -> None:
    """20, 30 and 40 each follow 10 once; 30 and 40 were chosen oftener elsewhere."""
    asked = queries([{10: 0.0}, *({} for _ in range(5))])
    elsewhere = [(1, 30), (2, 30), (3, 30), (4, 40), (5, 40)]
    once = chose((0, 20), (0, 30), (0, 40), *elsewhere)
    memory = learnt(PairMemory.empty(2), ITEMS, asked, once)
    assert memory.neighbours[1].tolist() == [3, 4]
    assert memory.weights[1].tolist() == [1, 1]


def test_what_was_met_once_does_not_push_out_what_was_met_often() -> None:
    """20 follows 10 four times and is chosen eight times; 40 is chosen once, and follows 10 then."""
    asked = queries([{10: 0.0}] * 4 + [{}] * 4)
    pairs = [*((n, 20) for n in range(8)), (0, 40)]
    memory = learnt(PairMemory.empty(1), ITEMS, asked, chose(*pairs))
    assert memory.neighbours[1].tolist() == [2]
    assert memory.weights[1].tolist() == [4]


def test_new_items_find_room_and_those_that_go_take_their_pairs_along() -> None:
    asked = queries([{10: 0.0}, {20: 0.0}])
    memory = learnt(PairMemory.empty(4), ITEMS, asked, chose((0, 20), (0, 40), (1, 40)))
    more = Vocabulary(np.array([10, 20, 30, 40, 50]))
    memory = learnt(memory, more, queries([{10: 0.0}]), chose((0, 50)))
    assert memory.weights[1].tolist() == [0, 1, 1, 1]
    kept = memory.kept(np.array([0, 1, 4, 5]))  # without 20 and 30
    assert kept.neighbours[1].tolist() == [0, 0, 2, 3]
    assert kept.weights[1].tolist() == [0, 0, 1, 1]
    assert kept.counts.tolist() == memory.counts[[0, 1, 4, 5]].tolist()
    short = memory.kept(np.array([0, 1, 2, 9]))  # row 9 came after the last count
    assert len(short) == 3


def test_counts_told_from_another_origin_say_the_same() -> None:
    memory = learnt(PairMemory.empty(4), ITEMS, queries([{10: 0.0}], [100]), chose((0, 20)))
    far = memory.at(np.array([100.0 + 7 * 1000]))  # 1,000 weeks: beyond the largest growth
    assert far.days.tolist() == [7100, 7100]
    assert matrix(far)[0, 1] == pytest.approx(0.97**1000, rel=1e-4)
    gone = memory.at(np.array([100_000.0]))
    assert not gone.weights.any()
    assert not gone.neighbours.any()
    assert memory.at(np.array([60.0])).days.tolist() == [100, 100]


def test_the_share_is_pulled_to_nothing_where_little_was_seen() -> None:
    memory = learnt(PairMemory.empty(1), ITEMS, queries([{10: 0.0}]), chose((0, 20)))
    assert memory.shares(np.array([1])).tolist() == [pytest.approx([1 / (1 + 5)])]


def test_it_comes_back_from_its_arrays() -> None:
    memory = learnt(PairMemory.empty(4), ITEMS, queries([{10: 0.0}], [7]), chose((0, 20)))
    arrays = memory.to_arrays()
    assert all(name.startswith(PREFIX) for name in arrays)
    again = PairMemory.of({**arrays, "other": np.zeros(1)})
    assert again is not None
    assert (again.weights == memory.weights).all()
    assert again.days.tolist() == [7, 7]
    assert PairMemory.of({}) is None
