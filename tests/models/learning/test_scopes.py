"""What is out of scope stays bit-identical, whatever the optimizer; what is in it moves."""

import dataclasses

import numpy as np
import pytest

from models.data.queries import Interactions
from models.errors import BadTrainingData
from models.learning.recipes import OPTIMIZERS, SCOPES, Recipe
from models.learning.scopes import scope_of
from models.learning.training import fit
from models.tables.state import ModelState
from tests.models.conftest import CONFIG
from tests.models.tiny import ITEMS, USERS, TinyBatches, tiny_state

pytestmark = pytest.mark.slow

SIZES = {"users": USERS + 1, "items": ITEMS + 1}
RECIPE = Recipe(epochs=2, learning_rate=0.05, batch_size=2)

# (user, item, negative, label): users 1 and 3, items 2 and 5; 1 and 4 are negatives only.
EXAMPLES = [(1, 2, 1, 1.0), (3, 5, 4, 0.0), (1, 5, 1, 0.5), (3, 2, 4, 1.0)]

IN_SCOPE = {
    "everything": {"user": [1, 3], "item": [1, 2, 4, 5], "base": [0, 1], "head": [0, 1]},
    "embeddings": {"user": [1, 3], "item": [1, 2, 4, 5]},
    "ids": {"user": [1, 3], "item": [1, 2, 4, 5]},
    "users": {"user": [1, 3]},
    "items": {"item": [1, 2, 4, 5]},
    "touched": {"user": [1, 3], "item": [2, 5]},
    "head": {"head": [0, 1]},
}
"""The rows that an update on EXAMPLES moves, by table; nothing else may."""


def give_slots_a_past(state: ModelState) -> None:
    """Slots that would move or decay rows, if they were let to."""
    rng = np.random.default_rng(5)
    for slot in state.optimizer.slots.values():
        slot.assign(rng.uniform(0.5, 1.5, slot.numpy().shape).astype(np.float32))


def moved(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> dict[str, list[int]]:
    """Rows of which any bit differs, by array; arrays without such rows are left out."""
    changed = {
        name: np.flatnonzero((after[name] != array).reshape(len(array), -1).any(axis=1)).tolist()
        for name, array in before.items()
    }
    return {name: rows for name, rows in changed.items() if rows}


def test_all_scopes_are_tested() -> None:
    assert tuple(IN_SCOPE) == SCOPES


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("scope", SCOPES)
def test_only_the_scope_moves(scope, optimizer) -> None:
    state = tiny_state()
    recipe = dataclasses.replace(RECIPE, optimizer=optimizer, scope=scope)
    # The first makes the optimizer, and its slots; the second is watched.
    fit(state, TinyBatches(EXAMPLES), dataclasses.replace(recipe, epochs=1))
    give_slots_a_past(state)
    tables, slots = state.parameters(), state.slots()
    fit(state, TinyBatches(EXAMPLES), recipe)
    assert moved(tables, state.parameters()) == IN_SCOPE[scope]
    expected = {name: IN_SCOPE[scope].get(name.split("/")[0]) for name in slots}
    assert moved(slots, state.slots()) == {name: rows for name, rows in expected.items() if rows}


@pytest.mark.parametrize(
    ("scope", "optimizer"),
    [("touched", optimizer) for optimizer in OPTIMIZERS]
    + [("users", "adam"), ("items", "momentum"), ("embeddings", "adam"), ("ids", "adam")],
)
def test_on_the_two_tower(make_model, world, scope, optimizer) -> None:
    """Users 1001 and 1003 (rows 1 and 3) bought items 501 and 502 (rows 1 and 2); their histories
    are among rows 1 to 15, and 8 items of 30 are drawn as negatives at each step."""
    model = make_model(dataclasses.replace(CONFIG, uniform_negatives=8), trained=False)
    state = model._state
    recipe = Recipe(
        epochs=2, learning_rate=0.05, batch_size=4, scope=scope, optimizer=optimizer, seed=1
    )
    bought = Interactions(
        np.array([0, 2, 0], np.int32), np.array([501, 502, 502]), np.ones(3, np.float32)
    )
    model.fit(world.queries, bought, dataclasses.replace(recipe, epochs=1))
    give_slots_a_past(state)
    tables, slots = state.parameters(), state.slots()
    model.fit(world.queries, bought, recipe)
    tables_moved, slots_moved = moved(tables, state.parameters()), moved(slots, state.slots())
    if scope == "touched":
        assert tables_moved.pop("user") == [1, 3]
        for name, rows in tables_moved.items():
            assert name in ("item", "history", "item_bias")
            assert set(rows) <= {1, 2}
        assert tables_moved["item"] == [1, 2]
    elif scope == "users":
        assert tables_moved == {"user": [1, 3]}
    elif scope == "items":
        assert set(tables_moved) == {"item", "history", "item_bias"}
        assert len(tables_moved["item"]) > 2  # negatives, too
    elif scope == "ids":
        assert set(tables_moved) == {"user", "item", "history", "item_bias"}
    else:
        assert set(tables_moved) == {"user", "item", "history", "item_bias", "word"}
    for name, rows in slots_moved.items():
        allowed = [1, 3] if name.startswith("user") else [1, 2]
        assert name.split("/")[0] in {"user", *tables_moved}
        assert scope != "touched" or set(rows) <= set(allowed), name


def test_an_unknown_scope_is_refused() -> None:
    network = tiny_state().network
    with pytest.raises(ValueError, match=r"everything, embeddings.*head. Received: 'some'"):
        scope_of("some", network, TinyBatches(EXAMPLES), SIZES)


def test_a_family_without_a_head_says_what_to_do() -> None:
    state = tiny_state(head=False)
    optimizer, before = state.optimizer, state.parameters()
    with pytest.raises(ValueError, match=r"tiny model has no table of a task-adapter head.*Choose"):
        fit(
            state,
            TinyBatches(EXAMPLES),
            dataclasses.replace(RECIPE, scope="head", optimizer="adam"),
        )
    assert moved(before, state.parameters()) == {}
    assert state.optimizer is optimizer


@pytest.mark.parametrize("scope", ["users", "items", "embeddings"])
def test_a_family_without_such_tables_says_so(scope) -> None:
    network = tiny_state().network
    network.keyed, network.embeddings = {}, ()
    with pytest.raises(ValueError, match=rf"no table.*`scope` = '{scope}' would train nothing"):
        scope_of(scope, network, TinyBatches(EXAMPLES), SIZES)


def test_touching_nothing_is_refused(monkeypatch) -> None:
    batches = TinyBatches(EXAMPLES)
    monkeypatch.setattr(batches, "touched", lambda: {"users": np.zeros(0, np.int64)})
    with pytest.raises(BadTrainingData, match=r"no user and no item.*Add the window"):
        scope_of("touched", tiny_state().network, batches, SIZES)


def test_touched_leaves_out_an_entity_that_no_example_is_about() -> None:
    batches = TinyBatches(EXAMPLES)
    batches.touched = lambda: {"users": np.array([2])}
    scope = scope_of("touched", tiny_state().network, batches, SIZES)
    assert scope.tables == ("user",)
    assert scope.rows["user"].tolist() == [False, False, True, False, False]
