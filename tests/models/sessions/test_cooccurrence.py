"""What co-occurs with what: weights, decay, shares; worked by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from models.data.sessions import Sessions
from models.sessions.cooccurrence import (
    FADED,
    FURTHEST,
    Cooccurrence,
    follow,
    pairs_of,
    reach,
    start_rows,
)
from models.sessions.transformer_config import TransformerConfig

CONFIG = TransformerConfig(memory_distance=0.5, memory_repeat=2.0, memory_decay=0.5)


def sessions(*lists: list[int]) -> Sessions:
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    return Sessions(offsets, np.array([item for one in lists for item in one], np.int64))


def dense(memory: Cooccurrence) -> np.ndarray:
    size = len(memory.keys)
    found = np.zeros((size, size))
    owner = np.repeat(np.arange(size), np.diff(memory.offsets))
    found[owner, memory.neighbours] = memory.weights
    return found


def test_pairs_weigh_less_the_further_apart_and_the_longer_the_session() -> None:
    memory = Cooccurrence.empty().updated(sessions([30, 10, 20, 40]), CONFIG, 1.0)
    assert memory.keys.tolist() == [10, 20, 30, 40]
    # 1 / sqrt(4) for neighbours, half of it with one item between, a quarter with two; 2 / sqrt(4)
    # for the item itself.
    expected = [
        [1, 0.5, 0.5, 0.25],
        [0.5, 1, 0.25, 0.5],
        [0.5, 0.25, 1, 0.125],
        [0.25, 0.5, 0.125, 1],
    ]
    np.testing.assert_allclose(dense(memory), expected)


def test_a_repeated_item_co_occurs_with_itself_both_ways() -> None:
    # [7, 7]: 2 / sqrt(2) twice for the places, 1 / sqrt(2) each way for the pair.
    memory = Cooccurrence.empty().updated(sessions([7, 7]), CONFIG, 1.0)
    np.testing.assert_allclose(dense(memory), [[6 / np.sqrt(2)]], rtol=1e-6)


def test_older_weights_decay_and_new_keys_may_come_between() -> None:
    memory = Cooccurrence.empty().updated(sessions([10, 30]), CONFIG, 1.0)
    memory = memory.updated(sessions([20, 30]), CONFIG, 0.5)
    one = 1 / np.sqrt(2)
    expected = [
        [one, 0, one / 2],
        [0, 2 * one, one],
        [one / 2, one, 3 * one],
    ]
    np.testing.assert_allclose(dense(memory), expected, rtol=1e-6)


def test_a_week_decays_as_much_however_often_it_was_updated() -> None:
    config = TransformerConfig(memory_decay=0.5)
    assert config.decay_of(7.0) == 0.5
    assert config.decay_of(2.0) * config.decay_of(5.0) == pytest.approx(0.5)
    first = Cooccurrence.empty().updated(sessions([10, 30]), config, 1.0)
    nothing = sessions()
    daily = first
    for _ in range(7):
        daily = daily.updated(nothing, config, config.decay_of(1.0))
    weekly = first.updated(nothing, config, config.decay_of(7.0))
    np.testing.assert_allclose(dense(daily), dense(weekly), rtol=1e-5)


def test_an_update_is_what_counting_everything_at_once_would_be() -> None:
    rng = np.random.default_rng(0)
    lists = [rng.integers(1, 40, rng.integers(2, 9)).tolist() for _ in range(60)]
    config = TransformerConfig(memory_neighbours=50)
    at_once = Cooccurrence.empty().updated(sessions(*lists), config, 1.0)
    memory = Cooccurrence.empty()
    for low in range(0, 60, 20):
        memory = memory.updated(sessions(*lists[low : low + 20]), config, 1.0)
    np.testing.assert_array_equal(memory.keys, at_once.keys)
    np.testing.assert_array_equal(memory.neighbours, at_once.neighbours)
    np.testing.assert_allclose(dense(memory), dense(at_once), rtol=1e-5)
    np.testing.assert_allclose(memory.idf, at_once.idf, rtol=1e-5)


def test_only_the_strongest_neighbours_are_kept() -> None:
    config = TransformerConfig(memory_distance=0.5, memory_repeat=2.0, memory_neighbours=2)
    memory = Cooccurrence.empty().updated(sessions([30, 10, 20, 40]), config, 1.0)
    assert np.diff(memory.offsets).tolist() == [2, 2, 2, 2]
    assert (dense(memory).diagonal() == 1).all()
    assert dense(memory)[3].tolist() == [0, 0.5, 0, 1]
    # 10 comes to know 50 better than any other; those that it has not met keep what they have.
    memory = memory.updated(sessions(*[[10, 50]] * 3), config, 1.0)
    assert dense(memory)[0].nonzero()[0].tolist() == [0, 4]
    assert dense(memory)[3].tolist() == [0, 0.5, 0, 1, 0]


def test_shares_are_the_votes_of_the_history_by_recency() -> None:
    memory = Cooccurrence.empty().updated(sessions([1, 2], [3, 4]), CONFIG, 1.0)
    # All four items are alike, so their idf are; w = sqrt(2) itself, 1 / sqrt(2) with the other.
    row, place, share = memory.shares(np.array([[3, 2, 99], [0, 0, 0], [1, 0, 0]]), 0.5)
    assert row.tolist() == [0, 0, 0, 0, 2, 2]
    assert memory.keys[place].tolist() == [1, 2, 3, 4, 1, 2]
    # Row 0: item 3 counts 1, item 2 counts .5: of 4.5 halves, 1's share is .5, 2's 1, 3's 2, 4's 1.
    np.testing.assert_allclose(
        share, [0.5 / 4.5, 1 / 4.5, 2 / 4.5, 1 / 4.5, 2 / 3, 1 / 3], rtol=1e-5
    )


def test_a_rare_item_of_the_history_says_more_than_a_common_one() -> None:
    memory = Cooccurrence.empty().updated(sessions([1, 5], *[[2, 6]] * 4), CONFIG, 1.0)
    _, place, share = memory.shares(np.array([[1, 2]]), 1.0)
    by_key = dict(zip(memory.keys[place].tolist(), share.tolist(), strict=True))
    w = np.sqrt(2)
    total = 10 * w
    strength = {
        1: np.log1p(total / (1 + w)) / np.sqrt(1.5 * w),
        2: np.log1p(total / (1 + 4 * w)) / np.sqrt(6 * w),
    }
    assert by_key[5] / by_key[6] == pytest.approx(strength[1] / (4 * strength[2]), rel=1e-5)


@pytest.mark.parametrize("clicks", [1_000, 2_000, 20_000])
def test_a_robots_session_makes_pairs_by_its_length_and_not_by_its_square(clicks: int) -> None:
    robot = sessions(list(range(1, clicks + 1)), [1, 2, 3])
    left, right, _ = pairs_of(robot, 0.8, 1.5)
    # Each click with itself and with the 75 after it, of which the last 75 have fewer; then 3 + 3.
    assert len(left) == clicks * 76 - 75 * 76 // 2 + 6
    assert (right - left).max() == reach(0.8) == 75


def test_a_session_of_20_000_clicks_takes_less_than_200_mb() -> None:
    robot = sessions(list(range(1, 20_001)))
    tracemalloc.start()
    Cooccurrence.empty().updated(robot, TransformerConfig(), 1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6


def test_what_lies_beyond_the_reach_adds_nothing_to_a_neighbours_weight() -> None:
    for distance in (0.5, 0.8, 0.85):
        beyond = np.float32(distance ** reach(distance))
        assert np.float32(1.0) + beyond == np.float32(1.0)
        assert distance ** (reach(distance) - 1) >= FADED
    assert reach(0.99) == reach(1.0) == FURTHEST


def test_within_the_reach_the_weights_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(3)
    lists = [rng.integers(1, 30, length).tolist() for length in (76, 40, 1, 2)]
    memory = Cooccurrence.empty().updated(sessions(*lists), TransformerConfig(), 1.0)
    expected = np.zeros((31, 31))
    for items in lists:
        for i, a in enumerate(items):
            for j, b in enumerate(items):
                worth = 1.5 if i == j else 0.8 ** (abs(i - j) - 1)
                expected[a, b] += worth / np.sqrt(len(items))
    np.testing.assert_allclose(dense(memory), expected[np.ix_(memory.keys, memory.keys)], rtol=1e-5)


def test_of_equally_strong_neighbours_the_earlier_ones_are_kept() -> None:
    config = TransformerConfig(memory_repeat=2.0, memory_neighbours=3)
    memory = Cooccurrence.empty().updated(
        sessions([10, 20], [10, 30], [10, 40], [10, 50]), config, 1.0
    )
    # 10 knows itself and four others alike.
    assert memory.keys[dense(memory)[0].nonzero()[0]].tolist() == [10, 20, 30]


def test_arrays_there_and_back() -> None:
    memory = Cooccurrence.empty().updated(sessions([1, 2], [3, 4]), CONFIG, 1.0)
    again = Cooccurrence.of(memory.to_arrays())
    assert again is not None
    np.testing.assert_array_equal(dense(again), dense(memory))
    np.testing.assert_array_equal(again.idf, memory.idf)
    assert Cooccurrence.of({}) is None


def test_nothing_known_has_no_shares() -> None:
    assert all(len(part) == 0 for part in Cooccurrence.empty().shares(np.array([[1]]), 0.5))


CLIQUES = sessions(*[[a, b] for base in (10, 20, 30) for a in range(base, base + 4) for b in
                     range(base, base + 4) if a != b])  # fmt: skip


def test_the_start_puts_what_co_occurs_in_one_place() -> None:
    memory = Cooccurrence.empty().updated(CLIQUES, CONFIG, 1.0)
    rows = start_rows(memory, 3, seed=1)
    cosine = rows @ rows.T
    same = memory.keys[:, None] // 10 == memory.keys[None, :] // 10
    assert cosine[same].min() > 0.99
    assert np.abs(cosine[~same]).max() < 0.01
    np.testing.assert_array_equal(rows, start_rows(memory, 3, seed=1))


def test_a_start_of_more_coordinates_than_items_has_zeros() -> None:
    rows = start_rows(Cooccurrence.empty().updated(sessions([1, 2]), CONFIG, 1.0), 5, seed=1)
    assert rows.shape == (2, 5)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)


def test_following_is_a_step_towards_the_weighted_neighbours() -> None:
    # [1, 2] alone: w = sqrt(2) itself and 1 / sqrt(2) with the other, so S = [[2, 1], [1, 2]] / 3.
    memory = Cooccurrence.empty().updated(sessions([1, 2]), CONFIG, 1.0)
    rows = np.array([[2.0, 0.0], [0.0, 1.0]], np.float32)
    there = np.array([2.0, 1.0]) / np.sqrt(5)
    moved = 0.75 * np.array([1.0, 0.0]) + 0.25 * there
    followed = follow(memory, rows, np.array([0.25, 0.0], np.float32), 1)
    np.testing.assert_allclose(followed[0], moved / np.linalg.norm(moved), rtol=1e-5)
    np.testing.assert_allclose(followed[1], [0.0, 1.0])
    everything = follow(memory, rows, np.ones(2, np.float32), 1)
    np.testing.assert_allclose(everything, [there, there[::-1]], rtol=1e-5)


def test_news_is_the_share_of_weight_that_the_last_update_brought() -> None:
    before = Cooccurrence.empty().updated(sessions([10, 30]), CONFIG, 1.0)
    memory = before.updated(sessions([20, 30]), CONFIG, 0.5)
    # In units of 1 / sqrt(2), each session brings 2 + 1 to each of its items; the older is halved.
    # 10: 1.5 old. 20: 3 new. 30: 1.5 old and 3 new.
    news = memory.news_since(before, 0.5)
    np.testing.assert_allclose(news, [0, 1, 3 / 4.5], atol=1e-6)
