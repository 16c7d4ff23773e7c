import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.data.queries import Queries
from models.tables.backend import tf
from models.tables.vocabulary import Vocabulary
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.scoring import scored

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export") / "1"


@pytest.fixture
def served(model: TwoTowerRecommender, folder: Path):
    """The model is a function of its seeds, so one export serves all tests of the file."""
    if not folder.exists():
        model.export(folder)
    return tf.saved_model.load(str(folder))


@pytest.fixture
def asked(folder: Path, served, world) -> tuple[Queries, dict[str, tf.Tensor]]:
    """Four queries, one of an unknown user and one with an unknown item; in rows, as a client."""
    history = world.queries.history[:4].copy()
    history[2, 0] = 99_999
    keys = world.user_keys[:4].copy()
    keys[1] = 88_888
    queries = Queries(keys, history, world.queries.statistics[:4])
    with np.load(folder / "assets.extra" / "vocabulary.npz") as archive:
        users, items = (Vocabulary(archive[name]) for name in ("user_keys", "item_keys"))
    rows = {
        "user_row": tf.constant(users.rows(keys)),
        "history_rows": tf.constant(items.rows(history)),
        "statistics": tf.constant(queries.statistics),
    }
    assert rows["user_row"].numpy().tolist() == [1, 0, 3, 4]
    return queries, rows


def test_scores_are_those_of_the_recommender(model, served, asked, world) -> None:
    queries, rows = asked
    candidates = np.tile(np.arange(0, 31), (4, 1))
    got = served.signatures["scores"](candidate_rows=tf.constant(candidates), **rows)["scores"]
    keys = np.concatenate([[1], world.items.item_keys])  # key 1 is unknown, and so is row 0
    expected = scored(model, queries, keys)
    assert np.isneginf(got.numpy()[:, 0]).all()
    assert got.numpy() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_candidates_may_differ_from_query_to_query(model, served, asked) -> None:
    queries, rows = asked
    candidates = tf.constant([[1, 2], [3, 3], [30, 0], [5, 1]], tf.int64)
    got = served.signatures["scores"](candidate_rows=candidates, **rows)["scores"].numpy()
    everything = scored(model, queries, model.item_keys)
    assert got[0] == pytest.approx(everything[0, [0, 1]], rel=1e-5, abs=1e-5)
    assert got[2, 0] == pytest.approx(everything[2, 29], rel=1e-5, abs=1e-5)
    assert got[2, 1] == -np.inf


def test_top_k_is_that_of_the_recommender(model, served, asked) -> None:
    queries, rows = asked
    exclude = np.array([[1, 2, 0], [0, 0, 0], [16, 17, 18], [5, 5, 0]], np.int64)
    got = served.signatures["top_k"](exclude_rows=tf.constant(exclude), k=tf.constant(7), **rows)
    keys, scores = model.top_k(queries, 7, exclude=[500 + row[row > 0] for row in exclude])
    assert got["keys"].numpy().tolist() == keys.tolist()
    assert got["rows"].numpy().tolist() == (keys - 500).tolist()
    assert got["scores"].numpy() == pytest.approx(scores, rel=1e-5, abs=1e-5)


def test_nothing_left_is_row_0_key_0(served, asked) -> None:
    _, rows = asked
    exclude = tf.constant(np.tile(np.arange(3, 31), (4, 1)))
    got = served.signatures["top_k"](exclude_rows=exclude, k=tf.constant(1000), **rows)
    assert got["keys"].shape == (4, 30)
    assert set(got["keys"].numpy()[:, :2].ravel().tolist()) == {501, 502}
    assert (got["keys"].numpy()[:, 2:] == 0).all()
    assert (got["rows"].numpy()[:, 2:] == 0).all()


def test_each_query_may_ask_for_as_many_as_it_likes(model, served, asked) -> None:
    queries, rows = asked
    nothing = tf.zeros([4, 0], tf.int64)
    k = tf.constant([3, 0, 30, -2])
    got = served.signatures["serving_default"](exclude_rows=nothing, k=k, **rows)
    keys, _ = model.top_k(queries, 30)
    assert got["keys"].shape == (4, 30)
    for row, many in enumerate((3, 0, 30, 0)):
        assert got["keys"].numpy()[row].tolist() == keys[row, :many].tolist() + [0] * (30 - many)
        assert np.isneginf(got["scores"].numpy()[row, many:]).all()


def test_no_exclusions_at_all(served, asked) -> None:
    _, rows = asked
    got = served.signatures["top_k"](
        exclude_rows=tf.zeros([4, 0], tf.int64), k=tf.constant(30), **rows
    )
    assert sorted(got["keys"].numpy()[0].tolist()) == list(range(501, 531))


def test_loads_without_recloop(served, folder) -> None:
    code = f"""
import sys, tensorflow as tf
served = tf.saved_model.load({str(folder)!r})
got = served.signatures["top_k"](
    user_row=tf.constant([1], tf.int64), history_rows=tf.zeros([1, 5], tf.int64),
    statistics=tf.zeros([1, 2]), exclude_rows=tf.zeros([1, 0], tf.int64), k=tf.constant(3),
)
assert "models" not in sys.modules and "tensorflow_recommenders" not in sys.modules
print(got["keys"].shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.stdout.strip() == "(1, 3)", done.stderr


def test_a_model_with_a_shared_table_and_no_extras_exports(make_model, world, tmp_path) -> None:
    import dataclasses

    config = dataclasses.replace(
        make_model(trained=False).config,
        shared_history_table=True, item_bias=False, statistics_width=0,
    )  # fmt: skip
    model = TwoTowerRecommender.create(config, seed=1)
    model.add_ids(world.user_keys, world.items)
    model.export(tmp_path / "1")
    served = tf.saved_model.load(str(tmp_path / "1"))
    queries = dataclasses.replace(world.queries, statistics=np.zeros((20, 0), np.float32))
    got = served.signatures["scores"](
        user_row=tf.range(1, 21, dtype=tf.int64),
        history_rows=tf.constant(np.maximum(queries.history - 500, 0)),
        statistics=tf.zeros([20, 0]),
        candidate_rows=tf.tile(tf.range(1, 31, dtype=tf.int64)[None], [20, 1]),
    )["scores"]
    assert got.numpy() == pytest.approx(scored(model, queries, model.item_keys), rel=1e-5, abs=1e-5)
