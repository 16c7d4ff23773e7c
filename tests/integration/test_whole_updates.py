"""Updates from plan to promotion, on real data: lineage, replay, repetition, rollback, cold users."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.storage.seal import SEAL
from recloop.cli.loop import run_update
from recloop.database.connection import transaction
from recloop.ledger import releases
from recloop.release import promotion, registry
from recloop.release.recommend import recommend
from recloop.settings import Settings
from recloop.stages import update_stages
from recloop.stages.status import read_status
from recloop.training.recommender import restore_model

FIRST, SECOND = "2011-01-17", "2011-01-24"


def weights(uri: str) -> dict[str, np.ndarray]:
    return restore_model(uri).parameters()


def test_the_oldest_window_comes_first_and_a_replay_gives_the_same_weights(
    prepared: Settings,
) -> None:
    one = run_update(prepared, None)
    assert (one["outcome"], one["plan"]["target"]) == ("promoted", FIRST)
    assert one["plan"]["signals"]["champion_recall@20"] > 0
    update_stages.roll_back(None, "to replay", prepared)
    again = run_update(prepared, FIRST)
    assert again["outcome"] == "promoted"
    left, right = weights(one["release"]["uri"]), weights(again["release"]["uri"])
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_a_plans_strategy_reaches_the_training(prepared: Settings) -> None:
    with transaction(prepared.database_url) as cursor:
        before = releases.champion(cursor)
    assert before is not None
    strategy = {"recipe": {"scope": "users", "epochs": 1}, "ranker": {"scope": "head"}}
    done = run_update(prepared, FIRST, "increment", strategy)
    assert done["outcome"] == "promoted"
    old, new = weights(before.uri), weights(done["release"]["uri"])
    moved = {
        name for name, table in old.items() if not np.array_equal(new[name][: len(table)], table)
    }
    assert "user" in moved
    assert not moved & {"item", "item_bias", "history", "word", "statistics"}
    assert moved - {"user"}, "the ranker's head should have moved"
    assert all(name.startswith("ranker/") for name in moved - {"user"})


def test_the_ranker_rests_when_a_plan_says_so(prepared: Settings) -> None:
    with transaction(prepared.database_url) as cursor:
        before = releases.champion(cursor)
    assert before is not None
    done = run_update(prepared, FIRST, "increment", {"rank": False})
    assert done["outcome"] == "promoted"
    old, new = weights(before.uri), weights(done["release"]["uri"])
    for name, table in old.items():
        same = np.array_equal(new[name][: len(table)], table)
        assert same == name.startswith("ranker/"), name


def test_what_is_trained_is_not_trained_again(prepared: Settings) -> None:
    run_update(prepared, FIRST)
    again = run_update(prepared, FIRST)
    assert again["outcome"] == "none"
    assert "already trained in the lineage of release 2" in again["plan"]["reason"]


def test_a_dry_run_plans_and_changes_nothing(prepared: Settings) -> None:
    before = read_status(prepared)
    planned = run_update(prepared, None, dry_run=True)
    assert (planned["plan"]["decision"], planned["outcome"]) == ("increment", "dry run")
    assert read_status(prepared) == before


def test_a_later_target_covers_the_windows_before_it(prepared: Settings) -> None:
    release = run_update(prepared, SECOND)["release"]
    assert {FIRST, SECOND} <= set(release["windows"])
    rows = {row["window"]: row for row in read_status(prepared)["windows"]}
    assert rows[FIRST]["reason"] == f"learnt with window {SECOND}"


def served(settings: Settings) -> str:
    """The folder of the release whose export TF Serving would take."""
    base = settings.serving / "recommender"
    newest = max((path for path in base.iterdir()), key=lambda path: int(path.name))
    with transaction(settings.database_url) as cursor:
        cursor.execute("select uri from ledger.release")
        uris = [uri for (uri,) in cursor.fetchall()]
    (found,) = [
        uri
        for uri in uris
        if (Path(uri) / "saved_model" / SEAL).read_bytes() == (newest / SEAL).read_bytes()
    ]
    return str(found)


def test_the_model_grows_and_the_registry_and_serving_follow(prepared: Settings) -> None:
    with transaction(prepared.database_url) as cursor:
        base = releases.champion(cursor)
    release = run_update(prepared, FIRST)["release"]
    old, new = (restore_model(uri) for uri in (base.uri, release["uri"]))
    assert len(new.item_keys) > len(old.item_keys)
    assert len(new.user_keys) > len(old.user_keys)
    np.testing.assert_array_equal(new.item_keys[: len(old.item_keys)], old.item_keys)
    assert served(prepared) == release["uri"]
    alias = registry.client(prepared).get_model_version_by_alias(registry.MODEL, "champion")
    assert alias.source == release["uri"]
    assert alias.tags["window"] == FIRST

    update_stages.roll_back(None, "test", prepared)
    assert served(prepared) == base.uri
    alias = registry.client(prepared).get_model_version_by_alias(registry.MODEL, "champion")
    assert alias.source == base.uri


def test_a_crash_between_promotion_and_publication_heals(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = update_stages.plan(None, "increment", "run", settings=prepared)
    update_stages.train(planned["update_id"], "run", prepared)
    update_stages.evaluate(planned["update_id"], "run", prepared)
    with monkeypatch.context() as patch:
        patch.setattr(promotion, "publish", lambda _: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            update_stages.promote(planned["update_id"], "run", prepared)
    release = update_stages.promote(planned["update_id"], "run", prepared)
    assert served(prepared) == release["uri"]
    with transaction(prepared.database_url) as cursor:
        cursor.execute("select count(*) from ledger.release")
        assert cursor.fetchone() == (2,)


def test_strangers_and_regulars_are_answered_with_names(prepared: Settings) -> None:
    with transaction(prepared.database_url) as cursor:
        cursor.execute("select user_id from behavior.account order by user_key limit 1")
        (regular,) = cursor.fetchone()
    known = recommend(prepared, regular, 8)
    stranger = recommend(prepared, "nobody ever saw me", 8)
    assert known.known_user
    assert not stranger.known_user
    for answer in (known, stranger):
        assert len({item.item_id for item in answer.items}) == 8
        assert all(item.name and item.name != item.item_id for item in answer.items)
        assert [i.score for i in answer.items] == sorted(
            (i.score for i in answer.items), reverse=True
        )
    assert known.items != stranger.items
