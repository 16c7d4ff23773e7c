"""Thinning on disk: what goes, what a delta's chain holds back, and a thinning that is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from models.errors import RestoreError
from models.storage import archive
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.ledger import updates
from recloop.release import registry, thinning
from recloop.settings import Settings
from recloop.stages import upkeep_stages
from recloop.training.recommender import CHECKPOINT
from tests.recloop.ledger.builders import feature, plan, promote, train


def checkpoint(folder: Path, base: Path | None = None) -> None:
    """A model of one small array, or a delta of another folder's."""
    place = folder / CHECKPOINT / "towers"
    header = {}
    if base is not None:
        source = base / CHECKPOINT / "towers"
        path = os.path.relpath(source, place)
        header = {"base": {"path": path, "sha256": archive.digest(source)}}
    archive.write(place, header, {"table": np.zeros(3, np.float32)})


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What the registry was told to forget."""
    told: list[set[str]] = []

    def forget(settings: Settings, folders: Collection[str]) -> int:
        told.append(set(folders))
        return len(told[-1])

    monkeypatch.setattr(registry, "forget", forget)
    return told


@pytest.fixture
def loop(settings: Settings, forgotten: list[set[str]]) -> Settings:
    """Releases 1 (from scratch) to 5 with their candidates; 4 is a delta of 3, 3 of 2."""
    releases, candidates = settings.artifacts / "releases", settings.artifacts / "candidates"
    for number in range(5):
        with transaction(settings.database_url) as cursor:
            feature(cursor, number)
            made = promote(cursor, number, "rebuild" if number == 0 else "increment")
            folder = releases / f"{made.update_id}-{10 + number}"
            cursor.execute(
                "update ledger.release set uri = %s where version = %s", (str(folder), made.version)
            )
        base = releases / f"{number}-{9 + number}" if made.version in (3, 4) else None
        checkpoint(folder, base)
        checkpoint(candidates / f"{made.update_id}-{10 + number}")
        checkpoint(settings.artifacts / "shards" / f"{made.update_id}-0-{10 + number}")
    return settings


def left(settings: Settings) -> dict[str, list[str]]:
    return {
        "releases": sorted(os.listdir(settings.artifacts / "releases")),
        "candidates": sorted(os.listdir(settings.artifacts / "candidates")),
        "shards": sorted(os.listdir(settings.artifacts / "shards")),
    }


def test_what_a_delta_is_based_on_stays_whosever_it_is(loop: Settings) -> None:
    """5 and 4 were champions last; 1 is where the lineage began; 4 needs 3 and 2."""
    done = upkeep_stages.thin(2, loop)
    assert (done["kept"], done["thinned"]) == ([1, 4, 5], [2, 3])
    assert left(loop) == {
        "releases": ["1-10", "2-11", "3-12", "4-13", "5-14"],
        "candidates": [],
        "shards": [],
    }


def test_the_rest_goes_with_its_model_versions(loop: Settings, forgotten: list[set[str]]) -> None:
    with transaction(loop.database_url) as cursor:  # a whole checkpoint in 4's place
        feature(cursor, 5)
        made = promote(cursor, 5)
        feature(cursor, 6)
        promote(cursor, 6)
    assert made.version == 6
    done = upkeep_stages.thin(2, loop)
    assert done["kept"] == [1, 6, 7]
    releases = loop.artifacts / "releases"
    assert left(loop)["releases"] == ["1-10"]
    assert {str(releases / f"{n}-{9 + n}") for n in (2, 3, 4, 5)} <= forgotten[0]
    assert str(releases / "1-10") not in forgotten[0]
    assert done["bytes"] > 4 * 12
    assert done["folders"] == 4 + 5 + 5


def test_what_a_rebuild_would_be_held_against_stays_with_all_that_it_is_based_on(
    loop: Settings,
) -> None:
    kept = loop.artifacts / "candidates" / "5-14"
    checkpoint(kept, loop.artifacts / "releases" / "3-12")
    with transaction(loop.database_url) as cursor:
        cursor.execute(
            "update ledger.update set candidate = jsonb_set(candidate, '{uri}', to_jsonb(%s::text)) "
            "where update_id = 5",
            (str(kept),),
        )
    checkpoint(loop.artifacts / "releases" / "4-13")  # whole, so that 3 is needed by 5-14 alone
    upkeep_stages.thin(2, loop)
    assert left(loop)["candidates"] == ["5-14"]
    assert left(loop)["releases"] == ["1-10", "2-11", "3-12", "4-13", "5-14"]
    shutil.rmtree(loop.artifacts / "releases" / "3-12")  # what is broken holds nothing back
    upkeep_stages.thin(2, loop)
    assert left(loop)["candidates"] == []


def test_old_answers_of_servers_go_too_and_are_counted(loop: Settings) -> None:
    """Weeks 0 to 6 from 2011-05-30 are learnt; late lines are looked for from 2011-06-13 on."""
    with transaction(loop.database_url) as cursor:
        feature(cursor, 5, 6)
        promote(cursor, 6)
        cursor.execute("update ledger.reign set ended_at = '2011-07-15' where ended_at is not null")
        for day in ("2011-06-01", "2011-06-02", "2011-07-20", "2011-12-01"):
            cursor.execute(
                "insert into ledger.impression (request_id, version, at, user_id, items, features) "
                "values (gen_random_uuid(), 1, %s, 'u', '{1}', '{}')",
                (day,),
            )
        cursor.execute(
            "insert into ledger.feedback (request_id, item_id, kind, at) "
            "select request_id, 'a', 'click', at from ledger.impression where at < '2011-06-02' "
            "union all select gen_random_uuid(), 'a', 'click', '2011-06-03'"
        )
    config = Path(shutil.copytree(loop.config, loop.home / "config"))
    ours = loop.model_copy(update={"config": config})

    def thinned(keep: int) -> tuple[int, int, int]:
        rules = (loop.config / "update.toml").read_text()
        setting = "keep_impressions_days = "
        (config / "update.toml").write_text(rules.replace(f"{setting}90", f"{setting}{keep}"))
        done = upkeep_stages.thin(2, ours, datetime(2012, 1, 1, tzinfo=UTC))
        return done["impressions"], done["impressions_needed"], done["feedback"]

    assert thinned(0) == (0, 0, 0)
    assert thinned(90) == (2, 1, 2)  # the week of 2011-07-20 is still to come
    assert thinned(10) == (0, 2, 0)
    assert thinned(90) == (0, 1, 0)


def test_thinning_twice_changes_nothing(loop: Settings) -> None:
    upkeep_stages.thin(2, loop)
    before = left(loop)
    again = upkeep_stages.thin(2, loop)
    assert (again["thinned"], again["folders"], again["bytes"]) == ([], 0, 0)
    assert left(loop) == before


@pytest.mark.parametrize("survived", range(0, 24, 5))
def test_a_killed_thinning_is_repeated(
    loop: Settings, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    """It dies at any of its renames and deletions; the next run leaves what an undisturbed one does."""
    steps = 0

    def mortal(real):
        def call(*args, **kwargs):
            nonlocal steps
            steps += 1
            if steps > survived:
                raise KeyboardInterrupt
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", mortal(shutil.rmtree))
        patch.setattr(Path, "rename", mortal(Path.rename))
        with pytest.raises(KeyboardInterrupt):
            upkeep_stages.thin(2, loop)
    upkeep_stages.thin(2, loop)
    assert left(loop) == {
        "releases": ["1-10", "2-11", "3-12", "4-13", "5-14"],
        "candidates": [],
        "shards": [],
    }


def test_what_a_live_update_wrote_or_will_read_stays(loop: Settings) -> None:
    with transaction(loop.database_url) as cursor:
        feature(cursor, 5)
        made = plan(cursor, 5)
        lease = updates.begin_update(cursor, made, "run")
        train(cursor, lease, made)
    mine = loop.artifacts / "candidates" / f"{lease.update_id}-20"
    orphan = loop.artifacts / "candidates" / f"{lease.update_id}-19"
    elsewhere = loop.artifacts / "candidates" / "1-10"
    for folder in (mine, orphan):
        checkpoint(folder, elsewhere)
    shard = loop.artifacts / "shards" / f"{lease.update_id}-1-20"
    shard.mkdir()
    with transaction(loop.database_url) as cursor:
        cursor.execute(
            "update ledger.update set candidate = candidate || jsonb_build_object('uri', %s::text) "
            "where update_id = %s",
            (str(mine), lease.update_id),
        )
    upkeep_stages.thin(2, loop)
    assert left(loop)["candidates"] == ["1-10", orphan.name, mine.name]
    assert left(loop)["shards"] == [shard.name]


def test_nothing_goes_while_a_kept_checkpoint_cannot_be_read(loop: Settings) -> None:
    (loop.artifacts / "releases" / "4-13" / CHECKPOINT / "towers" / archive.MANIFEST).write_text(
        "{"
    )
    before = left(loop)
    with pytest.raises(RestoreError):
        upkeep_stages.thin(2, loop)
    assert left(loop) == before
    with transaction(loop.database_url) as cursor:
        cursor.execute("select count(thinned_at) from ledger.release")
        assert cursor.fetchone() == (0,)


def test_folders_outside_and_of_other_names_are_left_alone(loop: Settings, tmp_path: Path) -> None:
    notes = loop.artifacts / "releases" / "notes"
    notes.mkdir()
    outside = tmp_path / "elsewhere" / "2-11"
    checkpoint(outside)
    with transaction(loop.database_url) as cursor:
        cursor.execute("update ledger.release set uri = %s where version = 2", (str(outside),))
        feature(cursor, 5)
        promote(cursor, 5)
    upkeep_stages.thin(2, loop)
    assert notes.exists()
    assert outside.exists()


def test_at_least_one_release_to_roll_back_to_is_kept(loop: Settings) -> None:
    with pytest.raises(BadInput, match="at least 2"):
        upkeep_stages.thin(1, loop)


def test_the_registry_forgets_versions_and_their_aliases(settings: Settings) -> None:
    from mlflow.exceptions import MlflowException

    from tests.recloop.release.test_registry import register

    one, two = register(settings, "/r/1"), register(settings, "/r/2")
    assert registry.forget(settings, {"/r/2", "/r/3"}) == 1
    assert registry.forget(settings, {"/r/2"}) == 0
    mlflow = registry.client(settings)
    left = mlflow.search_model_versions("name = 'recommender'")
    assert [str(version.version) for version in left] == [one]
    with pytest.raises(MlflowException):
        mlflow.get_model_version("recommender", two)
    with pytest.raises(MlflowException):
        mlflow.get_model_version_by_alias("recommender", "challenger")


def test_names_of_attempts_only() -> None:
    assert thinning.ATTEMPT.fullmatch("12-34")[1] == "12"
    assert thinning.ATTEMPT.fullmatch("notes") is None
