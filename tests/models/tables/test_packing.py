"""Packed tables: grids by hand, look-ups, sizes, and that what is served is what was judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.recommenders.export import export
from models.tables.backend import tf
from models.tables.packing import PackedTable, packable, packing_of, rounded, served_bytes, settle
from tests.models.scoring import scored

TABLE = np.array(
    [[0, 0, 0, 0], [1.27, -0.634, 0.006, 0.0], [-2.54, 0.03, 1.0, 2.0], [0.1, 0.2, 0.3, 0.4]],
    np.float32,
)


def test_int8_steps_by_hand() -> None:
    # Row 1: one step is .01, so -.634 is -63 steps and .006 is 1; row 2: one step is .02.
    expected = [[0, 0, 0, 0], [1.27, -0.63, 0.01, 0.0], [-2.54, 0.04, 1.0, 2.0]]
    assert rounded(TABLE, "int8")[:3] == pytest.approx(np.array(expected), abs=1e-6)


def test_a_table_of_nobody_is_pruned_to_itself() -> None:
    np.testing.assert_array_equal(rounded(TABLE[:1], "pruned"), TABLE[:1])


def test_pruning_keeps_the_larger_half() -> None:
    # Magnitudes but for row 0: 0 .006 .03 .1 .2 .3 | .4 .634 1 1.27 2 2.54; the median is .35.
    expected = [[0, 0, 0, 0], [1.27, -0.634, 0, 0], [-2.54, 0, 1, 2], [0, 0, 0, 0.4]]
    assert rounded(TABLE, "pruned") == pytest.approx(np.array(expected), abs=1e-7)


@pytest.mark.parametrize("packing", ["float16", "int8", "pruned"])
def test_looking_up_gives_the_rounded_rows(packing: str) -> None:
    grid = rounded(TABLE, packing)
    packed = PackedTable(grid, packing)
    for rows in ([2, 0, 2, 3], [[1, 3], [0, 2]], []):
        index = np.array(rows, np.int64)
        got = packed.rows(tf.constant(index)).numpy()
        np.testing.assert_allclose(got, grid[index], rtol=1e-6)
        assert got.dtype == np.float32


@pytest.mark.parametrize("packing", ["float16", "int8", "pruned"])
def test_rounding_again_changes_nothing(packing: str) -> None:
    once = rounded(TABLE, packing)
    if packing != "pruned":  # the median of a pruned table is another one
        np.testing.assert_allclose(rounded(once, packing), once, rtol=1e-6)
    np.testing.assert_allclose(
        PackedTable(once, packing).rows(tf.range(4)).numpy(), once, rtol=1e-6
    )


def test_sizes_by_hand() -> None:
    table = np.ones((100, 64), np.float32)
    assert PackedTable(table, "int8").bytes == 100 * 64 + 100 * 4
    assert PackedTable(table, "float16").bytes == 100 * 64 * 2
    table[:, 32:] = 0
    assert PackedTable(table, "pruned").bytes == 100 * 32 * (4 + 1) + 101 * 8


def test_an_unknown_packing_is_named(model) -> None:
    with pytest.raises(ValueError, match=r"float16, int8, pruned. Received: 'int4'"):
        PackedTable(TABLE, "int4")
    with pytest.raises(ValueError, match=r"float32, float16, int8, pruned. Received: 'int4'"):
        settle(model._state, "int4")


@pytest.mark.parametrize("packing", ["float16", "int8", "pruned"])
def test_a_settled_model_serves_what_was_judged(model, world, packing: str, tmp_path: Path) -> None:
    state = model._state
    whole = served_bytes(state)
    settle(state, packing)
    assert packing_of(state) == packing
    before = scored(model, world.queries, world.items.item_keys)
    model.save(tmp_path / "saved")
    restored = type(model).restore(tmp_path / "saved")
    assert packing_of(restored._state) == packing
    assert served_bytes(restored._state) < whole
    export(restored._state, tmp_path / "exported")
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    rows = np.arange(1, len(model.item_keys) + 1)
    users = restored._state.users.rows(world.queries.user_keys)
    history = np.zeros((len(users), model.config.history_length), np.int64)
    kept = restored._state.items.rows(world.queries.history[:, : history.shape[1]])
    history[:, : kept.shape[1]] = kept
    got = loaded.signatures["scores"](
        user_row=tf.constant(users),
        history_rows=tf.constant(history),
        statistics=tf.constant(world.queries.statistics),
        candidate_rows=tf.constant(np.tile(rows, (len(users), 1))),
    )["scores"].numpy()
    place = restored._state.items.rows(world.items.item_keys) - 1
    np.testing.assert_allclose(got[:, place], before, atol=1e-5)
    stored = loaded.query_tables["user"]
    kinds = {"float16": "float16", "int8": "int8", "pruned": "uint8"}
    dtype = (stored.columns if packing == "pruned" else stored.values).dtype.name
    assert dtype == kinds[packing]


def test_biases_are_not_packed(model) -> None:
    assert "item_bias" not in packable(model._state.network)
    before = model.parameters()["item_bias"]
    settle(model._state, "int8")
    assert (model.parameters()["item_bias"] == before).all()
