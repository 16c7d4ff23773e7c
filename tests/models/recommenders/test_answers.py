"""What an export's arrays answer is what its graph answers; of every registered family."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.data.queries import Queries
from models.errors import CorruptCheckpoint, IncompatibleCheckpoint, NoItemVectors
from models.recommenders import answers
from models.recommenders.answers import Answerer, mean_of_rows
from models.recommenders.family import Family, family_named
from models.recommenders.offered import FAMILIES, named
from models.retrieve_and_rank import two_stage_answers
from tests.models.recommenders.test_family import champion, week

ROOMS = {
    "retrieve_and_rank": "models.retrieve_and_rank.two_stage_answers:TwoStageAnswers",
    "click_through": "models.click_through.click_answers:ClickAnswers",
    "ratings": "models.factors.rating_answers:RatingAnswers",
    "sessions": "models.sessions.session_answers:SessionAnswers",
}
NOTHING = np.zeros((48, 0), np.int64)


def asked(family: Family) -> Queries:
    queries = week(2).queries()
    if family.needs("sessions"):
        return dataclasses.replace(queries, history=week(2).item_keys.reshape(-1, 4))
    return queries


@pytest.fixture(scope="module", params=FAMILIES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A family, its trained model, and the folder of its export."""
    family = family_named(request.param)
    model, folder = champion(family), tmp_path_factory.mktemp(request.param) / "export"
    model.export(folder, asked(family) if family.needs_features else None)
    return family, model, folder


def test_every_family_that_comes_with_recloop_has_them() -> None:
    assert {name: family_named(name).answers for name in FAMILIES} == ROOMS


def opened(family: Family, folder: Path) -> Answerer:
    return named(family.answers)(folder)


@pytest.mark.slow
def test_they_are_those_of_the_graph(exported) -> None:
    family, model, folder = exported
    answerer, queries = opened(family, folder), asked(family)
    graph = model.served(folder)
    keys, scores = answerer.top_k(queries, 7, NOTHING)
    expected, expected_scores = graph.top_k(queries, 7, NOTHING)
    assert scores == pytest.approx(expected_scores, rel=2e-4, abs=2e-5)
    assert (keys == expected).mean() > 0.98  # sums in another order may swap a tie
    # Excluded by key, a query each; the padding excludes nothing.
    banned = np.stack([expected[:, 0], np.zeros(48, np.int64)], axis=1)
    keys, scores = answerer.top_k(queries, 7, banned)
    assert not (keys == banned[:, :1]).any()
    assert scores == pytest.approx(graph.top_k(queries, 7, banned)[1], rel=2e-4, abs=2e-5)


@pytest.mark.slow
def test_an_answer_does_not_depend_on_who_else_asks(exported) -> None:
    family, _, folder = exported
    answerer, queries = opened(family, folder), asked(family)
    keys, scores = answerer.top_k(queries, 7, NOTHING)
    for place in (0, 5, 47):
        alone = queries.take(slice(place, place + 1))
        one, its_scores = answerer.top_k(alone, 7, NOTHING[:1])
        assert np.array_equal(one[0], keys[place])
        assert np.array_equal(its_scores[0], scores[place])
    shuffled = np.random.default_rng(3).permutation(48)[:29]
    some, their_scores = answerer.top_k(queries.take(shuffled), 7, NOTHING[:29])
    assert np.array_equal(some, keys[shuffled])
    assert np.array_equal(their_scores, scores[shuffled])


@pytest.mark.slow
def test_a_large_catalogue_is_answered_for_as_a_small_one(exported, monkeypatch) -> None:
    family, _, folder = exported
    if family.name != "retrieve_and_rank":
        return  # others hold their scores as a table
    small = opened(family, folder)
    monkeypatch.setattr(two_stage_answers, "MANY", 1)
    large = opened(family, folder)
    keys, scores = large.top_k(asked(family), 7, NOTHING)
    expected, its_scores = small.top_k(asked(family), 7, NOTHING)
    assert (keys == expected).mean() > 0.98  # the normaliser is nearly exact
    assert scores == pytest.approx(its_scores, abs=0.02)


@pytest.mark.slow
def test_what_may_not_be_shown_is_not(exported) -> None:
    family, _, folder = exported
    answerer, queries = opened(family, folder), asked(family)
    three = np.sort(answerer.items.keys)[[2, 5, 9]]
    keys, scores = answerer.top_k(queries, 7, NOTHING, np.isin(answerer.items.keys, three))
    assert all(set(row) == {0, *three} for row in keys.tolist())
    assert np.isneginf(scores[:, 3:]).all()
    assert np.isfinite(scores[:, :3]).all()
    none, _ = answerer.top_k(queries, 7, NOTHING, np.zeros(len(answerer.items), bool))
    assert not none.any()


@pytest.mark.slow
def test_a_stranger_is_answered_and_k_is_cut_to_the_catalogue(exported) -> None:
    family, model, folder = exported
    answerer, items = opened(family, folder), len(model.item_keys)
    stranger = Queries(
        np.array([987654321]), np.zeros((1, 3), np.int64), asked(family).statistics[:1] * 0
    )
    keys, scores = answerer.top_k(stranger, items + 5, NOTHING[:1])
    assert set(keys[0].tolist()) == set(model.item_keys.tolist())
    assert np.isfinite(scores).all()
    assert answerer.top_k(stranger, 0, NOTHING[:1])[0].shape == (1, 0)


@pytest.mark.slow
def test_the_nearest_items_are_those_of_the_cosines(exported) -> None:
    family, _, folder = exported
    answerer = opened(family, folder)
    if family.name == "click_through":
        with pytest.raises(NoItemVectors, match="scores pairs"):
            answerer.similar(answerer.items.keys[:1], 3)
        return
    vectors = np.load(folder / answers.FOLDER / "item_vectors.npy")[1:].astype(np.float64)
    # Of factors the last two columns are a bias and its 1, of the towers the last is a bias.
    beside = {"ratings": 2, "retrieve_and_rank": 1, "sessions": 0}[family.name]
    vectors = vectors[:, : vectors.shape[1] - beside]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    every = answerer.items.keys
    asked_for = np.append(every[[4, 0, 7]], 987654321)
    keys, scores = answerer.similar(asked_for, 5)
    for place, row in enumerate((4, 0, 7)):
        cosines = vectors @ vectors[row]
        cosines[row] = -np.inf
        assert scores[place] == pytest.approx(np.sort(cosines)[::-1][:5], abs=1e-5)
        assert every[row] not in keys[place]
        assert scores[place] == pytest.approx(
            cosines[answerer.items.rows(keys[place]) - 1], abs=1e-5
        )
    assert not keys[3].any()
    alone, its_scores = answerer.similar(asked_for[1:2], 5)
    assert np.array_equal(alone[0], keys[1])
    assert np.array_equal(its_scores[0], scores[1])
    three = np.isin(every, every[[1, 2, 4]])
    assert set(answerer.similar(asked_for[:1], 5, three)[0][0].tolist()) == {0, *every[[1, 2]]}
    assert answerer.similar(asked_for, len(every) + 9)[0].shape == (4, len(every))


@pytest.mark.slow
def test_what_has_one_way_to_find_items_says_retrieval(exported) -> None:
    family, _, folder = exported
    answerer = opened(family, folder)
    keys = np.zeros((48, 3), np.int64)
    keys[:, 0] = answerer.items.keys[0]
    said = answerer.sources(asked(family), keys)
    assert not said[:, 1:].any()
    if family.name != "retrieve_and_rank":
        assert {answers.SOURCES[number] for number in said[:, 0]} == {"retrieval"}


@pytest.mark.slow
def test_sources_told_at_once_are_those_told_afterwards(exported) -> None:
    family, _, folder = exported
    answerer, queries = opened(family, folder), asked(family)
    some = np.arange(len(answerer.items)) % 3 > 0
    for shown in (None, some):
        keys, scores, said = answerer.top_k_and_sources(queries, 7, NOTHING, shown)
        alone, its_scores = answerer.top_k(queries, 7, NOTHING, shown)
        assert np.array_equal(keys, alone)
        assert np.array_equal(scores, its_scores)
        assert np.array_equal(said, answerer.sources(queries, keys, shown))
        assert (said > 0).tolist() == (keys > 0).tolist()


@pytest.mark.slow
def test_a_packed_model_answers_as_its_packed_graph(exported, tmp_path: Path) -> None:
    family, _, _ = exported
    for kind in ("int8", "prune"):
        model = champion(family).maintained(kind, asked(family))
        folder = tmp_path / kind
        model.export(folder, asked(family) if family.needs_features else None)
        _, scores = opened(family, folder).top_k(asked(family), 7, NOTHING)
        _, expected = model.served(folder).top_k(asked(family), 7, NOTHING)
        assert scores == pytest.approx(expected, rel=2e-4, abs=2e-5)


@pytest.mark.slow
def test_damage_is_told_by_the_files_name(exported, tmp_path: Path) -> None:
    import shutil

    family, _, folder = exported
    copy = shutil.copytree(folder, tmp_path / "copy")
    file = sorted((copy / answers.FOLDER).glob("*.npy"))[0]
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(CorruptCheckpoint, match=file.name):
        opened(family, copy)
    from models.storage import seal

    shutil.rmtree(copy / answers.FOLDER)
    seal.close(copy)  # an export of before there were answers
    assert not answers.there(copy)
    with pytest.raises(IncompatibleCheckpoint, match="no answers of this recloop"):
        opened(family, copy)


@pytest.mark.slow
def test_neither_tensorflow_nor_feast_is_imported(exported) -> None:
    family, _, folder = exported
    code = f"""
import sys
import numpy as np
from models.data.queries import Queries
from models.recommenders.family import family_named
from models.recommenders.offered import named
answerer = named(family_named({family.name!r}).answers)({str(folder)!r})
queries = Queries(np.ones(1, np.int64), np.ones((1, 3), np.int64), np.zeros((1, {asked(family).statistics.shape[1]}), np.float32))
assert answerer.top_k(queries, 3, np.zeros((1, 0), np.int64))[0].all()
print([name for name in ("tensorflow", "tf_keras", "feast", "pandas") if name in sys.modules])
"""  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_an_empty_bag_has_a_mean_of_zero() -> None:
    table = np.array([[9, 9], [1, 2], [3, 6]], np.float32)
    found = mean_of_rows(table, np.array([[1, 0, 2], [0, 0, 0], [2, 0, 0]]))
    assert found.tolist() == [[2, 4], [0, 0], [3, 6]]


def test_a_mean_has_the_same_bits_alone_and_among_many() -> None:
    rng = np.random.default_rng(2)
    table = rng.normal(size=(200, 24)).astype(np.float32)
    rows = rng.integers(0, 200, (64, 40)) * (rng.random((64, 40)) < 0.6)
    together = mean_of_rows(table, rows)
    for bag in range(len(rows)):
        alone = mean_of_rows(table, rows[bag : bag + 1])
        np.testing.assert_array_equal(alone[0], together[bag])
