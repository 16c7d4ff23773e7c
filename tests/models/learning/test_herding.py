"""Exemplars against the greedy definition, written out. No TensorFlow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.learning import memory
from models.learning.memory import choose_exemplars, shares


def greedy(vectors: np.ndarray, count: int) -> list[int]:
    """iCaRL's algorithm 4: each next one brings the mean of the chosen closest to the mean."""
    units = [v / np.linalg.norm(v) for v in vectors.astype(np.float64)]
    mean = np.mean(units, axis=0)
    chosen: list[int] = []
    for _ in range(count):
        left = [i for i in range(len(units)) if i not in chosen]
        far = [
            np.linalg.norm(mean - np.mean([units[j] for j in [*chosen, i]], axis=0)) for i in left
        ]
        chosen.append(left[int(np.argmin(np.round(far, 9)))])
    return chosen


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 8), st.integers(1, 12))
def test_matches_the_greedy_definition_item_by_item(seed, count, items, capacity) -> None:
    rng = np.random.default_rng(seed)
    keys = rng.integers(1, items + 1, count)
    vectors = rng.standard_normal((count, 3)).astype(np.float32)
    kept = choose_exemplars(keys, vectors, capacity, rng.random(count))
    assert len(kept) == min(capacity, count)
    assert (np.diff(kept) > 0).all()
    for key in np.unique(keys):
        own = np.flatnonzero(keys == key)
        mine = kept[keys[kept] == key]
        assert mine.tolist() == sorted(own[greedy(vectors[own], len(mine))].tolist())


def test_a_case_by_hand() -> None:
    """Of one item's unit vectors at 0, 90 and 180 degrees the mean is (0, 1/3): first the middle
    one; then, at k = 2, left and right are as good, and the earlier wins."""
    vectors = np.array([[2, 0], [0, 3], [-1, 0]], np.float32)
    keys = np.full(3, 7, np.int64)
    draws = np.zeros(3)
    assert choose_exemplars(keys, vectors, 1, draws).tolist() == [1]
    assert choose_exemplars(keys, vectors, 2, draws).tolist() == [0, 1]
    assert choose_exemplars(keys, vectors, 5, draws).tolist() == [0, 1, 2]


def test_shares_follow_frequency_by_largest_remainders() -> None:
    # 10 of 20 places: 5.5, 3.5 and 1.0 would be exact; the odd one goes to the lucky half.
    counts = np.array([11, 7, 2])
    assert shares(counts, 10, np.array([0.1, 0.2, 0.3])).tolist() == [6, 3, 1]
    assert shares(counts, 10, np.array([0.2, 0.1, 0.3])).tolist() == [5, 4, 1]
    assert shares(counts, 20, np.zeros(3)).tolist() == [11, 7, 2]
    assert shares(counts, 99, np.zeros(3)).tolist() == [11, 7, 2]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 400))
def test_shares_sum_to_the_capacity_and_no_item_gives_more_than_it_has(counts, capacity) -> None:
    counts = np.array(counts)
    share = shares(counts, capacity, np.arange(len(counts), dtype=float))
    assert share.sum() == min(capacity, counts.sum())
    assert (share <= counts).all()
    exact = counts * min(capacity, counts.sum()) / counts.sum()
    assert (abs(share - exact) < 1).all()


def test_a_vector_of_zeros_stays_one() -> None:
    """The mean (1/4, 0) is closer to (0, 0) than to (1, 0)."""
    vectors = np.array([[5, 0], [0, 0], [0, 0], [0, 0]], np.float32)
    assert choose_exemplars(np.ones(4, np.int64), vectors, 1, np.zeros(4)).tolist() == [1]


def test_beyond_the_greedy_ones_luck_chooses(monkeypatch) -> None:
    monkeypatch.setattr(memory, "GREEDY", 2)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((12, 4)).astype(np.float32)
    draws = rng.random(12)
    kept = choose_exemplars(np.ones(12, np.int64), vectors, 6, draws)
    first = greedy(vectors, 2)
    rest = [i for i in np.argsort(draws) if i not in first][:4]
    assert kept.tolist() == sorted([*first, *rest])


def test_exemplars_stand_for_their_item_better_than_chance() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((200, 8)).astype(np.float32)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = np.ones(200, np.int64)
    kept = choose_exemplars(keys, vectors, 10, rng.random(200))

    def distance(index) -> float:
        return float(np.linalg.norm(units[index].mean(axis=0) - units.mean(axis=0)))

    drawn = [distance(rng.choice(200, 10, replace=False)) for _ in range(50)]
    assert distance(kept) < min(drawn)


def test_many_items_cost_no_loop_over_items(monkeypatch) -> None:
    """40,000 items with a few examples each take a few rounds, not 40,000."""
    rounds = []
    original = np.maximum.reduceat

    class Counted:
        def __call__(self, *arguments):
            return np.fmax(*arguments)

        @staticmethod
        def reduceat(*arguments):
            rounds.append(1)
            return original(*arguments)

    monkeypatch.setattr(memory.np, "maximum", Counted())
    rng = np.random.default_rng(0)
    keys = rng.integers(1, 40_001, 50_000)
    kept = choose_exemplars(keys, rng.random((50_000, 4), np.float32), 30_000, rng.random(50_000))
    monkeypatch.undo()
    assert len(kept) == 30_000
    assert len(rounds) <= np.unique(keys, return_counts=True)[1].max()


@pytest.mark.parametrize("capacity", [1, 7, 19])
def test_is_a_function_of_its_arguments(capacity) -> None:
    rng = np.random.default_rng(4)
    keys, vectors = rng.integers(1, 5, 20), rng.random((20, 3), np.float32)
    draws = rng.random(20)
    one, other = (choose_exemplars(keys, vectors, capacity, draws) for _ in range(2))
    assert (one == other).all()
