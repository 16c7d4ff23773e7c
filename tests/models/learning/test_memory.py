"""What is kept, and with which probability. No TensorFlow."""

import itertools

import numpy as np
import pytest

from models.learning.memory import Memory, update


def examples(item_keys, **others) -> dict[str, np.ndarray]:
    return {"item_keys": np.array(item_keys, np.int64), **others}


def offer(memory, item_keys, kind="uniform", capacity=4, day=0.0, seed=1, **others):
    return update(memory, examples(item_keys), kind, capacity, day, 28.0, seed, **others)


def stream(seed: int, sizes, capacity: int) -> Memory:
    """Examples 0, 1, 2, … in windows of these sizes, through one uniform memory."""
    memory, first = None, 0
    for size in sizes:
        memory = offer(memory, np.arange(first, first + size), capacity=capacity, seed=seed)
        first += size
    return memory


def test_keeps_all_until_it_is_full_and_then_as_many_as_it_may() -> None:
    memory = offer(None, [11, 12, 13], capacity=4)
    assert memory.examples["item_keys"].tolist() == [11, 12, 13]
    memory = offer(memory, [14, 15, 16], capacity=4)
    assert len(memory) == 4
    assert memory.seen == 6
    kept = memory.examples["item_keys"]
    assert (np.diff(kept) > 0).all()  # oldest first


def test_a_smaller_capacity_shrinks_what_is_there() -> None:
    memory = offer(offer(None, range(10), capacity=10), [10], capacity=3)
    assert len(memory) == 3
    assert memory.seen == 11


def test_the_reservoir_is_uniform_over_the_whole_stream() -> None:
    """Chi-square with 11 degrees of freedom: 31.3 is exceeded once in a thousand times."""
    runs, capacity, sizes = 1500, 3, (5, 1, 4, 2)
    counts = np.zeros(12)
    for seed in range(runs):
        counts[stream(seed, sizes, capacity).examples["item_keys"]] += 1
    expected = runs * capacity / 12
    # Of a sample without replacement the statistic is smaller by (N - n) / (N - 1) = 9 / 11.
    chi_square = ((counts - expected) ** 2 / expected).sum() * 11 / 9
    assert counts.sum() == runs * capacity
    assert chi_square < 31.3


def test_every_subset_is_as_likely() -> None:
    """Algorithm R draws each of the C(5, 2) = 10 pairs alike; 9 degrees of freedom, p = 0.001."""
    runs = 1500
    pairs = dict.fromkeys(itertools.combinations(range(5), 2), 0)
    for seed in range(runs):
        pairs[tuple(stream(seed, (3, 2), 2).examples["item_keys"].tolist())] += 1
    chi_square = sum((count - runs / 10) ** 2 / (runs / 10) for count in pairs.values())
    assert chi_square < 27.9


def test_recency_halves_an_examples_chance_with_each_half_life() -> None:
    """Three examples, 0, 28 and 56 days old, weigh 4 : 2 : 1. Of one place each is the first drawn
    with probability 4/7, 2/7, 1/7; of two, the oldest has 1/7 + 4/7 * 1/3 + 2/7 * 1/5."""
    runs = 1500
    one, two = np.zeros(3), np.zeros(3)
    for seed in range(runs):
        for capacity, counts in ((1, one), (2, two)):
            memory = None
            for item, day in ((0, 100.0), (1, 128.0), (2, 156.0)):
                memory = offer(memory, [item], "recency", capacity, day, seed)
            counts[memory.examples["item_keys"]] += 1
    # Standard deviation of a share: at most sqrt(1/4 / 1500) = 0.013.
    assert one / runs == pytest.approx([1 / 7, 2 / 7, 4 / 7], abs=0.045)
    assert two[0] / runs == pytest.approx(1 / 7 + 4 / 7 / 3 + 2 / 7 / 5, abs=0.045)


def test_days_may_differ_within_an_update_and_be_far_from_the_first() -> None:
    days = np.array([0.0, 1e5])
    kept = update(None, examples([1, 2]), "recency", 1, days, 7.0, seed=0)
    assert kept.examples["item_keys"].tolist() == [2]
    assert kept.days.tolist() == [1e5]


def test_a_group_is_kept_or_dropped_as_a_whole() -> None:
    for seed in range(20):
        memory = None
        for low in (0, 8):  # two updates of four baskets of two, each numbered 0 to 3
            new = examples(range(low, low + 8), group=np.repeat(np.arange(4), 2))
            memory = update(memory, new, "uniform", 6, 0.0, 28.0, seed)
        baskets = memory.examples["item_keys"].reshape(3, 2)
        assert (baskets[:, 0] % 2 == 0).all()
        assert (baskets[:, 1] == baskets[:, 0] + 1).all()
        assert len(np.unique(memory.examples["group"])) == 3


def test_the_same_seed_keeps_the_same_and_another_others() -> None:
    kept = [stream(seed, (50, 50), 20).examples["item_keys"].tolist() for seed in (1, 1, 2)]
    assert kept[0] == kept[1] != kept[2]


def test_the_kind_may_change_between_updates() -> None:
    memory = stream(3, (50,), 20)
    for kind in ("recency", "herding", "uniform"):
        memory = offer(
            memory,
            range(100, 130),
            kind,
            20,
            300.0,
            vectors_of=lambda e: np.eye(len(e["item_keys"])),
        )
        assert len(memory) == 20
    assert memory.seen == 140


def test_arrays_and_back() -> None:
    memory = stream(5, (6,), 4)
    arrays = memory.to_arrays()
    again = Memory.of({**arrays, "seen_day/items": np.zeros(3)})
    assert sorted(arrays) == [
        "memory/days",
        "memory/example/item_keys",
        "memory/luck",
        "memory/seen",
    ]
    assert again.examples.keys() == memory.examples.keys()
    assert (again.examples["item_keys"] == memory.examples["item_keys"]).all()
    assert (again.draws == memory.draws).all()
    assert (again.days == memory.days).all()
    assert again.seen == 6
    assert Memory.of({"seen_day/items": np.zeros(3)}) is None


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(
        ValueError, match=r"should be uniform, recency or herding. Received: 'fifo'"
    ):
        offer(None, range(9), "fifo")
    with pytest.raises(ValueError, match=r"should be positive. Received: 0 and 28.0"):
        offer(None, range(9), capacity=0)
    with pytest.raises(ValueError, match="Pass `vectors_of`"):
        offer(None, range(9), "herding")
    with pytest.raises(
        ValueError, match=r"the arrays \['item_keys', 'user'\], the remembered ones"
    ):
        update(offer(None, [1]), examples([1], user=np.ones(1)), "uniform", 4, 0.0, 28.0, 1)
    with pytest.raises(ValueError, match=r"arrays of one length. Received: .*'user': 2"):
        update(None, examples([1], user=np.ones(2)), "uniform", 4, 0.0, 28.0, 1)
