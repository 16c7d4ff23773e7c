"""The memory of pairs goes wherever the recommender goes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from models.cooccurrence.pair_memory import PairMemory
from models.data.queries import Interactions, Queries
from models.errors import CorruptCheckpoint
from models.merging import changes
from models.ranker.ranker_config import feature_width
from models.recommenders.recommender_files import HEADER
from models.retrieve_and_rank import two_stages as stages
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.retrieve_and_rank.shrinking import maintained
from tests.models.conftest import World
from tests.models.tiny_two_stage import CONFIG, RANKER, TOWERS, loyal, new_model, queries_of

FIRST = feature_width(2, 2)
"""The column of the votes: the memory's features come last."""


@pytest.fixture
def queries(world: World) -> Queries:
    return dataclasses.replace(queries_of(world), days=np.full(20, 700.0))


def memory_of(model: RetrieveAndRank) -> PairMemory:
    memory = PairMemory.of(model.towers.extra)
    assert memory is not None
    return memory


def same(one: PairMemory, other: PairMemory) -> bool:
    mine, theirs = one.to_arrays(), other.to_arrays()
    return all(np.array_equal(mine[name], theirs[name]) for name in mine)


def of_users(queries: Queries, chosen: Interactions, users: slice) -> tuple[Queries, Interactions]:
    rows = np.arange(len(queries))[users]
    mine = np.isin(chosen.query, rows)
    query = np.searchsorted(rows, chosen.query[mine]).astype(np.int32)
    weights = chosen.weights[mine]
    return queries.take(rows), Interactions(query, chosen.item_keys[mine], weights)


def test_a_window_is_ranked_before_its_pairs_are_counted(world, queries, monkeypatch) -> None:
    model, seen = new_model(world), []
    tested = stages.tested

    def noting(*arguments):  # type: ignore[no-untyped-def]
        lists, labels = tested(*arguments)
        seen.append(lists.features[:, FIRST].copy())
        return lists, labels

    monkeypatch.setattr(stages, "tested", noting)
    plain = dataclasses.replace(CONFIG, neighbours=8)
    model = RetrieveAndRank.create(plain, seed=7)
    model.add_ids(world.user_keys, world.items)
    model.rebuild(
        of_users(queries, loyal(world), slice(0, 10)),  # they choose nothing new
        [(queries, loyal(world)), (queries, loyal(world))],
        dataclasses.replace(TOWERS, epochs=1),
        dataclasses.replace(TOWERS, epochs=1),
        ranker=dataclasses.replace(RANKER, epochs=1),
    )
    model.fit(queries, loyal(world), dataclasses.replace(TOWERS, epochs=1), ranker=None)
    nothing = np.log(np.float32(1e-4))
    assert (seen[0] == nothing).all()
    assert (seen[1] > nothing).any()
    before = memory_of(model)
    model.fit(queries, loyal(world), dataclasses.replace(TOWERS, epochs=1), ranker=RANKER)
    own = queries.own
    assert own is not None
    now = stages.Together.of(before, own, model.towers.items.rows(own.item_keys), 0)
    assert seen[2].max() == pytest.approx(np.log(now.votes.max()), rel=1e-5)


def test_saved_as_a_whole_or_as_what_changed_it_comes_back_bit_by_bit(
    cascade, world, queries, tmp_path
) -> None:
    cascade.save(tmp_path / "whole")
    cascade.fit(queries, loyal(world), TOWERS, ranker=RANKER)
    assert cascade.save(tmp_path / "delta", base=tmp_path / "whole") == "delta"
    assert same(memory_of(RetrieveAndRank.restore(tmp_path / "delta")), memory_of(cascade))
    assert not same(memory_of(RetrieveAndRank.restore(tmp_path / "whole")), memory_of(cascade))


def test_a_checkpoint_from_before_there_was_a_memory_answers_as_it_did(
    world, queries, tmp_path
) -> None:
    model = new_model(world, dataclasses.replace(CONFIG, neighbours=0))
    for _ in range(2):
        model.fit(queries, loyal(world), TOWERS, ranker=RANKER)
    assert PairMemory.of(model.towers.extra) is None
    model.save(tmp_path / "old")
    header = json.loads((tmp_path / "old" / HEADER).read_text())
    del header["shape"]["neighbours"], header["shape"]["together"]
    (tmp_path / "old" / HEADER).write_text(json.dumps(header))
    again = RetrieveAndRank.restore(tmp_path / "old")
    assert again.config.neighbours == 0
    for got, wanted in zip(again.top_k(queries, 5), model.top_k(queries, 5), strict=True):
        assert (got == wanted).all()


def test_a_memory_of_another_make_is_told(cascade, tmp_path) -> None:
    cascade.save(tmp_path / "model")
    header = json.loads((tmp_path / "model" / HEADER).read_text())
    header["shape"]["neighbours"] = 5
    (tmp_path / "model" / HEADER).write_text(json.dumps(header))
    with pytest.raises(CorruptCheckpoint, match=r"The memory of pairs in .* were mixed"):
        RetrieveAndRank.restore(tmp_path / "model")


def test_items_that_expire_leave_the_memory(cascade, world, queries) -> None:
    before, keys = memory_of(cascade), np.array(cascade.item_keys)
    cascade.note_seen(world.user_keys, keys, 50)
    cascade.note_seen(world.user_keys, keys[keys % 3 > 0], 90)
    assert cascade.expire(80) == (0, 10)
    after = memory_of(cascade)
    assert len(after) == 21
    for row, key in enumerate(cascade.item_keys, 1):
        old = int(np.flatnonzero(keys == key)[0]) + 1
        pairs = dict(zip(before.neighbours[old], before.weights[old], strict=True))
        stay = {int(keys[n - 1]): w for n, w in pairs.items() if n and keys[n - 1] % 3}
        found = zip(after.neighbours[row], after.weights[row], strict=True)
        assert {int(cascade.item_keys[n - 1]): w for n, w in found if n} == stay
    cascade.add_ids(world.user_keys, world.items)
    cascade.fit(queries, loyal(world), TOWERS, ranker=RANKER)
    assert np.isfinite(cascade.top_k(queries, 5)[1]).all()


def test_two_shards_count_what_one_process_counts(cascade, model_folder, world, queries) -> None:
    chosen, parts = loyal(world), []
    for users in (slice(0, 20, 2), slice(1, 20, 2)):
        own = of_users(queries, chosen, users)
        worker = RetrieveAndRank.restore(model_folder)
        marks = changes.marks_of(worker.states)
        worker.fit(*own, TOWERS, ranker=RANKER)
        parts.append(changes.changes_of(worker.states, marks, worker.touched_by(*own)))
    merged = RetrieveAndRank.restore(model_folder)
    changes.merge(merged.states, parts, merged.merging)
    cascade.fit(queries, chosen, TOWERS, ranker=RANKER)
    whole = memory_of(cascade)
    assert not same(whole, memory_of(RetrieveAndRank.restore(model_folder)))
    assert (memory_of(merged).neighbours == whole.neighbours).all()
    assert memory_of(merged).weights == pytest.approx(whole.weights, rel=1e-5)
    assert memory_of(merged).counts == pytest.approx(whole.counts, rel=1e-5)


def test_a_part_on_disk_has_what_was_counted(model_folder, world, queries, tmp_path) -> None:
    worker = RetrieveAndRank.restore(model_folder)
    marks = changes.marks_of(worker.states)
    worker.fit(queries, loyal(world), TOWERS, ranker=RANKER)
    part = changes.changes_of(worker.states, marks, worker.touched_by(queries, loyal(world)))
    changes.save(part, tmp_path / "part", {})
    again, _ = changes.restore(tmp_path / "part", worker.states)
    assert again["towers"].pairs.keys() == part["towers"].pairs.keys()
    for name, array in again["towers"].pairs.items():
        assert (array == part["towers"].pairs[name]).all(), name
    assert len(again["towers"].pairs["weights"])
    assert again["ranker"].pairs == {}


def test_a_student_remembers_and_a_model_without_its_users_does_not(cascade, queries) -> None:
    student = maintained(cascade, "student", queries)
    assert same(memory_of(student), memory_of(cascade))
    assert (student.top_k(queries, 5)[0] > 0).all()
    changes.forget_users(cascade.towers)
    assert PairMemory.of(cascade.towers.extra) is None
    assert (cascade.top_k(queries, 5)[0] > 0).all()


def test_the_average_of_releases_remembers_what_the_newest_does(
    cascade, model_folder, world, queries
) -> None:
    cascade.fit(queries, loyal(world), TOWERS, ranker=RANKER)
    assert same(memory_of(cascade.averaged([model_folder])), memory_of(cascade))
