"""Graphs are traced once for all models of one configuration, and run on each model's own tables."""

import dataclasses
import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from models.learning import graphs
from models.tables.backend import tf
from models.tables.state import ModelState
from models.two_tower.two_tower import TwoTower
from tests.models.contract import FAMILIES, RECIPE, WORLD

pytestmark = pytest.mark.slow

TOWERS = FAMILIES["two_tower"]()


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One entry for each time that the towers' loss is traced; no graph is known before."""
    graphs._graphs.clear()
    seen: list[int] = []
    loss = TwoTower.compute_loss

    def counted(network: TwoTower, *arguments: object, **named: object) -> object:
        seen.append(1)
        return loss(network, *arguments, **named)

    monkeypatch.setattr(TwoTower, "compute_loss", counted)
    yield seen
    graphs._graphs.clear()


def tables(state: ModelState) -> dict[str, np.ndarray]:
    return state.parameters() | state.slots()


def test_a_second_model_runs_the_first_one_s_graph_on_its_own_tables(traces: list[int]) -> None:
    first, second = TOWERS.create(7), TOWERS.create(8)
    TOWERS.fit(first, RECIPE)
    once = len(traces)
    kept = tables(first._state)
    TOWERS.fit(second, RECIPE)
    assert len(traces) == once > 0
    for name, table in tables(first._state).items():
        assert np.array_equal(table, kept[name]), f"{name} of the first model moved"

    graphs._graphs.clear()
    alone = TOWERS.create(8)
    TOWERS.fit(alone, RECIPE)
    assert len(traces) == 2 * once
    for name, table in tables(alone._state).items():
        assert np.array_equal(tables(second._state)[name], table), name


def test_another_configuration_or_optimizer_has_a_graph_of_its_own(traces: list[int]) -> None:
    TOWERS.fit(TOWERS.create(), RECIPE)
    once = len(traces)
    TOWERS.fit(TOWERS.create(), dataclasses.replace(RECIPE, optimizer="adam"))
    assert len(traces) == 2 * once
    warmer = TOWERS.facade.create(dataclasses.replace(TOWERS.config, temperature=0.7), 7)
    warmer.add_ids(WORLD.user_keys, WORLD.items)
    TOWERS.fit(warmer, RECIPE)
    assert len(traces) == 3 * once


def test_a_graph_does_not_keep_the_model_that_it_was_traced_with(traces: list[int]) -> None:
    first = TOWERS.create(7)
    TOWERS.fit(first, RECIPE)
    once = len(traces)
    gone = weakref.ref(first._state.network.tables["item"])
    del first
    gc.collect()
    assert gone() is None
    second = TOWERS.create(8)
    TOWERS.fit(second, RECIPE)
    assert len(traces) == once


def test_what_a_graph_captures_besides_variables_ties_it_to_its_model() -> None:
    """Such as a packed table's arrays, which are another model's values."""

    def answer(model, other: float) -> float:  # type: ignore[no-untyped-def]
        constant = tf.constant(np.full(200, other, np.float32))  # large: captured, not embedded
        graph = tf.function(lambda: tf.reduce_sum(constant))
        return float(graphs.compiled(model._state, "sum", graph.get_concrete_function)())

    assert answer(TOWERS.create(), 1.0) == 200
    assert answer(TOWERS.create(), 2.0) == 400
