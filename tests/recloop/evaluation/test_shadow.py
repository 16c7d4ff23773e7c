"""Shadow rebuilds: which comparison is chosen, and what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recloop.contracts import Gap, Release, ShadowReport
from recloop.database.connection import transaction
from recloop.evaluation.challenge import scores_of
from recloop.evaluation.gate_page import write_shadow_page
from recloop.evaluation.ranking_judge import JUDGE
from recloop.evaluation.shadow import Chosen, _before, _paired, choose, measure_gaps, summarise
from recloop.ledger import verdicts
from recloop.settings import Settings
from recloop.stages import upkeep_stages
from tests.recloop.ledger.builders import feature, promote, window

CHOSEN = Chosen("2011-06-13", 2, 2.5, ("2011-05-30", "2011-06-06"), Path("scores.npz"))


def report(**changed: object) -> ShadowReport:
    gap = Gap(name="ndcg@20", mean=0.01, low=-0.01, high=0.03, users=40)
    values = {
        "window": window(1).key,
        "version": 1,
        "windows": 1,
        "champion": {"ndcg@20": 0.1},
        "retrained": {"ndcg@20": 0.11},
        "gaps": (gap,),
        "cpu_seconds": 45.0,
        "champion_cpu_seconds": None,
        "summary": "no difference beyond chance <i>",
    }
    return ShadowReport(**(values | changed))


@pytest.fixture
def lineage(settings: Settings) -> Settings:
    """Release 1 from window 0, 2 and 3 by increments on windows 1 and 2."""
    with transaction(settings.database_url) as cursor:
        feature(cursor, 0)
        promote(cursor, 0, "rebuild")
        for number in (1, 2):
            feature(cursor, number)
            promote(cursor, number)
    return settings


def record(settings: Settings, number: int, version: int) -> Path:
    path = scores_of(settings, window(number).key, version)
    path.parent.mkdir(parents=True)
    np.savez(path, user_keys=np.array([1]))
    return path


def test_the_newest_window_with_scores_is_chosen(lineage: Settings) -> None:
    assert choose(lineage)[0] is None
    record(lineage, 1, 1)
    chosen, _ = choose(lineage)
    assert chosen is not None
    assert (chosen.window, chosen.version) == (window(1).key, 1)
    assert chosen.windows == (window(0).key,)
    assert chosen.cost == 0.1  # of the update that made release 1
    path = record(lineage, 2, 2)
    newest, _ = choose(lineage)
    assert newest is not None
    assert (newest.version, newest.scores) == (2, path)
    assert newest.windows == (window(0).key, window(1).key)
    assert choose(lineage, window(1).key)[0] == chosen


def test_what_cannot_be_compared_says_why(lineage: Settings, settings: Settings) -> None:
    planned = upkeep_stages.plan_shadow(window(0).key, lineage)
    assert planned["window"] is None
    assert window(0).key in planned["reason"]


def test_without_a_champion_there_is_nothing_to_compare(settings: Settings) -> None:
    assert "no champion" in upkeep_stages.plan_shadow(None, settings)["reason"]


def test_late_parts_count_as_far_as_they_had_come_then() -> None:
    late = (
        "2011-05-30",
        "2011-05-30+1",
        "2011-06-06",
        "2011-06-06+1",
        "2011-06-13",
        "2011-06-13+1",
    )
    now = Release(version=3, update_id=3, parent_version=2, uri="", windows=late)
    then = Release(version=2, update_id=2, parent_version=1, uri="", windows=late[:3])
    assert _before(now, then, "2011-06-13") == ("2011-05-30", "2011-05-30+1", "2011-06-06")


def test_a_comparison_is_made_once(lineage: Settings) -> None:
    record(lineage, 1, 1)
    assert upkeep_stages.plan_shadow(None, lineage)["window"] == window(1).key
    with transaction(lineage.database_url) as cursor:
        verdicts.note_shadow(cursor, report())
        verdicts.note_shadow(cursor, report(cpu_seconds=99.0))
        assert [found.cpu_seconds for found in verdicts.all_shadows(cursor)] == [45.0]
        assert verdicts.shadow_of(cursor, window(1).key) == report()
        assert verdicts.shadow_of(cursor, window(1).key, 7) is None
    planned = upkeep_stages.plan_shadow(None, lineage)
    assert planned["window"] is None
    assert "compared before" in planned["reason"]
    assert upkeep_stages.shadow(window(1).key, lineage) == report().to_json()


def test_gaps_are_retrained_minus_champion_by_user() -> None:
    retrained = {"recall@20": np.array([0.5, np.nan, 0.5]), "ndcg@20": np.array([0.2, 0.4, 0.6])}
    champion = {"recall@20": np.array([0.25, 0.9, 0.25]), "ndcg@20": np.array([0.3, 0.5, 0.7])}
    recall, ndcg = measure_gaps(retrained, champion, np.arange(3), {})
    assert (recall.name, recall.mean, recall.low, recall.high, recall.users) == (
        "recall@20", 0.25, 0.25, 0.25, 2,
    )  # fmt: skip
    assert (ndcg.mean, ndcg.users) == (-0.1, 3)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.02, "retraining would have been better"),
        (-0.02, -0.001, "increments were better"),
        (-0.01, 0.02, "no difference beyond chance"),
    ],
)
def test_the_sentence_says_which_was_better_and_what_it_cost(
    low: float, high: float, verdict: str
) -> None:
    gaps = (Gap(name="ndcg@20", mean=(low + high) / 2, low=low, high=high, users=40),)
    said = summarise(CHOSEN, gaps, 45.04, JUDGE, 40)
    assert said.startswith(verdict)
    assert "45.0 CPU s, where that release's own update took 2.5" in said


def test_nobody_to_compare_is_said() -> None:
    gaps = (Gap(name="ndcg@20", mean=None, low=None, high=None, users=0),)
    assert "none of the 7 users" in summarise(CHOSEN, gaps, 1.0, JUDGE, 7)


def test_the_page_shows_both_and_escapes(settings: Settings) -> None:
    written = write_shadow_page(settings, report())
    page = Path(written.uri).read_text()
    assert "0.1000" in page
    assert "+0.0100" in page
    assert "-0.0100 to +0.0300" in page
    assert "<i>" not in page


def test_units_are_paired_where_a_user_has_as_many_as_then() -> None:
    """User 1 had one rating when the champion was scored; two came late."""
    ours, theirs = np.array([1, 1, 2, 2, 3]), np.array([1, 2, 2, 3])
    here, there = _paired(ours, theirs)
    assert (here.tolist(), there.tolist()) == ([2, 3, 4], [1, 2, 3])
    here, there = _paired(ours, ours)
    assert here.tolist() == there.tolist() == [0, 1, 2, 3, 4]
