"""What an optimizer carries from one update to the next, and what training makes of it."""

import dataclasses

import pytest

from models.errors import NonFiniteWeights
from models.learning import recipes
from models.learning.training import fit
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.tiny import TinyBatches, tiny_state

pytestmark = pytest.mark.slow


@pytest.fixture(params=("adagrad", "adam", "momentum", "rmsprop", "sgd"))
def kind(request) -> str:
    return request.param


def test_carries_its_state_through_a_checkpoint(kind, make_model, world, recipe, tmp_path) -> None:
    recipe = dataclasses.replace(recipe, epochs=1, optimizer=kind, learning_rate=0.01)
    model = make_model(trained=False)
    model.fit(world.queries, world.interactions, recipe)
    model.save(tmp_path / "model")
    restored = TwoTowerRecommender.restore(tmp_path / "model")
    slots = model._state.slots()
    assert (len(slots) == 0) == (kind == "sgd")
    for one in (model, restored):
        one.fit(world.queries, world.interactions, recipe)
    for name, array in model.parameters().items():
        assert (restored.parameters()[name] == array).all(), name
    for name, array in model._state.slots().items():
        assert (restored._state.slots()[name] == array).all(), name
        assert (array != slots[name]).any(), name


EXAMPLES = TinyBatches([(1, 1, 2, 1.0), (2, 3, 4, 0.0), (3, 5, 1, 1.0), (1, 2, 3, 0.5)])
RECIPE = recipes.Recipe(epochs=2, learning_rate=0.05, batch_size=2)


def test_learns(kind) -> None:
    state = tiny_state()
    recipe = dataclasses.replace(RECIPE, epochs=30, optimizer=kind, learning_rate=0.02)
    report = fit(state, EXAMPLES, recipe)
    assert report.last_loss < 0.5 * report.first_loss


def test_another_optimizer_starts_fresh(kind) -> None:
    other = "adam" if kind != "adam" else "adagrad"
    state, fresh = tiny_state(), tiny_state()
    fit(state, EXAMPLES, dataclasses.replace(RECIPE, optimizer=other))
    for name, table in state.network.tables.items():
        fresh.network.tables[name].assign(table)
    fresh.steps = state.steps
    for one in (state, fresh):
        fit(one, EXAMPLES, dataclasses.replace(RECIPE, optimizer=kind))
        assert one.optimizer.kind == kind
    for name, array in state.parameters().items():
        assert (array == fresh.parameters()[name]).all(), name
    for name, array in state.slots().items():
        assert (array == fresh.slots()[name]).all(), name


def test_a_gradient_that_is_not_finite_is_named() -> None:
    """The square of 1e19 is finite in float32; that of its gradient is not."""
    state = tiny_state()
    batches = TinyBatches([(1, 1, 2, 1e19), (1, 1, 2, 0.0)])
    with pytest.raises(NonFiniteWeights, match=r"gradient's norm became inf in epoch 1.*clip_norm"):
        fit(state, batches, dataclasses.replace(RECIPE, epochs=1))
