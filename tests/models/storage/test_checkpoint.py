import json
import os
from pathlib import Path

import numpy as np
import pytest

from models.errors import CorruptCheckpoint, IncompatibleCheckpoint, NonFiniteWeights, RestoreError
from models.storage.checkpoint import save
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.scoring import scored


@pytest.fixture
def original(make_model) -> TwoTowerRecommender:
    """A model that has never been saved."""
    return make_model()


@pytest.fixture
def saved(model: TwoTowerRecommender, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path / "model"


def rewrite(directory: Path, change, promise: bool = False) -> None:
    """Changes the arrays; with `promise`, the manifest too, as a faulty writer would have."""
    with np.load(directory / "arrays.npz") as archive:
        arrays = dict(archive)
    change(arrays)
    if promise:
        import hashlib

        manifest = json.loads((directory / "manifest.json").read_text())
        manifest["arrays"] = {
            name: {
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
            }
            for name, array in arrays.items()
        }
        (directory / "manifest.json").write_text(json.dumps(manifest))
    np.savez(directory / "arrays.npz", **arrays)


def test_saving_and_restoring_is_bit_exact(original, tmp_path, world) -> None:
    model = original
    model.save(tmp_path / "model")
    restored = TwoTowerRecommender.restore(tmp_path / "model")
    before, after = model.parameters(), restored.parameters()
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert after[name].dtype == array.dtype
        assert (after[name] == array).all(), name
    for name, array in model._state.slots().items():
        assert (restored._state.slots()[name] == array).all(), name
    assert (restored.user_keys == model.user_keys).all()
    assert (restored.item_keys == model.item_keys).all()
    assert restored.steps == model.steps == 80
    assert restored.config == model.config
    keys = world.items.item_keys
    assert (scored(restored, world.queries, keys) == scored(model, world.queries, keys)).all()


def test_training_goes_on_as_if_it_had_not_stopped(original, tmp_path, world, recipe) -> None:
    model = original
    model.save(tmp_path / "model")
    restored = TwoTowerRecommender.restore(tmp_path / "model")
    for each in (model, restored):
        each.add_ids(np.array([2001]), world.items)
        each.fit(world.queries, world.interactions, recipe)
    for name, array in model.parameters().items():
        assert (restored.parameters()[name] == array).all(), name
    for name, array in model._state.slots().items():
        assert (restored._state.slots()[name] == array).all(), name


def test_a_second_update_does_not_repeat_the_order_of_the_first(model, saved, world, recipe):
    """The steps are saved: without them the restored model would draw the same dropout again."""
    again = TwoTowerRecommender.restore(saved)
    again._state.steps = 0
    for each in (model, again):
        each.fit(world.queries, world.interactions, recipe)
    assert (model.parameters()["user"] != again.parameters()["user"]).any()


def test_an_empty_model_can_be_saved(make_model, tmp_path) -> None:
    fresh = TwoTowerRecommender.create(make_model(trained=False).config, seed=1)
    fresh.save(tmp_path / "fresh")
    assert len(TwoTowerRecommender.restore(tmp_path / "fresh").item_keys) == 0


def test_saving_replaces_the_whole_folder(model, saved, world, recipe) -> None:
    (saved / "stray").write_text("from before")
    model.fit(world.queries, world.interactions, recipe)
    model.save(saved)
    assert sorted(os.listdir(saved)) == ["arrays.npz", "manifest.json"]
    assert os.listdir(saved.parent) == ["model"]
    assert TwoTowerRecommender.restore(saved).steps == 104


def test_a_save_that_fails_leaves_the_old_model(model, saved, monkeypatch) -> None:
    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=r"No space left"):
        model.save(saved)
    monkeypatch.undo()
    assert os.listdir(saved.parent) == ["model"]
    assert TwoTowerRecommender.restore(saved).steps == 80


def test_a_model_that_is_not_finite_is_not_saved(model, tmp_path) -> None:
    user = model._state.network.tables["user"]
    user.assign(np.full(user.numpy().shape, np.inf, np.float32))
    with pytest.raises(NonFiniteWeights, match=r"'table/user' has 168 value"):
        save(model._state, tmp_path / "model")
    assert os.listdir(tmp_path) == []


def put(name: str, value: float):
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[name][1, 0] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("slot/item/accumulator"), r"missing \['slot/item/accumulator'\]"),
        (lambda a: a.update(extra=np.zeros(1)), r"unexpected \['extra'\]"),
        (put("table/item", np.nan), r"'table/item' .* 1 value\(s\) that are not finite.*nan"),
        (
            put("slot/user/accumulator", -np.inf),
            r"'slot/user/accumulator' .* not finite, the first is -inf",
        ),
        (put("table/word", 1e38), r"'table/word' .* magnitude 1e\+38, beyond the limit of 1e\+06"),
        (put("table/item", 0.123), r"'table/item' .* altered: its sha256"),
        (lambda a: a.update({"item_keys": a["item_keys"][:-1]}), r"'item_keys' .* its shape"),
        (
            lambda a: a.update({"table/user": a["table/user"].astype(np.float64)}),
            r"'table/user' .* its dtype is float64, the manifest says float32",
        ),
    ],
)
def test_a_faulty_array_is_named(saved, change, message) -> None:
    rewrite(saved, change)
    with pytest.raises(CorruptCheckpoint, match=message) as error:
        TwoTowerRecommender.restore(saved)
    assert "Restore the previous release" in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a: a.update({"slot/item/accumulator": a["slot/item/accumulator"][:-1]}),
            r"'slot/item/accumulator'.*\(31, 8\).*\(30, 8\)",
        ),
        (lambda a: a.pop("table/history"), "'table/history'.*Received: None"),
        (lambda a: a.update({"table/user": a["table/user"][:, :4]}), r"'table/user'.*\(21, 4\)"),
        (lambda a: a["user_keys"].__setitem__(0, 1002), "repeats a key"),
        (lambda a: a["item_keys"].__setitem__(0, -5), "Received: -5"),
        (lambda a: a["content/item_words"].__setitem__((1, 0), 32), "item_words"),
    ],
)
def test_a_model_that_contradicts_itself_is_refused(saved, change, message) -> None:
    """The manifest agrees with the arrays, but the arrays don't agree with one another."""
    rewrite(saved, change, promise=True)
    with pytest.raises(CorruptCheckpoint, match=message):
        TwoTowerRecommender.restore(saved)


def test_a_larger_limit_lets_large_weights_through(saved) -> None:
    rewrite(saved, put("table/word", 1e7), promise=True)
    with pytest.raises(CorruptCheckpoint, match=r"raise the limit"):
        TwoTowerRecommender.restore(saved)
    assert TwoTowerRecommender.restore(saved, magnitude_limit=1e8).parameters()["word"][1, 0] == 1e7


def test_a_slot_may_be_as_large_as_a_long_life_makes_it(saved) -> None:
    rewrite(saved, put("slot/user/accumulator", 3e9), promise=True)
    assert TwoTowerRecommender.restore(saved)._state.slots()["user/accumulator"][1, 0] == 3e9


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved, keep) -> None:
    path = saved / "arrays.npz"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(CorruptCheckpoint, match=r"truncated"):
        TwoTowerRecommender.restore(saved)


@pytest.mark.parametrize("name", ["arrays.npz", "manifest.json"])
def test_a_missing_file_is_refused(saved, name) -> None:
    (saved / name).unlink()
    with pytest.raises(CorruptCheckpoint, match=name):
        TwoTowerRecommender.restore(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 1}'])
def test_an_unreadable_manifest_is_refused(saved, text) -> None:
    (saved / "manifest.json").write_text(text)
    with pytest.raises(CorruptCheckpoint, match=r"manifest\.json can't be read"):
        TwoTowerRecommender.restore(saved)


@pytest.mark.parametrize("key", ["steps", "seed"])
def test_a_manifest_without_its_numbers_is_refused(saved, key) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    without = {name: value for name, value in manifest.items() if name != key}
    wrong = [{**manifest, key: number} for number in (np.inf, np.nan, -3, 0.5)]
    for changed in (without, *wrong):
        (saved / "manifest.json").write_text(json.dumps(changed))
        with pytest.raises(CorruptCheckpoint, match=key):
            TwoTowerRecommender.restore(saved)


def test_another_version_or_configuration_is_incompatible(saved) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    for change, message in (
        ({"format_version": 99}, "version 99; this recloop reads 2"),
        ({"family": "forest"}, "family 'forest'; this recloop knows two_tower"),
        ({"config": {**manifest["config"], "layers": 3}}, "layers"),
        ({"config": {**manifest["config"], "dimension": 0}}, "dimension"),
    ):
        (saved / "manifest.json").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(IncompatibleCheckpoint, match=message) as error:
            TwoTowerRecommender.restore(saved)
        assert isinstance(error.value, RestoreError)
