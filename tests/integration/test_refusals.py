"""A challenger that must not reign does not, and the champion stays and answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer

from models.errors import NonFiniteWeights
from recloop.cli.loop import run_update
from recloop.contracts import Candidate
from recloop.database.connection import first, transaction
from recloop.ledger import releases, updates
from recloop.release.recommend import recommend
from recloop.settings import PROJECT, Settings
from recloop.stages import approval_stages, update_stages
from recloop.stages.status import read_status

RUN = "a test"


@pytest.fixture
def strict(prepared: Settings, tmp_path: Path) -> Settings:
    """With the gate's shipped margins."""
    config = tmp_path / "config"
    shutil.copytree(prepared.config, config)
    shutil.copy(PROJECT / "config" / "gate.toml", config / "gate.toml")
    return prepared.model_copy(update={"config": config})


def trained(settings: Settings) -> tuple[int, Candidate]:
    planned = update_stages.plan(None, "increment", RUN, settings=settings)
    candidate = update_stages.train(planned["update_id"], RUN, settings)
    return planned["update_id"], Candidate.model_validate(candidate)


def champion_of(settings: Settings):
    with transaction(settings.database_url) as cursor:
        return releases.champion(cursor)


def assert_refused(settings: Settings, update_id: int, rule: str) -> str:
    before = champion_of(settings)
    report = update_stages.evaluate(update_id, RUN, settings)
    broken = {r["name"]: r for r in report["rules"] if not r["passed"]}
    assert not report["passed"]
    assert rule in broken, broken
    page = Path(report["uri"]).read_text()
    assert page.count("BROKEN") + page.count("UNDECIDED") == len(broken)
    assert champion_of(settings) == before
    with transaction(settings.database_url) as cursor:
        row = updates.all_updates(cursor)[-1]
        assert releases.pending(cursor)[0] == row["target"]
    assert row["state"] == "rejected"
    assert rule in row["reason"]
    with pytest.raises(Exception, match="has not passed the gate"):
        update_stages.promote(update_id, RUN, settings)
    return row["reason"]


def rewrite(candidate: Candidate, change) -> None:
    """Alter a candidate's weights on disk and its manifest's hashes with them."""
    import hashlib

    folder = Path(candidate.uri) / "checkpoint" / "towers"
    file = next(folder.glob("*.npz"))
    with np.load(file) as archive:
        arrays = {name: archive[name].copy() for name in archive.files}
    change(arrays)
    np.savez(file, **arrays)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, entry in manifest["arrays"].items():
        entry["sha256"] = hashlib.sha256(np.ascontiguousarray(arrays[name]).tobytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_weights_with_a_nan_are_refused(strict: Settings) -> None:
    update_id, candidate = trained(strict)

    def poison(arrays) -> None:
        name = max(
            (n for n in arrays if arrays[n].dtype == np.float32), key=lambda n: arrays[n].size
        )
        arrays[name][3] = np.nan

    rewrite(candidate, poison)
    reason = assert_refused(strict, update_id, "largest_weight")
    assert "finite" in reason


def test_a_challenger_that_forgot_everything_is_refused(strict: Settings) -> None:
    update_id, candidate = trained(strict)
    chance = np.random.default_rng(0)

    def forget(arrays) -> None:
        for values in arrays.values():
            if values.dtype == np.float32 and values.ndim == 2 and values.shape[0] > 100:
                chance.shuffle(values)

    rewrite(candidate, forget)
    reason = assert_refused(strict, update_id, "ndcg@20_difference")
    assert "the limit is not for sure < -0.0" in reason


def test_a_damaged_candidate_is_refused_with_what_is_damaged(strict: Settings) -> None:
    update_id, candidate = trained(strict)
    file = next((Path(candidate.uri) / "checkpoint" / "towers").glob("*.npz"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    reason = assert_refused(strict, update_id, "catalogue_share")
    assert file.name in reason


def test_an_exploding_rate_is_stopped_or_refused_and_the_champion_answers(strict: Settings) -> None:
    before = champion_of(strict)
    try:
        result = run_update(strict, None, "increment", {"learning_rate": 9.9, "epochs": 3})
    except NonFiniteWeights:
        pass
    else:
        assert result["outcome"] == "rejected"
    assert champion_of(strict) == before
    with transaction(strict.database_url) as cursor:
        cursor.execute("select user_id from behavior.account order by user_key limit 1")
        (user,) = cursor.fetchone()
    assert len(recommend(strict, user, 5).items) == 5


def test_a_person_may_say_no(prepared: Settings) -> None:
    planned = update_stages.plan(None, "increment", RUN, approval=True, settings=prepared)
    update_stages.train(planned["update_id"], RUN, prepared)
    assert update_stages.evaluate(planned["update_id"], RUN, prepared)["passed"]
    for _ in range(2):  # a task may be repeated
        approval_stages.answer(
            planned["update_id"], RUN, "rejected", "vera", "in a test", prepared, "too few items"
        )
    assert update_stages.plan(planned["target"], "increment", RUN, settings=prepared)["update_id"]
    row = next(r for r in read_status(prepared)["windows"] if r["window"] == planned["target"])
    assert row["pending"]
    with transaction(prepared.database_url) as cursor:
        found = {row["update_id"]: row for row in updates.all_updates(cursor)}[planned["update_id"]]
    assert (found["state"], found["reason"]) == (
        *("rejected", "rejected in a test by vera: too few items"),
    )
    kept = found["approval"]
    assert (kept["answer"], kept["by"], kept["why"]) == ("rejected", "vera", "too few items")


def test_a_question_at_a_terminal_binds_no_longer_than_the_terminal_lives(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lease() -> float:
        with transaction(prepared.database_url) as cursor:
            return float(
                first(
                    cursor,
                    "select extract(epoch from lease_until - now()) from ledger.update "
                    "where state = 'evaluated'",
                )
            )

    def gone(*_: object) -> bool:
        assert lease() <= updates.LEASE_SECONDS, "killed now, it is taken over in a minute"
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", gone)
    result = run_update(prepared, None, "increment", approve=True)
    assert result["outcome"] == "rejected"
    planned = result["plan"]["target"]
    with transaction(prepared.database_url) as cursor:
        found = [row for row in updates.all_updates(cursor) if row["target"] == planned][-1]
    assert found["state"] == "rejected"
    assert "left without an answer" in found["reason"]
