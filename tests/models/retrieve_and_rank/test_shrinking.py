"""Smaller models: each kind does what its name says, and a student learns from its teacher."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from models.learning.recipes import Recipe
from models.recommenders.learner import footprint
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.retrieve_and_rank.shrinking import (
    KINDS,
    maintained,
    principal_axes,
    student_of,
    teach,
)
from models.tables.packing import packing_of, served_bytes
from tests.models.scoring import scored
from tests.models.tiny_two_stage import TOWERS, loyal, queries_of

pytestmark = pytest.mark.slow


def test_principal_axes_by_hand() -> None:
    # Rows along (3, 4) and, shorter, along (-4, 3): the first axis is (3, 4) / 5.
    axes = principal_axes([np.array([[3.0, 4.0], [0.4, -0.3]]), np.array([[6.0, 8.0]])], 1)
    assert np.abs(axes[:, 0]) == pytest.approx([0.6, 0.8], abs=1e-6)
    whole = principal_axes([np.eye(3) * [1, 2, 3]], 3)
    assert whole.T @ whole == pytest.approx(np.eye(3), abs=1e-6)


def test_a_student_of_tables_that_lie_in_few_dimensions_scores_the_same(cascade, world) -> None:
    teacher = cascade.towers
    for table in teacher.network.tables.values():
        if table.shape[1] == 8:
            flat = table.numpy()
            flat[:, 3:] = 0
            table.assign(flat)
    student = student_of(teacher, 3)
    queries = queries_of(world)
    small = RetrieveAndRank(
        dataclasses.replace(cascade.config, retrieval=student.config), student, cascade.ranker_state
    )
    np.testing.assert_allclose(
        scored(small, queries, cascade.item_keys),
        scored(cascade, queries, cascade.item_keys),
        atol=2e-3,
    )
    assert student.network.tables["user"].shape[1] == 3


def test_teaching_brings_a_student_nearer_to_its_teacher(cascade, world) -> None:
    student = student_of(cascade.towers, 4)
    recipe = Recipe(epochs=6, learning_rate=0.05, batch_size=5)
    divergence = teach(student, cascade.towers, queries_of(world), recipe)
    assert len(divergence) == 6
    assert divergence[-1] < 0.7 * divergence[0]
    assert all(value >= -1e-5 for value in divergence)


def test_a_student_cannot_be_as_wide_as_its_teacher(cascade) -> None:
    with pytest.raises(ValueError, match=r"from 1 to 7, below the teacher's. Received: 8"):
        student_of(cascade.towers, 8)


@pytest.mark.parametrize(
    ("kind", "packing"),
    [("prune", "pruned"), ("float16", "float16"), ("int8", "int8"), ("none", "float32")],
)
def test_a_maintained_model_is_on_its_grid_and_says_so(cascade, world, kind, packing) -> None:
    before = served_bytes(cascade.towers)
    model = maintained(cascade, kind, queries_of(world))
    assert packing_of(model.towers) == packing
    assert (served_bytes(model.towers) < before) == (kind != "none")


def test_the_grid_is_kept_through_learning_until_another_is_asked_for(cascade, world) -> None:
    queries = queries_of(world)
    model = maintained(cascade, "float16", queries)
    model.fit(queries, loyal(world), TOWERS)
    table = model.parameters()["user"]
    assert (table != table.astype(np.float16)).any()  # learning leaves the grid
    model = maintained(model, "none", queries)
    table = model.parameters()["user"]
    assert (table == table.astype(np.float16)).all()
    assert packing_of(maintained(model, "float32", queries).towers) == "float32"


def test_a_student_takes_over_with_half_the_dimensions_and_goes_on(
    cascade, world, tmp_path: Path
) -> None:
    queries = queries_of(world)
    cascade.towers.extra["waiting/items"] = np.array([999])
    model = maintained(cascade, "student", queries)
    assert model.towers.extra["waiting/items"] == [999]
    assert model.config.retrieval.dimension == 4
    assert model.item_keys.tolist() == cascade.item_keys.tolist()
    model.save(tmp_path / "student")
    again = RetrieveAndRank.restore(tmp_path / "student")
    keys, scores = again.top_k(queries, 5)
    expected = model.top_k(queries, 5)
    assert keys.tolist() == expected[0].tolist()
    np.testing.assert_array_equal(scores, expected[1])
    again.fit(queries, loyal(world), TOWERS)
    assert np.isfinite(scored(again, queries, again.item_keys)).all()


def test_what_serving_costs_is_measured(cascade, world) -> None:
    queries = queries_of(world)
    whole = footprint(cascade, queries)
    assert whole.milliseconds > 0
    assert whole.bytes == served_bytes(cascade.towers) + served_bytes(cascade.ranker_state)
    small = footprint(maintained(cascade, "float16", queries), queries)
    assert small.bytes < whole.bytes
    assert footprint(cascade, queries.take(slice(0, 0))).milliseconds == 0


def test_an_unknown_kind_is_named(cascade, world) -> None:
    with pytest.raises(ValueError, match=r"none, prune, float16, int8, float32, student. .*'int4'"):
        maintained(cascade, "int4", queries_of(world))
    assert "student" in KINDS
