"""The default recommender on disk: saved, as a delta, averaged, exported
(`models.retrieve_and_rank.two_stage_serving`)."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from models.data.queries import Queries
from models.errors import CorruptCheckpoint, RestoreError
from models.ranker.ranker_serving import ServedRanker
from models.recommenders.recommender_files import HEADER
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.tables.backend import tf
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.conftest import World
from tests.models.scoring import scored
from tests.models.tiny_two_stage import RANKER, TOWERS, loyal, new_model, queries_of

pytestmark = pytest.mark.slow


@pytest.fixture
def queries(world: World) -> Queries:
    return queries_of(world)


def test_saved_and_restored_it_scores_the_same_bits_and_goes_on_alike(
    cascade, world, queries, tmp_path
) -> None:
    keys = np.array([501, 99_999, 530, 515])
    cascade.save(tmp_path / "again")
    again = RetrieveAndRank.restore(tmp_path / "again")
    assert again.config == cascade.config
    before = scored(cascade, queries, keys)
    assert (scored(again, queries, keys) == before).all()
    assert np.isneginf(before[:, 1]).all()
    assert np.isfinite(before[:, [0, 2, 3]]).all()
    for model in (cascade, again):
        model.fit(queries, loyal(world), TOWERS, ranker=RANKER)
    assert (scored(again, queries, keys) == scored(cascade, queries, keys)).all()
    assert not (scored(cascade, queries, keys) == before).all()


def test_a_checkpoint_from_before_families_were_named_restores(
    cascade, world, queries, tmp_path
) -> None:
    cascade.save(tmp_path / "old")
    header = tmp_path / "old" / HEADER
    header.with_name("cascade.json").write_text(json.dumps(json.loads(header.read_text())["shape"]))
    header.unlink()
    again = RetrieveAndRank.restore(tmp_path / "old")
    assert again.config == cascade.config
    keys = np.array([501, 99_999, 530, 515])
    assert (scored(again, queries, keys) == scored(cascade, queries, keys)).all()


def test_a_delta_holds_what_changed_and_restores_the_same(
    cascade, model_folder, world, queries
) -> None:
    cascade.fit(queries, loyal(world), TOWERS, ranker=RANKER)
    cascade.save(model_folder.parent / "delta", base=model_folder)
    again = RetrieveAndRank.restore(model_folder.parent / "delta")
    for name, table in cascade.parameters().items():
        assert (table == again.parameters()[name]).all(), name
    manifest = json.loads((model_folder.parent / "delta" / "towers" / "manifest.json").read_text())
    assert "base" in manifest


def test_the_average_of_releases_is_the_mean_of_their_weights(
    cascade, model_folder, world, queries
) -> None:
    old = cascade.parameters()
    cascade.fit(queries, loyal(world), TOWERS, ranker=RANKER)
    mean = cascade.averaged([model_folder]).parameters()
    for name in ("item", "ranker/choice_kernel"):
        expected = (old[name].astype(np.float64) + cascade.parameters()[name]) / 2
        assert mean[name] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_exported_it_answers_as_before(cascade, queries, tmp_path) -> None:
    cascade.export(tmp_path / "served", queries)
    served = ServedRanker(tmp_path / "served")
    assert served.knows(1001)
    assert not served.knows(9)
    part = queries.take(slice(0, 4))
    history = part.history.copy()
    history[1, 0] = 99_999
    asked = dataclasses.replace(part, history=history, user_keys=np.array([1001, 2, 1003, 1004]))
    exclude = np.array([[501, 502], [0, 0], [530, 99_999], [0, 501]])
    keys, scores = served.top_k(asked, 6, exclude)
    lists = [row[row > 0] for row in exclude]
    expected_keys, expected = cascade.top_k(asked, 6, exclude=lists)
    assert (keys == expected_keys).all()
    assert scores == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_the_signatures_rank_by_both_stages_from_what_the_release_knows(
    cascade, queries, tmp_path
) -> None:
    cascade.export(tmp_path / "served", queries)
    signatures = tf.saved_model.load(str(tmp_path / "served")).signatures
    assert set(signatures) == {"scores", "top_k", "top_k_of_own", "serving_default"}
    part = queries.take(slice(0, 4))
    asked = {
        "user_row": tf.constant([1, 2, 3, 4], tf.int64),
        "history_rows": tf.constant(np.maximum(part.history - 500, 0)),
        "statistics": tf.constant(part.statistics),
    }
    many = {"exclude_rows": tf.constant([[1, 2], [0, 0], [30, 0], [0, 1]], tf.int64)}
    many["k"] = tf.constant([6, 1, 30, 6])
    exclude = [np.array(keys) for keys in ([501, 502], [], [530], [501])]
    expected, _ = cascade.top_k(part, 30, exclude=exclude)
    towers, _ = TwoTowerRecommender(cascade.towers).top_k(part, 30, exclude=exclude)
    assert (expected != towers).any(), "retrieval alone would pass"
    for name in ("top_k", "serving_default"):
        keys = signatures[name](**asked, **many)["keys"].numpy()
        for row, k in enumerate((6, 1, 30, 6)):
            # With a larger k elsewhere in the batch, a query's own candidates stay as they are.
            alone, _ = cascade.top_k(part.take(slice(row, row + 1)), k, exclude=[exclude[row]])
            assert keys[row, :k].tolist() == alone[0].tolist(), (name, row)
            assert (keys[row, k:] == 0).all()
    candidates = np.array([[1, 0, 9], [2, 3, 4], [30, 29, 1], [5, 5, 5]])
    scores = signatures["scores"](candidate_rows=tf.constant(candidates), **asked)["scores"].numpy()
    every = np.pad(
        scored(cascade, part, cascade.item_keys), [[0, 0], [1, 0]], constant_values=-np.inf
    )
    wanted = np.take_along_axis(every, candidates, axis=1)
    np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-4)


def test_an_export_of_what_nobody_knows_answers_as_for_newcomers(
    cascade, queries, tmp_path
) -> None:
    cascade.export(tmp_path / "served")
    plain = dataclasses.replace(queries, own=None, items=None)
    keys, _ = ServedRanker(tmp_path / "served").top_k(plain, 5, np.zeros((20, 0), np.int64))
    assert (keys == cascade.top_k(plain, 5)[0]).all()


def test_an_untrained_one_can_be_exported(world, queries, tmp_path) -> None:
    model = new_model(world)
    model.export(tmp_path / "served", queries)
    keys, _ = ServedRanker(tmp_path / "served").top_k(queries, 4, np.zeros((20, 0), np.int64))
    assert (keys == model.top_k(queries, 4)[0]).all()


def test_faults_on_disk_are_named(model_folder, tmp_path) -> None:
    with pytest.raises(RestoreError, match="No recommender in"):
        RetrieveAndRank.restore(tmp_path / "nowhere")
    with pytest.raises(RestoreError, match="is missing in"):
        ServedRanker(tmp_path / "nowhere")
    broken = shutil.copytree(model_folder, tmp_path / "broken")
    values = json.loads((broken / HEADER).read_text())
    (broken / HEADER).write_text(
        json.dumps({**values, "shape": {**values["shape"], "hidden": [9]}})
    )
    with pytest.raises(CorruptCheckpoint, match=r"not those of its model\.json"):
        RetrieveAndRank.restore(broken)
    (broken / HEADER).write_text(json.dumps({**values, "shape": {**values["shape"], "layers": 3}}))
    with pytest.raises(RestoreError, match="isn't one of this recloop"):
        RetrieveAndRank.restore(broken)
