"""Which events judge a rebuild: never one that it or its opponent has learnt."""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.contracts import Release, UpdatePlan
from recloop.planning.targets import Lesson, NoPlan, is_intact, judged_fairly

CHAMPION = Release(version=9, update_id=12, parent_version=8, uri="/r", windows=("w1", "w2", "w3"))


def rebuild(*windows: str) -> UpdatePlan:
    return UpdatePlan(
        decision="rebuild", target=windows[-1].partition("+")[0], windows=windows, parent_release=9,
        reason="a person asked",
    )  # fmt: skip


def lesson(*judged_on: str, intact: bool = True) -> Lesson:
    return Lesson(update_id=12, version=9, judged_on=judged_on or ("w3",), intact=intact)


def can_judge(_: str) -> str:
    return ""


def too_few(_: str) -> str:
    return "too few users"


@pytest.mark.parametrize(
    ("windows", "pending", "last", "judged_on", "rematch"),
    [
        # The newest window is new to both: its newest events, against the champion itself.
        (("w1", "w2", "w3", "w4"), ["w4"], lesson(), ("w4",), None),
        (("w1", "w2", "w3", "w4", "w4+1"), ["w4", "w4+1"], lesson(), ("w4", "w4+1"), None),
        # Nothing is: what judged the champion judges again.
        (("w1", "w2", "w3"), [], lesson(), ("w3",), 12),
        # An older window waits; the newest is learnt. Of what waits, only what is as new may judge.
        (("w1", "w2", "w2+1", "w3"), ["w2+1"], lesson(), ("w3",), 12),
        (("w1", "w2", "w3", "w3+1"), ["w3+1"], lesson(), ("w3", "w3+1"), 12),
        # The champion learnt an older window last: w3 is known to both.
        (("w1", "w2", "w3"), [], lesson("w2"), ("w2",), 12),
        # Late parts alone had judged; the window itself is known to both.
        (("w1", "w2", "w3", "w3+1"), [], lesson("w3+1"), ("w3+1",), 12),
        # The candidate is gone: what waits judges, if it can.
        (("w1", "w2", "w2+1", "w3"), ["w2+1"], lesson(intact=False), ("w2+1",), None),
    ],
)
def test_what_judges_is_new_to_both(windows, pending, last, judged_on, rematch) -> None:
    plan = judged_fairly(rebuild(*windows), CHAMPION, last, pending, can_judge)
    assert isinstance(plan, UpdatePlan)
    assert (plan.judged_on, plan.rematch) == (judged_on, rematch)
    assert plan.windows == windows, "a rebuild covers all"


@pytest.mark.parametrize("pending", [[], ["w2+1"]])
def test_where_nothing_is_left_to_judge_by_the_rebuild_waits(pending: list[str]) -> None:
    asked = rebuild("w1", "w2", *pending, "w3")
    none = judged_fairly(asked, CHAMPION, lesson(intact=False), pending, too_few)
    assert isinstance(none, NoPlan)
    assert none.because == "not ready"
    assert "no events are left to judge a rebuild by: it waits for the next window" in none.reason


def test_the_plan_says_who_is_held_against_whom() -> None:
    plan = judged_fairly(rebuild("w1", "w2", "w3"), CHAMPION, lesson(), [], can_judge)
    assert isinstance(plan, UpdatePlan)
    assert plan.reason == (
        "a person asked; the champion has learnt window w3, so the events that were held out of "
        "update 12 judge, against release 9 as it was before it learnt them"
    )


def test_a_candidate_without_files_is_not_intact(tmp_path: Path) -> None:
    assert not is_intact(tmp_path / "gone")
    (tmp_path / "checkpoint" / "towers").mkdir(parents=True)
    assert not is_intact(tmp_path)
    (tmp_path / "checkpoint" / "towers" / "manifest.json").write_text("not json")
    assert not is_intact(tmp_path)
