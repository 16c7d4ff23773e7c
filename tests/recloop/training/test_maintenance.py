"""Making the champion smaller: what is left of it, what it is judged on, what is left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from recloop.config.rules import UpdateRules, load_update_rules
from recloop.contracts import Candidate, Lease, Release, Strategy, TrainingSet, UpdatePlan
from recloop.errors import BadData
from recloop.settings import Settings
from recloop.training.candidate import hash_folder, maintain_champion
from recloop.training.recommender import restore_model
from tests.models.conftest import make_world
from tests.models.tiny_two_stage import new_model
from tests.recloop.features.test_examples import moment, written

WEEK = "2011-01-03"
NEWEST = (datetime(2011, 1, 8) - datetime(1970, 1, 1)).days
LEASE = Lease(update_id=9, token=4, holder="run")


@pytest.fixture
def champion(tmp_path: Path) -> Release:
    """A small shop's untrained recommender; two users and an item were not seen for a while."""
    model = new_model(make_world())
    model.note_seen(model.user_keys[2:], model.item_keys[1:], NEWEST)
    model.note_seen(np.array([1001]), np.array([], np.int64), NEWEST - 5)
    model.note_seen(np.array([1002]), np.array([501]), NEWEST - 6)
    model.save(tmp_path / "release" / "checkpoint")
    return Release(
        version=3, update_id=1, parent_version=None, uri=str(tmp_path / "release"), windows=(WEEK,)
    )


def events(folder: Path, *days: int) -> TrainingSet:
    """One purchase at noon of each of these days of January."""
    return written(
        folder,
        WEEK,
        queries=[(1001, moment(day, 12), [], None) for day in days],
        interactions=[(n, 501 + n, moment(day, 12)) for n, day in enumerate(days)],
        items=[(501 + n, [1]) for n in range(len(days))],
    )


def maintained(champion: Release, folder: Path, target: TrainingSet, **asked: object) -> Candidate:
    settings = Settings(home=folder / "home")
    rules: UpdateRules = load_update_rules(settings)
    rules = rules.model_copy(update={"holdout": rules.holdout.model_copy(update={"share": 0.25})})
    plan = UpdatePlan(
        decision="maintain", target=WEEK, windows=(), parent_release=champion.version,
        strategy=Strategy.model_validate(asked), reason="smaller",
    )  # fmt: skip
    return maintain_champion(settings, LEASE, plan, [target], champion, rules)


def restored(uri: str) -> RetrieveAndRank:
    model = restore_model(uri)
    assert isinstance(model, RetrieveAndRank)
    return model


def test_a_smaller_champion_is_a_candidate_that_has_learnt_nothing(
    champion: Release, tmp_path: Path
) -> None:
    before = hash_folder(Path(champion.uri))
    stray = tmp_path / "home" / "artifacts" / "candidates" / "9-4" / "half.npz"
    stray.parent.mkdir(parents=True)
    stray.write_text("of a try before")
    made = maintained(champion, tmp_path, events(tmp_path, 3, 4, 5, 7), maintain="float16")
    assert Path(made.uri) == stray.parent
    assert not stray.exists()
    assert (made.update_id, made.parent_release, made.windows, made.examples) == (9, 3, (), 0)
    assert made.holdout_from == datetime(2011, 1, 7, tzinfo=UTC), "a quarter of four is the newest"
    assert made.sha256 == hash_folder(Path(made.uri))
    assert hash_folder(Path(champion.uri)) == before
    whole, halved = restored(champion.uri).parameters(), restored(made.uri).parameters()
    for name in ("user", "item"):
        rounded = whole[name].astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(halved[name], rounded)
        assert (rounded != whole[name]).any()


def test_ids_that_were_last_seen_too_many_days_before_the_newest_event_expire(
    champion: Release, tmp_path: Path
) -> None:
    target = events(tmp_path, 3, 8)
    made = restored(maintained(champion, tmp_path, target, ids={"expire_after_days": 5}).uri)
    assert made.user_keys.tolist() == [1001, *range(1003, 1021)]
    assert made.item_keys.tolist() == list(range(502, 531))
    kept = restored(maintained(champion, tmp_path, target, maintain="prune").uri)
    assert (len(kept.user_keys), len(kept.item_keys)) == (20, 30)


def test_of_one_days_events_the_newest_judge_from_their_moment_on(
    champion: Release, tmp_path: Path
) -> None:
    made = maintained(champion, tmp_path, events(tmp_path, 6, 6, 6))
    # All of them are of one moment: it is cut between users, within a second.
    assert made.holdout_from.replace(microsecond=0) == datetime(2011, 1, 6, 12, tzinfo=UTC)


def test_without_an_event_to_judge_by_nothing_is_made(champion: Release, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=f"window {WEEK} has no events to judge a maintained"):
        maintained(champion, tmp_path, events(tmp_path), maintain="int8")
    assert not (tmp_path / "home").exists()
