import dataclasses

import numpy as np
import pytest

from models.data.queries import Items
from models.storage import checkpoint
from models.storage.checkpoint import average
from models.tables.backend import tf
from models.tables.state import ModelState
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.conftest import CONFIG
from tests.models.tiny import tiny_state

NO_KEYS = np.zeros(0, np.int64)


def release(users: dict[int, float], items: dict[int, float], base: float) -> ModelState:
    """A model whose row of key k is filled with the number given for it, and row 0 with `base`."""
    state = ModelState.create(tiny_state().config, seed=0)
    for name, vocabulary, rows in (
        ("user", state.users, users),
        ("item", state.items, items),
    ):
        vocabulary.extend(np.array(list(rows), np.int64))
        values = np.array([base, *rows.values()], np.float32)
        state.network.tables[name].assign(np.repeat(values[:, None], 2, axis=1))
        for slot in state.optimizer.slots:
            if slot.startswith(f"{name}/"):
                state.optimizer.slots[slot].assign(np.full((len(values), 2), 10 * base, np.float32))
    state.network.tables["base"].assign([base, -base])
    state.steps = int(base)
    return state


def test_rows_are_averaged_by_key_by_hand() -> None:
    """User 10 is row 1, 2 and 3; user 30 is only in the newest; user 50 has expired since."""
    old = release({10: 1.0, 20: 4.0, 50: 9.0}, {100: 1.0}, base=3.0)
    middle = release({20: 2.0, 10: 3.0}, {200: 5.0, 100: 2.0}, base=6.0)
    new = release({30: 7.0, 20: 9.0, 10: 8.0}, {200: 6.0, 100: 6.0}, base=9.0)
    got = average([old, middle, new])
    assert got.users.keys.tolist() == [30, 20, 10]
    assert got.items.keys.tolist() == [200, 100]
    tables = got.parameters()
    assert tables["user"].tolist() == [[6, 6], [7, 7], [5, 5], [4, 4]]
    assert tables["item"].tolist() == [[6, 6], [5.5, 5.5], [3, 3]]
    assert tables["base"].tolist() == [6, -6]
    assert (got.slots()["user/accumulator"] == 90).all()
    assert got.steps == 9
    assert got.origin == ""


def test_the_releases_are_left_alone() -> None:
    one, two = release({10: 1.0}, {100: 1.0}, 1.0), release({10: 2.0}, {100: 2.0}, 2.0)
    got = average([one, two])
    got.network.tables["user"].assign(tf.zeros([2, 2]))
    got.users.extend(np.array([20]))
    assert one.parameters()["user"].tolist() == [[1, 1], [1, 1]]
    assert two.parameters()["user"].tolist() == [[2, 2], [2, 2]]
    assert len(two.users) == 1


@pytest.mark.parametrize("times", [1, 2, 3, 7])
def test_the_mean_of_equals_is_bit_identical(model: TwoTowerRecommender, times) -> None:
    got = average([model._state] * times)
    for name, array in model.parameters().items():
        assert (got.parameters()[name] == array).all(), name


def test_folders_deltas_and_states_go_together(model, tmp_path, world, recipe) -> None:
    model.save(tmp_path / "one")
    model.add_ids(np.array([2001]), Items(np.array([901]), np.ones((1, 1), np.int32)))
    model.fit(world.queries, world.interactions, dataclasses.replace(recipe, epochs=1))
    model.save(tmp_path / "two", base=tmp_path / "one")
    states = [checkpoint.restore(tmp_path / name) for name in ("one", "two")]
    expected = checkpoint.to_arrays(average(states))
    mixed = average([tmp_path / "one", states[1]])
    for got in (average([tmp_path / "one", tmp_path / "two"]), mixed):
        for name, array in checkpoint.to_arrays(got).items():
            assert (array == expected[name]).all(), name
    one, two = (state.parameters()["item"] for state in states)
    assert expected["table/item"][:-1] == pytest.approx((one + two[:-1]) / 2, abs=1e-6)
    assert (expected["table/item"][-1] == two[-1]).all()


def test_an_average_is_saved_restored_and_trained_on(model, tmp_path, world, recipe) -> None:
    model.save(tmp_path / "one")
    averaged = TwoTowerRecommender(average([tmp_path / "one", model._state]))
    assert averaged.save(tmp_path / "two", base=tmp_path / "one") == "whole"
    again = TwoTowerRecommender.restore(tmp_path / "two")
    for each in (averaged, again):
        each.fit(world.queries, world.interactions, recipe)
    for name, array in averaged.parameters().items():
        assert (again.parameters()[name] == array).all(), name


def test_an_average_grows_and_is_trained_on_as_it_is(model, world, recipe) -> None:
    """Not only what was saved and restored between: new rows are noted as touched beside the old."""
    mean = TwoTowerRecommender(average([model._state, model._state]))
    mean.add_ids(np.array([2001]), Items(np.array([901]), np.array([[1, 0, 0]], np.int32)))
    mean.fit(world.queries, world.interactions, recipe)
    touched = mean._state.optimizer.touched
    for name, table in mean.parameters().items():
        assert len(touched[name].numpy()) == len(np.atleast_1d(table)), name


def test_nothing_is_refused(model) -> None:
    with pytest.raises(ValueError, match="at least one"):
        average([])


def test_releases_before_the_configuration_changed_are_passed_over(model) -> None:
    """A lineage goes on after `maintain = "student"`."""
    other = ModelState.create(dataclasses.replace(CONFIG, temperature=0.3), seed=1)
    expected = checkpoint.to_arrays(average([model._state]))
    for earlier in ([other], [model._state, other]):
        got = checkpoint.to_arrays(average([*earlier, model._state]))
        assert all((got[name] == array).all() for name, array in expected.items())
