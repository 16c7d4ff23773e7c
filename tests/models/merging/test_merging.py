"""Merging: by hand on a tiny model, by rules that must hold for any parts, and against training."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.put_back import put_back
from models.learning import training
from models.learning.recipes import OPTIMIZERS, Recipe
from models.merging.merging import Mark, Part, discount, merge, part_of
from models.storage import checkpoint
from models.tables.state import ModelState
from tests.models.tiny import ITEMS, USERS, TinyBatches, tiny_state

pytestmark = pytest.mark.slow

EXAMPLES = [(1, 2, 3, 1.0), (2, 1, 4, 0.0), (1, 1, 2, 1.0), (3, 5, 1, 0.5)]
RECIPE = Recipe(epochs=2, learning_rate=0.1, batch_size=2, seed=5)


def part(
    examples: float,
    users: dict[int, tuple[float, float]] | None = None,
    items: dict[int, tuple[float, float]] | None = None,
    base: float = 0.0,
    steps: int = 1,
    optimizer: str = "adagrad",
) -> Part:
    """Rows by key: (times touched, change of both columns); accumulators grow by ten times as much."""
    rows = {"user": users or {}, "item": items or {}}
    keys = {"user": "users", "item": "items"}
    tables = {
        name: np.array([[c, c] for _, c in given.values()], np.float32).reshape(-1, 2)
        for name, given in rows.items()
    }
    tables |= {"base": np.full(2, base, np.float32), "head": np.zeros(2, np.float32)}
    return Part(
        examples=examples,
        steps=steps,
        optimizer=optimizer,
        keys={keys[name]: np.array(list(given), np.int64) for name, given in rows.items()},
        times={
            name: np.array([n for n, _ in given.values()], np.float32)
            for name, given in rows.items()
        },
        tables=tables,
        slots={f"{name}/accumulator": 10 * abs(table) for name, table in tables.items()},
    )


def changes(state: ModelState, mark: Mark) -> dict[str, list[float]]:
    """First columns of what has changed, all rows; slots too."""
    after = {**state.parameters(), **state.slots()}
    before = {**mark.tables, **mark.slots}
    found = {name: array - before[name] for name, array in after.items()}
    return {name: np.round(a.reshape(len(a), -1)[:, 0], 5).tolist() for name, a in found.items()}


def test_rows_by_times_touched_dense_by_examples_accumulators_summed_by_hand() -> None:
    state = tiny_state()
    mark = Mark.of(state)
    one = part(30, {10: (5, 0.5)}, {100: (3, 1.0), 200: (0, 2.0), 400: (0, 4.0)}, base=1.0)
    two = part(
        10, {20: (1, 0.25)}, {100: (1, 5.0), 300: (2, 8.0), 400: (0, 8.0)}, base=5.0, steps=2
    )
    merge(state, [one, two])
    moved = changes(state, mark)
    # 10 and 20 are of one part each.
    assert moved["user"] == [0, 0.5, 0.25, 0, 0]
    # 100: (3 * 1 + 1 * 5) / 4; 200 and 300: of one part each; 400: (30 * 4 + 10 * 8) / 40.
    assert moved["item"] == [0, 2, 2, 8, 5, 0]
    assert moved["base"] == [2, 2]
    assert moved["head"] == [0, 0]
    assert moved["item/accumulator"] == [0, 60, 20, 80, 120, 0]
    assert moved["base/accumulator"] == [60, 60]
    assert state.steps == 3


def test_a_row_that_was_touched_here_and_pushed_there_takes_what_touched_it() -> None:
    state = tiny_state()
    mark = Mark.of(state)
    merge(state, [part(10, items={100: (2, 1.0)}), part(90, items={100: (0, -9.0)})])
    assert changes(state, mark)["item"] == [0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(("pushed", "expected"), [(0.0, 1.0), (1.0, -2.0), (4.0, -3.8)])
def test_a_push_is_worth_so_many_touches_by_hand(pushed: float, expected: float) -> None:
    """Touched twice by the one, pushed by the other. With 1: (3 * 1 - 1 * 11) / 4."""
    state = tiny_state()
    mark = Mark.of(state)
    given = [part(10, {10: (1, 0.5)}, {100: (2, 1.0)}), part(10, items={100: (0, -11.0)})]
    merge(state, given, pushed=pushed)
    assert changes(state, mark)["item"] == pytest.approx([0, expected, 0, 0, 0, 0])
    assert changes(state, mark)["user"] == [0, 0.5, 0, 0, 0], "of one part"


def test_what_nothing_changed_stays_bit_identical() -> None:
    state = tiny_state()
    mark = Mark.of(state)
    merge(state, [part(3, {10: (1, 0.1)}, {500: (2, 0.1)}), part(4, {}, {500: (1, 0.2)})])
    for name, rows in (("user", [0, 2, 3, 4]), ("item", [0, 1, 2, 3, 4])):
        assert (state.parameters()[name][rows] == mark.tables[name][rows]).all()
        slot = f"{name}/accumulator"
        assert (state.slots()[slot][rows] == mark.slots[slot][rows]).all()


def test_rows_are_found_by_key_and_unknown_keys_are_passed_over() -> None:
    state = ModelState.create(tiny_state().config, 0)
    state.users.extend(np.array([40, 30, 20, 10]))
    state.items.extend(np.array([500, 100, 200, 300, 400]))
    mark = Mark.of(state)
    merge(state, [part(5, {10: (1, 0.5), 77: (1, 9.0)}, {0: (0, 3.0), 100: (1, 0.25)})])
    assert changes(state, mark)["user"] == [0, 0, 0, 0, 0.5]
    assert changes(state, mark)["item"] == [3, 0, 0.25, 0, 0, 0]


def test_a_stale_part_counts_for_less_by_hand() -> None:
    """The share is by examples, (3, 1) of 4; the second part's is halved."""
    state = tiny_state()
    mark = Mark.of(state)
    merge(state, [part(3, base=4.0), part(1, {10: (1, 1.0)}, base=8.0)], [1.0, discount(1, 2)])
    moved = changes(state, mark)
    assert moved["base"] == [4, 4]  # 3/4 * 4 + 1/4 * 8 / 2
    assert moved["user"] == [0, 0.5, 0, 0, 0]
    assert moved["user/accumulator"] == [0, 5, 0, 0, 0]


def test_a_mean_of_several_workers_is_stretched_by_hand() -> None:
    """Shares of item 100: 3/4 and 1/4, as of 1 / (9/16 + 1/16) = 1.6 workers. One has the others."""
    one = part(30, {10: (1, 0.5)}, {100: (3, 1.0)}, base=1.0)
    two = part(10, {20: (1, 0.25)}, {100: (1, 5.0), 300: (2, 8.0)}, base=5.0)
    for stretch, item, base in ((0.0, 2.0, 2.0), (0.5, 2.52982, 2.52982), (1.0, 3.2, 3.2)):
        state = tiny_state()
        mark = Mark.of(state)
        merge(state, [one, two], stretch=stretch)
        moved = changes(state, mark)
        assert moved["item"] == pytest.approx([0, item, 0, 8, 0, 0], abs=1e-5)
        assert moved["user"] == [0, 0.5, 0.25, 0, 0]
        assert moved["base"] == pytest.approx([base, base], abs=1e-5)
        assert moved["item/accumulator"] == [0, 60, 0, 80, 0, 0], "sums are sums"


def test_staleness_is_bounded() -> None:
    assert [discount(n, 3) for n in range(4)] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    for staleness in (1, -1):
        with pytest.raises(ValueError, match="of at most 0 before"):
            discount(staleness, 0)


def test_parts_that_say_nothing_of_times_and_slots_are_weighed_by_examples() -> None:
    state = tiny_state()
    mark = Mark.of(state)
    silent = dataclasses.replace(part(30, items={100: (9, 4.0)}), times={}, slots={})
    del silent.tables["user"]
    merge(state, [part(10, items={100: (1, 8.0), 200: (1, 2.0)}), silent])
    assert changes(state, mark)["item"] == [0, 5, 2, 0, 0, 0]
    assert changes(state, mark)["item/accumulator"] == [0, 80, 20, 0, 0, 0]


def test_nothing_to_merge_changes_nothing() -> None:
    state = tiny_state()
    mark = Mark.of(state)
    merge(state, [])
    merge(state, [part(0, steps=0)])
    assert all(not any(values) for values in changes(state, mark).values())
    assert state.steps == 0


def test_parts_of_different_trainings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\['adagrad', 'sgd'\]"):
        merge(tiny_state(), [part(1), part(1, optimizer="sgd")])
    strange = dataclasses.replace(part(1), tables={"taste": np.zeros((0, 2), np.float32)})
    with pytest.raises(ValueError, match=r"and \['taste'\]"):
        merge(tiny_state(), [strange])


def trained(state: ModelState, examples=EXAMPLES, **changes) -> Part:
    """Trains the state; what it learned, with the times that each row was an example's."""
    mark = Mark.of(state)
    batches = TinyBatches(examples)
    training.fit(state, batches, dataclasses.replace(RECIPE, **changes))
    users, items = (np.array(column) for column in list(zip(*examples, strict=True))[:2])
    times = {
        "user": np.bincount(users, minlength=USERS + 1),
        "item": np.bincount(items, minlength=ITEMS + 1),
    }
    return part_of(state, mark, len(examples), times)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_part_alone_gives_what_its_worker_has(optimizer: str) -> None:
    """To the rounding of a difference; where the optimizer is another than before, too."""
    worker, merged = tiny_state(), tiny_state()
    learned = trained(worker, optimizer=optimizer)
    merge(merged, [learned])
    assert merged.optimizer.kind == optimizer
    assert merged.steps == worker.steps == 4
    expected, got = checkpoint.to_arrays(worker), checkpoint.to_arrays(merged)
    assert expected.keys() == got.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-6, atol=1e-6, err_msg=name)


def test_a_part_holds_the_rows_that_changed_and_how_often_they_were_touched() -> None:
    """User 4 is in no example; items 3 and 4 are negatives only."""
    learned = trained(tiny_state())
    assert learned.keys["users"].tolist() == [10, 20, 30]
    assert learned.times["user"].tolist() == [2, 1, 1]
    assert learned.keys["items"].tolist() == [100, 200, 300, 400, 500]
    assert learned.times["item"].tolist() == [2, 1, 0, 0, 1]
    assert learned.examples == 4


def test_workers_with_disjoint_rows_give_what_both_have() -> None:
    """Where nothing is shared but the dense tables, rows are exactly those of training alone."""
    halves = ([(1, 1, 2, 1.0), (2, 2, 1, 0.0)], [(3, 3, 4, 1.0), (4, 4, 3, 0.0)])
    workers = [tiny_state(), tiny_state()]
    learned = [
        trained(w, half, scope="embeddings") for w, half in zip(workers, halves, strict=True)
    ]
    merged = tiny_state()
    merge(merged, learned)
    for rows, worker in (([1, 2], workers[0]), ([3, 4], workers[1])):
        for name in ("user", "item"):
            np.testing.assert_allclose(
                merged.parameters()[name][rows], worker.parameters()[name][rows], rtol=1e-6
            )


def test_a_merged_model_is_saved_as_a_delta_bit_for_bit(model, world, recipe, tmp_path) -> None:
    model.save(tmp_path / "base")
    state = model._state
    mark = Mark.of(state)
    model.fit(world.queries, world.interactions, dataclasses.replace(recipe, epochs=1))
    learned = part_of(state, mark, len(world.interactions), {})
    state = checkpoint.restore(tmp_path / "base")
    merge(state, [learned, learned])
    assert checkpoint.save(state, tmp_path / "next", tmp_path / "base") == "delta"
    again = checkpoint.to_arrays(checkpoint.restore(tmp_path / "next"))
    for name, array in checkpoint.to_arrays(state).items():
        assert (again[name] == array).all(), name


def test_a_model_is_put_back_where_it_was_marked() -> None:
    state = tiny_state()
    mark = Mark.of(state)
    first = trained(state, optimizer="adam")
    put_back({"": state}, {"": mark})
    assert (state.optimizer.kind, state.steps) == ("adagrad", 0)
    assert all(not any(values) for values in changes(state, mark).values())
    second = trained(state, optimizer="adam")
    for name, array in first.tables.items():
        assert (second.tables[name] == array).all(), name


rows = st.dictionaries(
    st.sampled_from([10, 20, 30, 40]),
    st.tuples(st.integers(0, 5), st.floats(-2, 2, width=16)),
    max_size=4,
)
parts_given = st.lists(
    st.builds(part, st.integers(1, 50), users=rows, base=st.floats(-2, 2, width=16)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(given_parts=parts_given, data=st.data())
def test_merging_is_a_mean_in_any_order(given_parts: list[Part], data) -> None:
    """Each row lands between what its parts say; their order does not matter; sums are sums."""
    orders = (given_parts, data.draw(st.permutations(given_parts)))
    results = []
    for order in orders:
        state = ModelState.create(tiny_state().config, 0)
        state.users.extend(np.array([10, 20, 30, 40]))
        mark = Mark.of(state)
        merge(state, order)
        results.append(changes(state, mark))
    for name, values in results[0].items():
        assert values == pytest.approx(results[1][name], abs=1e-4), name
    moved = results[0]
    said = {key: [0.0] for key in (10, 20, 30, 40)}
    for one in given_parts:
        for key, change in zip(one.keys["users"], one.tables["user"][:, 0], strict=True):
            said[int(key)].append(float(change))
    for place, key in enumerate(said, 1):
        low, high = min(said[key]), max(said[key])
        assert low - 1e-4 <= moved["user"][place] <= high + 1e-4
        grown = 10 * sum(abs(change) for change in said[key])
        assert moved["user/accumulator"][place] == pytest.approx(grown, abs=1e-3)
    total = sum(one.examples for one in given_parts)
    mean = sum(one.examples * float(one.tables["base"][0]) for one in given_parts) / total
    assert moved["base"][0] == pytest.approx(mean, abs=1e-4)
