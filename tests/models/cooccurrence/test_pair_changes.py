"""What workers counted side by side, added up."""

from __future__ import annotations

import numpy as np
import pytest

from models.cooccurrence.pair_changes import change_of, with_changes
from models.cooccurrence.pair_memory import PairMemory
from models.cooccurrence.window_pairs import learnt
from models.tables.vocabulary import Vocabulary
from tests.models.cooccurrence.test_window_pairs import ITEMS, chose, matrix, queries


@pytest.fixture
def start() -> PairMemory:
    return learnt(PairMemory.empty(4), ITEMS, queries([{10: 0.0}], [100]), chose((0, 20)))


def test_two_workers_add_up_to_one_who_saw_all(start: PairMemory) -> None:
    shares = [
        (queries([{10: 3.0}], [107]), chose((0, 20), (0, 30))),
        (queries([{20: 1.0}, {10: 9.0}], [106, 107]), chose((0, 40), (1, 10), (1, 40))),
    ]
    parts = [change_of(start, learnt(start, ITEMS, *one), ITEMS) for one in shares]
    merged = with_changes(start, parts, ITEMS)
    whole = start
    for one in shares:
        whole = learnt(whole, ITEMS, *one)
    assert merged is not None
    assert (merged.neighbours == whole.neighbours).all()
    assert merged.weights == pytest.approx(whole.weights, rel=1e-6)
    assert merged.counts == pytest.approx(whole.counts, rel=1e-6)
    assert merged.days.tolist() == whole.days.tolist() == [100, 107]


def test_a_part_is_in_keys_and_what_the_other_does_not_know_is_passed_over(
    start: PairMemory,
) -> None:
    part = change_of(start, learnt(start, ITEMS, queries([{10: 0.0}]), chose((0, 40))), ITEMS)
    assert part["sources"].tolist() == [10]
    assert part["items"].tolist() == [40]
    other = Vocabulary(np.array([40, 10]))
    found = with_changes(None, [part], other)
    assert found is not None
    assert found.neighbours[2].tolist() == [0, 0, 0, 1]
    fewer = with_changes(None, [part], Vocabulary(np.array([10])))
    assert fewer is not None
    assert not fewer.weights.any()
    assert fewer.counts[1, 2] == 1.0  # who has 10


def test_parts_told_from_another_origin_weigh_what_they_say(start: PairMemory) -> None:
    window = queries([{10: 0.0}], [107]), chose((0, 20))
    part = change_of(start, learnt(start, ITEMS, *window), ITEMS)
    later = start.at(np.array([107.0])).since(107.0)
    merged = with_changes(later, [part], ITEMS)
    whole = learnt(start, ITEMS, *window)
    assert merged is not None
    assert matrix(merged) == pytest.approx(matrix(whole) / whole.growth, rel=1e-5)


def test_without_a_memory_nothing_is_counted() -> None:
    assert change_of(None, None, ITEMS) == {}
    assert with_changes(None, [{}], ITEMS) is None
