"""One contract for every family of `contract.FAMILIES`."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.data.queries import Items
from models.errors import RestoreError
from models.tables.backend import tf
from models.tables.state import CONFIGURATIONS as REGISTERED
from models.tables.state import ModelState, config_of
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.contract import FAMILIES, RECIPE, Family
from tests.models.scoring import scored


def families(names: Iterable[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("family", list(names), indirect=True)


every = families(FAMILIES)
networks = families(name for name, family in FAMILIES.items() if family.one_network)
retrievers = families(name for name, family in FAMILIES.items() if family.answers)


@pytest.fixture
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]()


@pytest.fixture(scope="session")
def trained_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where each family's trained model is, once a test has asked for it."""
    return {}


@pytest.fixture
def trained(
    family: Family, trained_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A fresh copy of the family's trained model."""
    name = type(family).__name__
    if name not in trained_folders:
        model = family.create()
        family.fit(model, RECIPE)
        folder = tmp_path_factory.mktemp(name) / "model"
        model.save(folder)
        trained_folders[name] = folder
    return family.restore(trained_folders[name])


def arrays_of(states: dict[str, ModelState]) -> dict[str, np.ndarray]:
    """All tables, slots and contents, by `<state>table|slot|content <name>`."""
    arrays: dict[str, np.ndarray] = {}
    for which, state in states.items():
        arrays |= {f"{which}table {name}": array for name, array in state.parameters().items()}
        arrays |= {f"{which}slot {name}": array for name, array in state.slots().items()}
        content = state.network.content.items()
        arrays |= {f"{which}content {name}": table.numpy() for name, table in content}
    return arrays


def table_of(name: str) -> str:
    """The table that an array of `arrays_of` belongs to."""
    kind, what = name.split(" ")[-2:]
    return what.rsplit("/", 1)[0] if kind == "slot" else what


def keyed_by(states: dict[str, ModelState], name: str) -> str | None:
    """ "users" or "items", if the rows of an array of `arrays_of` belong to ids."""
    if "content " in name:
        return "items" if next(iter(states.values())).network.content else None
    (state,) = (state for which, state in states.items() if name.startswith(which))
    return state.network.keyed.get(table_of(name))


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype, name
        assert np.array_equal(array, other[name]), name


def only_state(family: Family, model: Any) -> ModelState:
    (state,) = family.states(model).values()
    return state


def first_batch(family: Family, model: Any) -> dict[str, tf.Tensor]:
    batches = family.batches(model, RECIPE)
    chunk = batches.chunk(np.arange(len(batches)))
    tensors = {name: tf.constant(array) for name, array in chunk.items()}
    return batches.batch(
        tensors, tf.constant(0, tf.int64), tf.constant(len(batches), tf.int64), tf.constant([3, 0])
    )


@networks
def test_the_family_is_registered_and_its_configuration_survives_json(family) -> None:
    config = family.config
    assert config.family in REGISTERED
    read = config_of(config.family, json.loads(json.dumps(config.to_json(), allow_nan=False)))
    assert read == config
    assert type(read) is type(config)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.initial_accumulator = 1.0


@every
def test_shapes_and_types(family) -> None:
    states = family.states(family.create())
    lengths = {"users": 21, "items": 31, None: None}
    for state in states.values():
        network = state.network
        for name, table in network.tables.items():
            assert table.dtype == tf.float32, name
            growable = table.shape[0] is None
            assert growable == (name in network.keyed), f"{name} should have its rows keyed"
        assert set(network.keyed) <= set(network.embeddings) <= set(network.tables)
        assert set(network.heads) <= set(network.tables)
        assert all(content.dtype == tf.int64 for content in network.content.values())
    arrays = arrays_of(states)
    first = next(iter(states))
    for name, array in arrays.items():
        assert array.dtype == (np.int64 if "content " in name else np.float32), name
        if "slot " in name:
            which = name[: name.index("slot ")]
            assert len(array) == len(arrays[f"{which}table {table_of(name)}"]), name
        if name.startswith(first) and keyed_by(states, name):
            assert len(array) == lengths[keyed_by(states, name)], name


@networks
def test_the_feed_is_as_its_signature_says(family) -> None:
    model = family.create()
    batches = family.batches(model, RECIPE)
    assert batches.weights.dtype == np.float32
    assert len(batches.weights) == len(batches)
    order = batches.order(np.random.default_rng(5))
    assert np.array_equal(np.sort(order), np.arange(len(batches)))
    for examples in (order[:7], order):
        chunk = batches.chunk(examples)
        assert chunk.keys() == batches.signature.keys()
        for name, spec in batches.signature.items():
            assert spec.is_compatible_with(tf.constant(chunk[name])), name
    touched = batches.touched()
    assert set(touched) <= {"users", "items"}
    lengths = {"users": 21, "items": 31}
    for entity, rows in touched.items():
        length = lengths[entity]
        assert len(np.unique(rows)) == len(rows)
        assert not len(rows) or 0 < rows.min() <= rows.max() < length


@networks
def test_every_table_gets_a_gradient_and_ids_a_sparse_one(family, trained) -> None:
    network = only_state(family, trained).network
    batch = first_batch(family, trained)
    with tf.GradientTape() as tape:
        loss = network.compute_loss(batch, training=True)
    assert loss.shape == ()
    assert loss.dtype == tf.float32
    gradients = tape.gradient(loss, dict(network.tables))
    for name, gradient in gradients.items():
        assert gradient is not None, name
        assert isinstance(gradient, tf.IndexedSlices) == (name in network.embeddings), name
        values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
        assert np.isfinite(values.numpy()).all(), name
        assert np.abs(values.numpy()).max() > 0, name


@every
def test_the_loss_falls_on_repeated_data(family) -> None:
    model = family.create()
    report = family.fit(model, dataclasses.replace(RECIPE, epochs=8))
    assert np.isfinite([report.first_loss, report.last_loss]).all()
    assert report.last_loss < 0.9 * report.first_loss


@every
def test_rows_without_examples_stay_bit_identical(family, trained) -> None:
    states = family.states(trained)
    before = arrays_of(states)
    family.fit(trained, RECIPE, few=True)
    after = arrays_of(states)
    moved = 0
    for name, array in before.items():
        entity = keyed_by(states, name)
        if entity and "content " not in name:
            rows = np.array([0, *family.untouched.get(entity, [])], int)  # 0: what isn't known
            assert np.array_equal(after[name][rows], array[rows]), name
            moved += int((after[name] != array).any())
    assert moved


@every
def test_growing_keeps_old_rows_and_slots_bit_identical(family, trained) -> None:
    states = family.states(trained)
    before = arrays_of(states)
    assert family.add_ids(trained) == (2, 3)
    after = arrays_of(states)
    added = {"users": 2, "items": 3, None: 0}
    fresh = family.create()
    family.add_ids(fresh)
    never_trained = arrays_of(family.states(fresh))
    first = next(iter(states))  # a ranker without ids has content, and nothing to grow
    for name, array in before.items():
        assert np.array_equal(after[name][: len(array)], array), name
        assert np.isfinite(after[name]).all(), name
        more = added[keyed_by(states, name)] if name.startswith(first) else 0
        assert len(after[name]) - len(array) == more, name
        if "slot " in name and more:
            assert np.array_equal(after[name][-more:], never_trained[name][-more:]), name
    state = states[first]
    assert state.users.keys[-2:].tolist() == [2001, 2002]
    assert state.items.keys[-3:].tolist() == [901, 902, 903]


@every
def test_growing_what_is_known_changes_nothing(family, trained) -> None:
    family.add_ids(trained)
    before = arrays_of(family.states(trained))
    assert family.add_ids(trained) == (0, 0)
    assert_same(arrays_of(family.states(trained)), before)


@networks
def test_growing_and_training_again_don_t_retrace(family) -> None:
    model = family.create()
    family.fit(model, RECIPE)
    (compiled,) = only_state(family, model).compiled.values()
    family.add_ids(model)
    family.fit(model, RECIPE)
    assert list(only_state(family, model).compiled.values()) == [compiled]


@every
def test_saved_and_restored_is_the_same_bit_for_bit_and_trains_on(family, tmp_path) -> None:
    model = family.create()
    family.fit(model, RECIPE)
    model.save(tmp_path / "model")
    again = family.restore(tmp_path / "model")
    assert_same(arrays_of(family.states(again)), arrays_of(family.states(model)))
    assert (again.config, again.steps) == (model.config, model.steps)
    assert np.array_equal(family.answer(again), family.answer(model))
    for one in (model, again):
        family.add_ids(one)
        family.fit(one, RECIPE)
    assert_same(arrays_of(family.states(again)), arrays_of(family.states(model)))
    assert again.steps == model.steps
    assert np.array_equal(family.answer(again), family.answer(model))


@every
def test_another_family_s_model_is_refused(family, tmp_path) -> None:
    other = (
        TwoTowerRecommender
        if family.facade is not TwoTowerRecommender
        else FAMILIES["factorisation"].facade
    )
    model = family.create()
    model.save(tmp_path / "model")
    with pytest.raises(RestoreError):
        other.restore(tmp_path / "model")


@every
def test_the_same_seeds_give_the_same_bits_and_others_don_t(family) -> None:
    models = [family.create(seed) for seed in (7, 7, 8)]
    for model in models:
        family.fit(model, RECIPE)
    one, same, other = (arrays_of(family.states(model)) for model in models)
    assert_same(one, same)
    assert any(not np.array_equal(one[name], other[name]) for name in one)
    shuffled = family.create(7)
    family.fit(shuffled, dataclasses.replace(RECIPE, seed=4))
    last = arrays_of(family.states(shuffled))
    assert any(not np.array_equal(one[name], last[name]) for name in one)


@networks
def test_distillation_compares_columns_that_the_champion_can_answer(family, trained) -> None:
    network = only_state(family, trained).network
    batch = first_batch(family, trained)
    own = network.scores(batch).numpy()
    assert own.ndim == 2
    assert len(own) == len(batch["weights"])
    assert np.isfinite(own).all()
    champion = {name: tf.zeros_like(table) for name, table in network.tables.items()}
    with network.borrowing(champion):
        taught = network.scores(batch).numpy()
    assert taught.shape == own.shape
    assert (taught != own).any()
    assert np.array_equal(network.scores(batch).numpy(), own)


def brute_force(scores: np.ndarray, pool: np.ndarray, k: int, out: list[set[int]]) -> np.ndarray:
    """The k best of each row by sorting everything; ties to the earlier."""
    shown = np.zeros((len(scores), k), np.int64)
    for row, banned in enumerate(out):
        left = [(-s, i) for i, s in enumerate(scores[row]) if int(pool[i]) not in banned]
        best = [pool[i] for _, i in sorted(left)[:k]]
        shown[row, : len(best)] = best
    return shown


@retrievers
def test_score_and_top_k_have_their_shapes(family, trained) -> None:
    queries = family.queries()
    scores = scored(trained, queries, trained.item_keys)
    assert (scores.shape, scores.dtype) == ((20, 30), np.float32)
    assert np.isfinite(scores).all()
    keys, best = trained.top_k(queries, 4)
    assert (keys.shape, keys.dtype) == ((20, 4), np.int64)
    assert (best.shape, best.dtype) == ((20, 4), np.float32)
    assert (np.diff(best, axis=1) <= 0).all()


@retrievers
def test_top_k_is_the_sort_of_the_scores_without_what_is_excluded(family, trained) -> None:
    queries = family.queries()
    pool = np.array([520, 503, 501, 529, 510, 515, 516])
    exclude = [pool[: i % 8] for i in range(20)]
    for candidates, known in ((None, trained.item_keys), (np.append(pool, 99_999), pool)):
        scores = scored(trained, queries, known)
        keys, best = trained.top_k(queries, 5, candidates, exclude)
        expected = brute_force(scores, known, 5, [set(part.tolist()) for part in exclude])
        assert np.array_equal(keys, expected)
        assert (np.isneginf(best) == (keys == 0)).all()
        place = {int(key): column for column, key in enumerate(known)}
        for row, column in np.argwhere(keys > 0):
            expected_score = scores[row, place[int(keys[row, column])]]
            assert best[row, column] == pytest.approx(expected_score, rel=1e-4, abs=1e-5)
    assert (trained.top_k(queries, 3, pool, [pool] * 20)[0] == 0).all()


@every
def test_strangers_get_finite_answers(family, trained) -> None:
    answers = family.answer_strangers(trained)
    assert answers.dtype == np.float32
    assert np.isfinite(answers).all()
    # Whoever they are, nothing is known of them: they are one stranger.
    assert np.array_equal(answers[0], answers[1])


@retrievers
def test_unknown_items_score_minus_infinity_and_new_ones_don_t(family, trained) -> None:
    queries = family.queries()
    scores = scored(trained, queries, np.array([501, 901, 0]))
    assert np.isneginf(scores).tolist() == [[False, True, True]] * 20
    family.add_ids(trained)
    scores = scored(trained, queries, np.array([501, 901, 902, 903]))
    assert np.isfinite(scores).all()
    assert set(trained.top_k(queries, 3, np.array([901, 902, 903]))[0][0].tolist()) == {
        901,
        902,
        903,
    }


@retrievers
def test_a_model_that_knows_nothing_answers_with_nothing(family) -> None:
    fresh = family.facade.create(family.config, seed=0)
    keys, best = fresh.top_k(family.queries(), 3)
    assert (keys == 0).all()
    assert np.isneginf(best).all()
    assert np.isneginf(scored(fresh, family.queries(), np.array([501]))).all()
    assert fresh.add_ids(np.zeros(0, np.int64), Items(np.zeros(0, np.int64), np.zeros((0, 3), np.int32))) == (0, 0)  # fmt: skip  # noqa: E501


@retrievers
def test_the_exported_model_answers_as_the_recommender(family, trained, tmp_path) -> None:
    family.export(trained, tmp_path / "1")
    served = family.served(tmp_path / "1")
    queries = family.queries()
    exclude = [np.array([501, 516])[: i % 3] for i in range(20)]
    padded = np.zeros((20, 2), np.int64)
    for row, part in zip(padded, exclude, strict=True):
        row[: len(part)] = part
    keys, best = trained.top_k(queries, 6, exclude=exclude)
    shown, scores = served.top_k(queries, 6, padded)
    assert np.array_equal(shown, keys)
    assert scores == pytest.approx(best, rel=1e-4, abs=1e-5)
    strangers = family.strangers()
    shown, _ = served.top_k(strangers, 6, np.zeros((2, 0), np.int64))
    assert np.array_equal(shown, trained.top_k(strangers, 6)[0])
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    assert {"scores", "top_k", "serving_default"} <= set(signatures)
