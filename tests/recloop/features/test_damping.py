"""What robots and bursts say is weighed down; what shops usually have is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop.features.damping import FEW, damping


def shop(people: int = 200, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Events of people of very unequal zeal on items of very unequal fame."""
    chance = np.random.default_rng(seed)
    counts = 1 + chance.poisson(chance.lognormal(1.0, 1.0, people))
    users = np.repeat(np.arange(people), counts)
    return users, chance.zipf(1.6, len(users)).clip(max=500)


def with_more(users: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    old_users, old_items = shop()
    return np.concatenate([old_users, users]), np.concatenate([old_items, items])


@pytest.mark.parametrize("seed", range(10))
def test_what_shops_usually_have_counts_whole(seed: int) -> None:
    assert (damping(*shop(seed=seed)) == 1).all()


def test_a_robot_counts_as_the_most_zealous_might_and_others_whole() -> None:
    users, items = with_more(np.full(2000, 999), np.arange(2000) % 50)
    found = damping(users, items)
    assert (found[users != 999] == 1).all()
    robot = found[users == 999]
    assert len(set(robot.round(12))) == 1
    honest = np.bincount(users[users != 999]).max()
    assert honest / 5 < robot.sum() < honest * 10


def test_many_names_on_one_item_count_as_ten_times_its_usual_share() -> None:
    names, target = np.arange(1000, 1600), 77
    users, items = with_more(names, np.full(600, target))
    found = damping(users, items)
    burst = np.isin(users, names)
    assert found[burst].sum() < 100
    others = (items == target) & ~burst
    assert (found[~burst & (items != target)] == 1).all()
    assert others.sum() == 0 or found[others].min() > 0


def test_a_hit_that_regulars_choose_too_is_no_burst() -> None:
    users, items = shop()
    chosen = users % 2 == 0
    items = np.where(chosen & (np.arange(len(items)) % 3 == 0), 7, items)
    comers = np.arange(5000, 5300)
    users = np.concatenate([users, comers])
    items = np.concatenate([items, np.full(300, 7)])
    assert (damping(users, items) == 1).all()


def test_of_few_users_nothing_can_be_told() -> None:
    users = np.repeat(np.arange(FEW - 1), [1] * (FEW - 2) + [5000])
    assert (damping(users, np.ones(len(users), np.int64)) == 1).all()
    nobody = np.zeros(0, np.int64)
    assert len(damping(nobody, nobody)) == 0


@given(
    pairs=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=400),
)
def test_a_weight_is_above_nothing_and_at_most_one(pairs) -> None:
    users, items = np.array(pairs, np.int64).reshape(-1, 2).T
    found = damping(users, items)
    assert ((found > 0) & (found <= 1)).all()
