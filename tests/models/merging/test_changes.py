"""Parts of a cascade: what is counted, files that can be believed, models without users."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks.put_back import put_back
from models.data.queries import Interactions, Queries
from models.errors import CorruptCheckpoint, NonFiniteWeights
from models.merging import changes
from models.merging.changes import forget_users, take_users_from
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.retrieve_and_rank.two_stage_config import FAMILY
from models.storage import checkpoint
from tests.models.conftest import World
from tests.models.tiny_two_stage import RANKER, TOWERS, loyal, new_model, queries_of

ONE_EPOCH = dataclasses.replace(TOWERS, epochs=1)


def learned(model: RetrieveAndRank, world: World, users: slice = slice(None)):
    """What the model learns of these users' events."""
    queries, chosen = queries_of(world), loyal(world)
    numbers = np.arange(len(queries))[users]
    mine = np.isin(chosen.query, numbers)
    place = np.searchsorted(numbers, chosen.query[mine]).astype(np.int32)
    asked = queries.take(numbers)
    events = Interactions(place, chosen.item_keys[mine], chosen.weights[mine])
    mark = changes.marks_of(model.states)
    model.fit(asked, events, ONE_EPOCH, ranker=dataclasses.replace(RANKER, epochs=1))
    return changes.changes_of(model.states, mark, model.touched_by(asked, events))


def test_times_are_counted_by_hand(cascade) -> None:
    """User 1002 chose two events, 1001 one; 501 is in both histories, 777 is nobody's."""
    queries = Queries(
        np.array([1001, 1002]),
        np.array([[501, 502, 0, 0, 0], [501, 777, 0, 0, 0]]),
        np.zeros((2, 2), np.float32),
    )
    events = Interactions(
        np.array([1, 0, 1], np.int32), np.array([503, 503, 777]), np.ones(3, np.float32)
    )
    times = cascade.touched_by(queries, events)["towers"][1]
    assert {name: np.flatnonzero(n).tolist() for name, n in times.items()} == {
        "user": [1, 2], "item": [3], "item_bias": [3], "history": [1, 2],
    }  # fmt: skip
    assert times["user"][[1, 2]].tolist() == [1, 2]
    assert times["item"][3] == 2
    assert times["history"][[1, 2]].tolist() == [2, 1]


def test_two_workers_of_the_cascade_are_merged_and_keep_their_users(cascade, world) -> None:
    mark = changes.marks_of(cascade.states)
    parts, users = [], []
    for half in (slice(0, 10), slice(10, 20)):
        parts.append(learned(cascade, world, half))
        users.append(cascade.parameters()["user"][1:][half])
        put_back(cascade.states, mark)
    changes.merge(cascade.states, parts, cascade.merging)
    merged = cascade.parameters()["user"][1:]
    np.testing.assert_allclose(merged[:10], users[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(merged[10:], users[1], rtol=1e-5, atol=1e-6)
    steps = [part["ranker"].steps for part in parts]
    assert min(steps) > 0
    assert cascade.ranker_state.steps == mark["ranker"].steps + sum(steps)


def test_a_part_is_restored_bit_for_bit_and_merges_the_same(cascade, world, tmp_path) -> None:
    other = RetrieveAndRank(
        cascade.config, checkpoint.copy(cascade.towers), checkpoint.copy(cascade.ranker_state)
    )
    mark = changes.marks_of(cascade.states)
    part = learned(cascade, world)
    put_back(cascade.states, mark)
    changes.save(part, tmp_path / "part", {"release": 4})
    again, header = changes.restore(tmp_path / "part", FAMILY.states)
    assert header["release"] == 4
    changes.merge(cascade.states, [part], cascade.merging)
    changes.merge(other.states, [again], other.merging)
    for name, table in cascade.parameters().items():
        assert (other.parameters()[name] == table).all(), name


def test_damaged_files_and_what_is_no_part_are_named(cascade, world, tmp_path) -> None:
    part = learned(cascade, world)
    changes.save(part, tmp_path / "part", {})
    path = tmp_path / "part" / "towers" / "manifest.json"
    manifest = json.loads(path.read_text())
    for broken in ({"kind": "model"}, {"kind": None}, {"steps": "many"}):
        path.write_text(json.dumps(manifest | broken))
        with pytest.raises(CorruptCheckpoint, match="isn't a part"):
            changes.restore(tmp_path / "part", FAMILY.states)
    cascade.save(tmp_path / "model")
    with pytest.raises(CorruptCheckpoint, match="isn't a part"):
        changes.restore(tmp_path / "model", FAMILY.states)
    part["towers"].tables["item"][0, 0] = np.nan
    with pytest.raises(NonFiniteWeights, match="table/item"):
        changes.save(part, tmp_path / "exploded", {})


def test_a_ranker_that_learns_for_the_first_time_is_left_out(world) -> None:
    model = new_model(world)
    model.fit(queries_of(world), loyal(world), ONE_EPOCH, ranker=None)
    part = learned(model, world)
    assert model.ranks
    assert (part["ranker"].steps, part["towers"].steps > 0) == (0, True)


def test_users_are_forgotten_and_come_back(cascade, world) -> None:
    recipe = dataclasses.replace(TOWERS, replay="uniform", replay_share=0.25)
    cascade.remember(queries_of(world), loyal(world), recipe, 15_000.0)
    cascade.note_seen(world.user_keys, world.items.item_keys, 15_000)
    kept = checkpoint.copy(cascade.towers)
    before = cascade.parameters()
    forget_users(cascade.towers)
    after = cascade.parameters()
    assert after["user"].shape == (1, 8)
    assert not cascade.towers.extra
    assert (len(cascade.user_keys), len(cascade.item_keys)) == (0, 30)
    assert all((after[name] == before[name]).all() for name in before if name != "user")
    cascade.top_k(queries_of(world), 3)  # who is unknown is still answered

    take_users_from(cascade.towers, kept)
    for name, array in checkpoint.to_arrays(cascade.towers).items():
        assert (array == checkpoint.to_arrays(kept)[name]).all(), name
    with pytest.raises(ValueError, match="knows 20 users already"):
        take_users_from(cascade.towers, kept)
