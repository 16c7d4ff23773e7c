import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.data.queries import Items
from models.errors import CorruptCheckpoint, NonFiniteWeights, UnusableBase
from models.storage import archive, checkpoint, delta
from models.tables.backend import tf
from models.tables.state import ModelState
from models.two_tower.tower_recommender import TwoTowerRecommender

NO_USERS = np.zeros(0, np.int64)


def bits(state: ModelState) -> dict[str, bytes]:
    """Everything that a full save would write, with its shape."""
    return {
        name: str(array.shape).encode() + array.tobytes()
        for name, array in checkpoint.to_arrays(state).items()
    }


def train(state: ModelState, rows: dict[str, list[int]]) -> None:
    """One step on these rows of these tables."""
    rng = np.random.default_rng(state.steps)
    tables = state.network.tables
    gradients = {
        name: tf.IndexedSlices(
            tf.constant(rng.standard_normal((len(of), tables[name].shape[1])), tf.float32),
            tf.constant(of, tf.int64),
        )
        for name, of in rows.items()
    }
    state.optimizer.apply(tables, gradients, tf.constant(0.1), tf.constant(0.0))
    state.steps += 1


def items(*keys: int) -> Items:
    return Items(np.array(keys, np.int64), np.ones((len(keys), 1), np.int32))


@pytest.fixture
def state(trained_folder: Path, tmp_path: Path) -> ModelState:
    """The small shop's model, restored from `tmp_path / "base"`."""
    shutil.copytree(trained_folder, tmp_path / "base")
    return checkpoint.restore(tmp_path / "base")


def written(directory: Path) -> dict[str, np.ndarray]:
    with np.load(directory / "arrays.npz") as archive_:
        return dict(archive_)


def test_a_chain_of_deltas_restores_the_bits_of_a_full_save(state, tmp_path, world, recipe) -> None:
    model = TwoTowerRecommender(state)
    few = dataclasses.replace(recipe, epochs=1)
    previous = tmp_path / "base"
    for name, key in (("one", 901), ("two", 902), ("three", 903)):
        model.add_ids(np.array([key + 2000]), items(key))
        model.note_seen(world.user_keys[:3], np.array([key]), day=key)
        model.fit(world.queries, world.interactions, few)
        before = bits(state)
        assert model.save(tmp_path / name, base=previous) == "delta"
        assert bits(state) == before
        restored = TwoTowerRecommender.restore(tmp_path / name)
        assert bits(restored._state) == before
        assert restored.steps == model.steps
        previous = tmp_path / name
    for each in (model, restored):
        each.add_ids(np.array([5000]), items(904))
        each.fit(world.queries, world.interactions, few)
    assert bits(restored._state) == bits(state)


def test_a_restored_delta_can_be_the_base_of_the_next(state, tmp_path) -> None:
    train(state, {"item": [4]})
    checkpoint.save(state, tmp_path / "one", tmp_path / "base")
    restored = checkpoint.restore(tmp_path / "one")
    train(restored, {"item": [5], "user": [1]})
    assert checkpoint.save(restored, tmp_path / "two", tmp_path / "one") == "delta"
    assert bits(checkpoint.restore(tmp_path / "two")) == bits(restored)
    assert archive.chain(tmp_path / "two") == [tmp_path / n for n in ("two", "one", "base")]


def test_only_touched_and_new_rows_are_written(state, tmp_path) -> None:
    train(state, {"user": [2, 5, 2], "item": [7]})
    train(state, {"user": [3]})
    checkpoint.save(state, tmp_path / "one", tmp_path / "base")
    arrays = written(tmp_path / "one")
    assert arrays["rows/user"].tolist() == [2, 3, 5]
    assert arrays["rows/item"].tolist() == [7]
    assert set(arrays) == {
        *("rows/user", "table/user", "slot/user/accumulator"),
        *("rows/item", "table/item", "slot/item/accumulator"),
        *("user_keys", "item_keys", "content/item_words"),
    }
    assert len(arrays["user_keys"]) == len(arrays["item_keys"]) == 0
    assert (arrays["table/user"] == state.parameters()["user"][[2, 3, 5]]).all()
    accumulators = state.slots()["item/accumulator"]
    assert (arrays["slot/item/accumulator"] == accumulators[[7]]).all()
    assert arrays["content/item_words"].shape == (0, 3)


def test_new_rows_are_written_and_the_next_delta_starts_anew(state, tmp_path) -> None:
    model = TwoTowerRecommender(state)
    model.add_ids(NO_USERS, items(901, 902))
    model.save(tmp_path / "one", base=tmp_path / "base")
    arrays = written(tmp_path / "one")
    for table in ("item", "history", "item_bias"):
        assert arrays[f"rows/{table}"].tolist() == [31, 32]
    assert arrays["content/item_words"].tolist() == [[1, 0, 0], [1, 0, 0]]
    train(state, {"history": [31]})
    model.save(tmp_path / "two", base=tmp_path / "one")
    arrays = written(tmp_path / "two")
    assert arrays["rows/history"].tolist() == [31]
    assert "rows/item" not in arrays


def test_a_dense_gradient_writes_the_whole_table(state, tmp_path) -> None:
    gradient = {"statistics": tf.ones([2, 8])}
    state.optimizer.apply(state.network.tables, gradient, tf.constant(0.1), tf.constant(0.0))
    checkpoint.save(state, tmp_path / "one", tmp_path / "base")
    arrays = written(tmp_path / "one")
    assert arrays["table/statistics"].shape == (2, 8)
    assert "rows/statistics" not in arrays
    assert bits(checkpoint.restore(tmp_path / "one")) == bits(state)


def test_extra_arrays_are_written_as_far_as_they_changed(state, tmp_path) -> None:
    state.extra = {
        "same": np.arange(10),
        "few": np.zeros((10, 2)),
        "many": np.zeros(4),
        "number": np.array(3),
        "names": np.array(["a", "b", "c"]),
        "gone": np.arange(3),
    }
    checkpoint.save(state, tmp_path / "full")
    few = np.zeros((11, 2))
    few[4, 1] = -0.0  # equal to what it was, but not the same bits
    del state.extra["gone"]
    state.extra |= {
        "few": few,
        "many": np.array([1.0, 2.0, 3.0, 0.0]),
        "number": np.array(4),
        "names": np.array(["a", "b", "d"]),
        "new": np.arange(2),
    }
    checkpoint.save(state, tmp_path / "one", tmp_path / "full")
    arrays = written(tmp_path / "one")
    assert arrays["rows/extra/few"].tolist() == [4, 10]
    assert "extra/same" not in arrays
    assert arrays["extra/many"].shape == (4,)
    restored = checkpoint.restore(tmp_path / "one")
    assert set(restored.extra) == {"same", "few", "many", "number", "names", "new"}
    assert bits(restored) == bits(state)


def test_a_saved_extra_array_cannot_be_written_in_place(state, tmp_path) -> None:
    state.extra["days"] = np.zeros(3)
    checkpoint.save(state, tmp_path / "full")
    with pytest.raises(ValueError, match="read-only"):
        state.extra["days"][0] = 1.0


def test_another_optimizer_is_written_with_all_its_slots(state, tmp_path, world, recipe) -> None:
    model = TwoTowerRecommender(state)
    adam = dataclasses.replace(recipe, optimizer="adam", epochs=1, learning_rate=0.01)
    model.fit(world.queries, world.interactions, adam)
    assert model.save(tmp_path / "one", base=tmp_path / "base") == "delta"
    assert bits(checkpoint.restore(tmp_path / "one")) == bits(state)


def test_after_an_expiry_the_next_save_is_whole(state, tmp_path) -> None:
    model = TwoTowerRecommender(state)
    model.note_seen(np.array([1001]), np.array([501]), day=10)
    assert model.expire(before_day=11) == (1, 1)
    with pytest.raises(UnusableBase, match=r"none \(never saved, or rows have moved since\)"):
        delta.save_delta(state, tmp_path / "base", tmp_path / "one")
    assert model.save(tmp_path / "one", base=tmp_path / "base") == "whole"
    assert bits(checkpoint.restore(tmp_path / "one")) == bits(state)
    train(state, {"user": [1]})
    assert model.save(tmp_path / "two", base=tmp_path / "one") == "delta"


def test_after_some_deltas_a_save_is_whole_again(state, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "MOST_DELTAS", 2)
    previous, kinds = tmp_path / "base", []
    for name in ("one", "two", "three", "four"):
        train(state, {"user": [1]})
        kinds.append(checkpoint.save(state, tmp_path / name, previous))
        previous = tmp_path / name
    assert kinds == ["delta", "delta", "whole", "delta"]


def test_base_and_delta_can_be_moved_together(state, tmp_path) -> None:
    train(state, {"user": [1]})
    checkpoint.save(state, tmp_path / "releases" / "one", tmp_path / "base")
    (tmp_path / "elsewhere").mkdir()
    for name in ("releases", "base"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    restored = checkpoint.restore(tmp_path / "elsewhere" / "releases" / "one")
    assert bits(restored) == bits(state)


def test_a_base_that_cannot_serve_is_refused(state, tmp_path) -> None:
    train(state, {"user": [1]})
    base, one = tmp_path / "base", tmp_path / "one"
    with pytest.raises(UnusableBase, match="can't replace its own base"):
        delta.save_delta(state, base, base)
    with pytest.raises(UnusableBase, match="no manifest"):
        delta.save_delta(state, tmp_path / "nowhere", one)
    other = checkpoint.copy(state)
    checkpoint.save(other, tmp_path / "other")
    with pytest.raises(UnusableBase, match="last saved under a manifest of sha256"):
        delta.save_delta(state, tmp_path / "other", one)
    content = (base / "arrays.npz").read_bytes()
    (base / "arrays.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnusableBase, match="missing or truncated"):
        checkpoint.save(state, one, base)
    (base / "arrays.npz").unlink()
    with pytest.raises(UnusableBase, match="missing or truncated"):
        checkpoint.save(state, one, base)
    assert not one.exists()


def test_a_base_whose_own_base_is_gone_is_refused(state, tmp_path) -> None:
    train(state, {"user": [1]})
    checkpoint.save(state, tmp_path / "one", tmp_path / "base")
    shutil.rmtree(tmp_path / "base")
    train(state, {"user": [2]})
    with pytest.raises(UnusableBase, match=r"now there is none.*Or save the model as a whole"):
        checkpoint.save(state, tmp_path / "two", tmp_path / "one")
    assert checkpoint.save(state, tmp_path / "two") == "whole"


def test_a_delta_whose_base_was_altered_is_refused(state, tmp_path) -> None:
    train(state, {"user": [1]})
    base, one = tmp_path / "base", tmp_path / "one"
    checkpoint.save(state, one, base)
    shutil.copytree(base, tmp_path / "kept")
    arrays = written(base)
    arrays["table/item"][1, 0] += 1
    np.savez(base / "arrays.npz", **arrays)
    with pytest.raises(CorruptCheckpoint, match=r"'table/item' .* altered: its sha256"):
        checkpoint.restore(one)
    # A base that agrees with itself, but is another model.
    checkpoint.save(state, base)
    with pytest.raises(CorruptCheckpoint, match="now a manifest of sha256"):
        checkpoint.restore(one)
    shutil.rmtree(base)
    with pytest.raises(CorruptCheckpoint, match=r"now there is none. Bring the base back"):
        checkpoint.restore(one)
    shutil.move(tmp_path / "kept", base)
    assert bits(checkpoint.restore(one)) == bits(state)


def rewrite(directory: Path, change) -> None:
    """A faulty writer's delta: its manifest agrees with its arrays."""
    manifest = json.loads((directory / "manifest.json").read_text())
    arrays = written(directory)
    change(arrays, manifest)
    header = {n: v for n, v in manifest.items() if n not in ("arrays", "format_version")}
    archive.write(directory, header, arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, m: a.update({"rows/user": np.array([2, 2])}), "'table/user'.*rows repeat"),
        (lambda a, m: a.update({"rows/user": np.array([-1, 2])}), "'table/user'.*rows repeat"),
        (lambda a, m: a.update({"rows/user": np.array([2, 99])}), "'table/user'.*out of bounds"),
        (lambda a, m: a.update({"rows/item": np.array([3, 30])}), "'table/item'.*new one is miss"),
        (lambda a, m: a.pop("table/user"), "'table/user'.*KeyError"),
        (lambda a, m: a.update({"table/user": a["table/user"][:, :3]}), "'table/user'.*shape"),
        (lambda a, m: m["parts"]["table/word"].update(how="magic"), "'table/word'.*no such part"),
        (lambda a, m: m["parts"].pop("table/word"), "'table/word'.*Received: None"),
        (lambda a, m: m["parts"]["user_keys"].update(shape=[99]), "'user_keys'.*shape"),
        (lambda a, m: m.update(base={}), "doesn't name a base"),
        (lambda a, m: a["table/user"].__setitem__((0, 0), 1e9), "'table/user'.*magnitude"),
    ],
)
def test_a_delta_that_contradicts_itself_is_refused(state, tmp_path, change, message) -> None:
    train(state, {"user": [2, 4], "item": [3]})
    TwoTowerRecommender(state).add_ids(NO_USERS, items(901))
    checkpoint.save(state, tmp_path / "one", tmp_path / "base")
    rewrite(tmp_path / "one", change)
    with pytest.raises(CorruptCheckpoint, match=message):
        checkpoint.restore(tmp_path / "one")


def test_a_row_that_is_not_finite_is_not_saved(state, tmp_path) -> None:
    train(state, {"user": [2]})
    table = state.network.tables["user"]
    table.assign(tf.tensor_scatter_nd_update(table, [[2, 0]], [np.nan]))
    with pytest.raises(NonFiniteWeights, match="'table/user' has 1 value"):
        checkpoint.save(state, tmp_path / "one", tmp_path / "base")
    assert not (tmp_path / "one").exists()
    # The state still knows what it would have to write.
    table.assign(tf.tensor_scatter_nd_update(table, [[2, 0]], [0.5]))
    checkpoint.save(state, tmp_path / "one", tmp_path / "base")
    assert bits(checkpoint.restore(tmp_path / "one")) == bits(state)
