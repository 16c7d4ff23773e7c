from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.learning.batch_source import batch_bounds, event_order
from models.recommenders.softmax import sampling_probability

QUERIES = st.lists(st.integers(0, 6), min_size=1, max_size=40).map(lambda q: np.array(q, np.int32))


@given(
    query=QUERIES, shuffle=st.sampled_from(["baskets", "events", "none"]), seed=st.integers(0, 9)
)
def test_every_event_is_seen_once_and_the_seed_decides(query, shuffle, seed) -> None:
    order = event_order(query, shuffle, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(query)))
    again = event_order(query, shuffle, np.random.default_rng(seed))
    assert (order == again).all()


@given(query=QUERIES, seed=st.integers(0, 9))
def test_baskets_stay_together(query, seed) -> None:
    seen = query[event_order(query, "baskets", np.random.default_rng(seed))]
    changes = 1 + int((seen[1:] != seen[:-1]).sum())
    assert changes == len(np.unique(query))


def test_shuffles_differ_from_one_seed_to_the_next() -> None:
    query = np.arange(50, dtype=np.int32)
    first, second = (event_order(query, "baskets", np.random.default_rng(s)) for s in (1, 2))
    assert (first != second).any()


def test_none_keeps_the_order_and_another_word_is_refused() -> None:
    rng = np.random.default_rng(0)
    assert event_order(np.array([2, 1], np.int32), "none", rng).tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"Received: 'random'"):
        event_order(np.array([2, 1], np.int32), "random", rng)


@given(events=st.integers(1, 5000), size=st.integers(2, 600))
def test_batches_cover_all_events_and_are_even(events, size) -> None:
    bounds = batch_bounds(events, size)
    lengths = np.diff(bounds)
    assert bounds[0] == 0
    assert bounds[-1] == events
    assert lengths.max() <= size
    assert lengths.max() - lengths.min() <= 1
    assert len(lengths) == -(-events // size)


def test_probability_is_the_count_relative_to_the_largest() -> None:
    # Of rows 1, 2, 3: seen 1, 0 and 4 times.
    rows, got = sampling_probability(np.array([3, 3, 1, 3, 3]), 3, batch_size=10)
    assert rows.tolist() == [1, 3]
    assert got.tolist() == [0.25, 1.0, 0.0]


def test_uniform_negatives_are_added_to_the_counts() -> None:
    # B = 6 events drawn among [1, 1, 2], K = 3 among 3 items: 6*2/3 + 1, 6*1/3 + 1, 0 + 1.
    rows, got = sampling_probability(np.array([1, 1, 2]), 3, batch_size=6, uniform_negatives=3)
    assert rows.tolist() == [1, 2]
    assert got == pytest.approx(np.array([5, 3, 1]) / 5)


def test_all_it_needs_follows_the_events_not_the_catalogue() -> None:
    rows, got = sampling_probability(np.array([7, 7, 2]), 10**15, 6, uniform_negatives=3)
    assert (len(rows), len(got)) == (2, 3)


def test_probability_is_how_often_an_item_is_in_a_random_batch() -> None:
    rng = np.random.default_rng(0)
    events = rng.choice(np.arange(1, 6), 400, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    drawn = Counter(rng.choice(events, 200_000).tolist())
    expected = np.array([drawn[row] for row in range(1, 6)]) / max(drawn.values())
    rows, got = sampling_probability(events, 5, batch_size=32)
    assert rows.tolist() == [1, 2, 3, 4, 5]
    assert got[:-1] == pytest.approx(expected, rel=0.05)
