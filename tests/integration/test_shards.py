"""Increments in shards on real weeks: nearly as good, bounded by their wait, the same when repeated."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from recloop.cli.loop import run_update
from recloop.contracts import Candidate
from recloop.database.connection import transaction
from recloop.errors import LeaseLost
from recloop.ledger import shards, updates
from recloop.settings import Settings
from recloop.stages import shard_stages, update_stages
from recloop.stages.status import read_status
from recloop.training.material import read_assignment, read_material
from recloop.training.recommender import restore_model
from recloop.training.sharding import shard_numbers, shard_of

FIRST, SECOND = "2011-01-17", "2011-01-24"
RUN = "a test"
POLICY = {"policy": "every-window"}


def planned(settings: Settings, **options) -> int:
    made = update_stages.plan(FIRST, "increment", RUN, options=POLICY | options, settings=settings)
    assert shard_stages.is_sharded(made)
    return int(made["update_id"])


def states(settings: Settings, update_id: int) -> list[str]:
    with transaction(settings.database_url) as cursor:
        return [shard.state for shard in shards.shards_of(cursor, update_id)]


def weights(uri: str) -> dict[str, np.ndarray]:
    return restore_model(uri).parameters()


def test_users_are_split_evenly_and_for_good() -> None:
    """The first three by hand, with Python's integers."""
    numbers = shard_numbers(np.arange(1, 10_001), 4)
    for key in (1, 2, 3, 10_000):
        mixed = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) % 2**64
        assert numbers[key - 1] == (mixed ^ (mixed >> 31)) % 4
    assert np.bincount(numbers).min() > 2_350
    assert (shard_numbers(np.array([7, 7, 7]), 64) == shard_numbers(np.array([7]), 64)).all()


def test_every_event_is_in_one_shard_with_its_query(prepared: Settings) -> None:
    from recloop.config.rules import load_update_rules

    update_id = planned(prepared, shards=3)
    with transaction(prepared.database_url) as cursor:
        work = read_assignment(cursor, update_id)
    seen = read_material(work, load_update_rules(prepared)).seen
    pieces = [shard_of(seen, number, 3) for number in range(3)]
    assert sum(len(one.item_keys) for one in pieces) == len(seen.item_keys)
    owners = [set(one.user_keys.tolist()) for one in pieces]
    assert set.union(*owners) == set(seen.user_keys.tolist())
    assert sum(map(len, owners)) == len(set.union(*owners)), "a user is in two shards"
    assert all(len(one.user_keys) == len(np.unique(one.query)) for one in pieces)


def test_four_shards_are_merged_judged_promoted_and_replayed(prepared: Settings) -> None:
    """Two windows one after the other, against the same windows in one piece; then once more."""
    kept = {}
    for count in (1, 4):
        done = [
            run_update(prepared, key, "increment", POLICY | {"shards": count})
            for key in (FIRST, SECOND)
        ]
        assert [one["outcome"] for one in done] == ["promoted", "promoted"]
        kept[count] = done
        update_stages.roll_back(1, "to replay", prepared)
    for whole, sharded in zip(kept[1], kept[4], strict=True):
        ours, theirs = sharded["gate"]["challenger"], whole["gate"]["challenger"]
        assert ours["users"] == theirs["users"]
        metric = "ndcg@20"
        assert ours["values"][metric] > 0.9 * theirs["values"][metric], (
            "make bench-retail measures it over 27 weeks"
        )
        left, right = weights(whole["release"]["uri"]), weights(sharded["release"]["uri"])
        assert {name: table.shape for name, table in left.items()} == {
            name: table.shape for name, table in right.items()
        }, "rows agree"
    update_id = kept[4][0]["plan"]["update_id"]
    assert states(prepared, update_id) == ["reported"] * 4
    rows = {row["window"]: row for row in read_status(prepared)["windows"]}
    assert rows[FIRST]["pending"], "rolled back"
    again = run_update(prepared, FIRST, "increment", POLICY | {"shards": 4})
    first, second = (weights(one["release"]["uri"]) for one in (kept[4][0], again))
    for name, table in first.items():
        np.testing.assert_array_equal(second[name], table, err_msg=name)


def test_a_dead_shard_delays_no_more_than_the_bound_and_loses_no_event(prepared: Settings) -> None:
    update_id = planned(prepared, shards=3, shard_wait=4)
    work = shard_stages.split(update_id, RUN, prepared)
    assert [one["shard"] for one in work] == [0, 1, 2]
    reports = [shard_stages.train_shard(update_id, number, prepared) for number in (0, 1)]
    with transaction(prepared.database_url) as cursor:
        token = shards.begin_shard(cursor, update_id, 2)  # and then it dies
        cursor.execute("update ledger.shard set opened_at = now()")  # as if all had begun just now
    candidate = Candidate.model_validate(shard_stages.merge(update_id, RUN, prepared))
    with transaction(prepared.database_url) as cursor:
        cursor.execute(
            "select extract(epoch from changed_at - opened_at)::float8 from ledger.shard "
            "where state = 'taken'"
        )
        ((taken_after,),) = cursor.fetchall()
    assert 4.0 <= taken_after < 8.0
    assert states(prepared, update_id) == ["reported", "reported", "taken"]
    with transaction(prepared.database_url) as cursor, pytest.raises(LeaseLost):
        shards.report_shard(
            cursor, shards.ShardReport(**{**reports[0], "number": 2, "examples": 99_999}), token
        )
    with pytest.raises(LeaseLost):
        shard_stages.train_shard(update_id, 2, prepared)
    whole = update_stages.train(planned_anew(prepared, update_id), RUN, prepared)
    assert candidate.examples == whole["examples"], "each event was learnt, by whomever"


def planned_anew(settings: Settings, update_id: int) -> int:
    """Ends an update and plans the same in one piece."""
    with transaction(settings.database_url) as cursor:
        lease = updates.take_over(cursor, update_id, RUN)
        updates.conclude(cursor, lease, "abandoned", "test")
    made = update_stages.plan(FIRST, "increment", RUN, options=POLICY, settings=settings)
    return int(made["update_id"])


def test_what_cannot_be_used_is_learnt_by_the_merge(prepared: Settings) -> None:
    """A part that was damaged on disk, and one from a release that is not the parent."""
    update_id = planned(prepared, shards=2, shard_wait=60)
    shard_stages.split(update_id, RUN, prepared)
    reports = [shard_stages.train_shard(update_id, number, prepared) for number in (0, 1)]
    shutil.rmtree(Path(reports[0]["uri"]) / "ranker")
    with transaction(prepared.database_url) as cursor:
        cursor.execute(
            "update ledger.shard set report = jsonb_set(report, '{parent_release}', '99') "
            "where update_id = %s and number = 1",
            (update_id,),
        )
    began = time.monotonic()
    merged = shard_stages.merge(update_id, RUN, prepared)
    assert time.monotonic() - began < 60, "both had reported: there was nothing to wait for"
    assert states(prepared, update_id) == ["taken", "taken"]
    assert merged["examples"] == sum(report["examples"] for report in reports)


def test_a_merge_that_was_killed_is_repeated(prepared: Settings, monkeypatch) -> None:
    update_id = planned(prepared, shards=2, shard_wait=0)
    shard_stages.split(update_id, RUN, prepared)
    shard_stages.train_shard(update_id, 0, prepared)
    with monkeypatch.context() as patch:
        patch.setattr("recloop.training.sharding.merge_shards", killed)
        with pytest.raises(KeyboardInterrupt):
            shard_stages.merge(update_id, RUN, prepared)
    assert states(prepared, update_id) == ["reported", "taken"]
    candidate = shard_stages.merge(update_id, RUN, prepared)
    assert update_stages.evaluate(update_id, RUN, prepared)["update_id"] == candidate["update_id"]
    assert not list((prepared.artifacts / "shards").iterdir()), "what is merged is not kept"


def killed(*_) -> None:
    raise KeyboardInterrupt


def test_replay_remembers_what_all_shards_learned(prepared: Settings) -> None:
    strategy = {"recipe": {"replay": "uniform"}, "shards": 2}
    done = run_update(prepared, FIRST, "increment", POLICY | strategy)
    assert done["outcome"] == "promoted"
    model = restore_model(done["release"]["uri"])
    assert model.remembers
    users = set(model.towers.extra["memory/example/user_keys"].tolist())
    assert len({int(n) for n in shard_numbers(np.array(sorted(users)), 2)}) == 2
