import dataclasses

import numpy as np
import pytest

from models.data.queries import Items
from models.errors import BadTrainingData
from models.ids.growth import add_ids
from models.ids.starts import Groups, NewIds
from models.tables.backend import tf
from models.tables.optimizers import make_optimizer
from models.tables.state import ModelState
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.tiny import tiny_state


def everything(state: ModelState) -> dict[str, np.ndarray]:
    return {
        **{f"table {name}": array for name, array in state.parameters().items()},
        **{f"slot {name}": array for name, array in state.slots().items()},
        "item_words": state.network.content["item_words"].numpy(),
    }


def new_items(words: list[list[int]], first: int = 901) -> Items:
    table = np.array(words, np.int32).reshape(len(words), -1 if words else 1)
    return Items(first + np.arange(len(words)), table)


def test_old_rows_and_slots_stay_bit_identical(model: TwoTowerRecommender) -> None:
    state = model._state
    before = everything(state)
    assert model.add_ids(np.array([2001, 1001, 2002]), new_items([[1, 0, 0]] * 3)) == (2, 3)
    after = everything(state)
    for name, array in before.items():
        assert (after[name][: len(array)] == array).all(), name
    added = {name: len(after[name]) - len(before[name]) for name in before}
    of_items = {"item", "history", "item_bias"}
    for name, count in added.items():
        table = name.split()[-1].removesuffix("/accumulator")
        assert count == (2 if table == "user" else 3 if table in {*of_items, "item_words"} else 0)


def test_new_slots_start_at_the_initial_accumulator(model: TwoTowerRecommender) -> None:
    model.add_ids(np.array([2001]), new_items([[1, 0, 0]]))
    slots = model._state.slots()
    for name in ("user", "item", "history", "item_bias"):
        slot = slots[f"{name}/accumulator"]
        assert (slot[-1] == np.float32(model.config.initial_accumulator)).all()
        assert (slot[1:-1] != np.float32(model.config.initial_accumulator)).any()


def test_a_new_user_is_the_mean_user(model: TwoTowerRecommender) -> None:
    before = model.parameters()["user"]
    model.add_ids(np.array([2001]), Items(np.zeros(0, np.int64), np.zeros((0, 3), np.int32)))
    assert model.parameters()["user"][-1] == pytest.approx(before[1:].mean(axis=0), abs=1e-6)


def test_a_new_item_is_the_mean_of_items_that_share_its_words(model: TwoTowerRecommender) -> None:
    before = model.parameters()["item"]
    # Word 1 belongs to the first 15 items, and to no other.
    model.add_ids(np.zeros(0, np.int64), new_items([[1, 0, 0], [0, 0, 0], [31, 0, 0]]))
    after = model.parameters()["item"]
    assert after[-3] == pytest.approx(before[1:16].mean(axis=0), abs=1e-6)
    # No words, or words that no one has: the mean item.
    for row in (-2, -1):
        assert after[row] == pytest.approx(before[1:].mean(axis=0), abs=1e-6)


def test_a_new_item_is_the_mean_of_what_it_was_chosen_with(model: TwoTowerRecommender) -> None:
    before = model.parameters()
    # 901 came twice with 501 (row 1) and once with 520 (row 20); 902 came alone, but shares word 1
    # with the first 15; 903 shares nothing with anyone.
    groups = np.array([7, 7, 8, 8, 8, 9, 10])
    keys = np.array([901, 501, 501, 520, 901, 902, 903])
    model.add_ids(
        np.zeros(0, np.int64),
        new_items([[2, 0, 0], [1, 0, 0], [0, 0, 0]]),
        NewIds(start="cooccurrence"),
        cooccurrence=Groups(groups, keys),
    )
    for name in ("item", "history", "item_bias"):
        old, after = before[name], model.parameters()[name]
        assert after[-3] == pytest.approx((2 * old[1] + old[20]) / 3, abs=1e-6)
        assert after[-2] == pytest.approx(old[1:16].mean(axis=0), abs=1e-6)
        assert after[-1] == pytest.approx(old[1:].mean(axis=0), abs=1e-6)


def test_every_new_item_starts_as_the_mean_if_asked(model: TwoTowerRecommender) -> None:
    before = model.parameters()["item"]
    model.add_ids(np.zeros(0, np.int64), new_items([[1, 0, 0], [2, 0, 0]]), NewIds(start="mean"))
    for row in (-1, -2):
        assert model.parameters()["item"][row] == pytest.approx(before[1:].mean(axis=0), abs=1e-6)


def test_the_mean_of_a_large_table_is_that_of_rows_spread_over_all_of_it(model) -> None:
    """10,000 rows that rise from 0 to 1: their mean is 0.5, that of the first 4,096 is 0.2."""
    state = model._state
    state.network.tables["user"].assign(np.linspace(0, 1, 10_001)[:, None] * np.ones(8))
    state.users.extend(np.arange(2001, 2001 + 9_980))
    model.add_ids(np.array([90_000]), new_items([]))
    assert model.parameters()["user"][-1] == pytest.approx(np.full(8, 0.5), abs=1e-3)


def test_a_family_without_words_grows() -> None:
    """Its items start as the mean item; other content of new items is unknown: zeros."""
    state = tiny_state()
    state.network.content["shelf"] = tf.Variable(np.ones((6, 2), np.int64), shape=[None, 2])
    before = state.parameters()
    assert add_ids(state, np.array([10, 50]), new_items([[3, 0]])) == (1, 1)
    for name in ("user", "item"):
        after = state.parameters()[name]
        assert (after[:-1] == before[name]).all()
        assert after[-1] == pytest.approx(before[name][1:].mean(axis=0), abs=1e-6)
    assert state.network.content["shelf"].numpy().tolist() == [[1, 1]] * 6 + [[0, 0]]


def test_first_rows_are_as_wide_as_the_network_says() -> None:
    state = tiny_state()
    empty = ModelState.create(state.config, seed=0)
    for name, table in empty.network.tables.items():
        table.assign(table[: 1 if name in empty.network.keyed else None])
    empty.network.spreads |= {"user": 0.01, "item": 0.0}
    empty.optimizer = make_optimizer("sgd", empty.network.tables, 0.1)
    add_ids(empty, np.arange(1, 1001), new_items([[0]] * 5))
    assert empty.parameters()["user"][1:].std() == pytest.approx(0.01, rel=0.1)
    assert not empty.parameters()["item"][1:].any()


def test_growing_again_changes_nothing(model: TwoTowerRecommender, world) -> None:
    before = everything(model._state)
    assert model.add_ids(world.user_keys, world.items) == (0, 0)
    after = everything(model._state)
    assert all((after[name] == array).all() for name, array in before.items())


def test_first_rows_are_random_and_decided_by_the_seed(make_model) -> None:
    one, same, other = (make_model(trained=False, seed=s).parameters() for s in (1, 1, 2))
    for name in ("user", "item", "history"):
        assert (one[name] == same[name]).all()
        assert (one[name][1:] != other[name][1:]).any()
        assert np.linalg.norm(one[name][1:], axis=1).mean() == pytest.approx(1.0, abs=0.2)
        assert len(np.unique(one[name][1:], axis=0)) == len(one[name]) - 1
    assert (one["user"][1:21] != one["item"][1:21]).any()


def test_words_are_cut_or_padded_to_the_models_width(model: TwoTowerRecommender) -> None:
    model.add_ids(np.zeros(0, np.int64), Items(np.array([901]), np.array([[4, 5, 6, 7]], np.int32)))
    model.add_ids(np.zeros(0, np.int64), Items(np.array([902]), np.array([[4]], np.int32)))
    assert model._state.network.content["item_words"].numpy()[-2:].tolist() == [
        [4, 5, 6],
        [4, 0, 0],
    ]


def test_bad_input_is_refused_before_anything_grows(model: TwoTowerRecommender) -> None:
    before = everything(model._state)
    with pytest.raises(BadTrainingData, match=r"below word_buckets = 32. Received: 32"):
        model.add_ids(np.array([2001]), new_items([[32, 0, 0]]))
    with pytest.raises(BadTrainingData, match=r"positive. Received: 0"):
        model.add_ids(np.array([2001, 0]), new_items([[1, 0, 0]]))
    assert len(model.user_keys) == 20
    assert len(model.item_keys) == 30
    assert all((everything(model._state)[n] == a).all() for n, a in before.items())


def test_a_shared_table_has_no_history_rows_to_grow(make_model, world) -> None:
    config = dataclasses.replace(
        make_model(trained=False).config, shared_history_table=True, item_bias=False
    )
    model = make_model(config)
    assert set(model.parameters()) == {"user", "item", "word", "statistics"}
    model.add_ids(np.array([2001]), new_items([[1, 0, 0]]))
    assert len(model.parameters()["item"]) == 32
    assert add_ids(model._state, world.user_keys, world.items) == (0, 0)
