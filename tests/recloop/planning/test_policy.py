"""Decisions, each from a situation worked by hand."""

from __future__ import annotations

import pytest

from recloop.config.rules import PolicyRules
from recloop.contracts import Strategy
from recloop.errors import BadInput
from recloop.planning.decisions import Situation
from recloop.planning.policy import POLICIES, decide_update
from recloop.planning.signals import Signals

RULES = PolicyRules(name="every-window", minimum_events=100, rebuild_after_windows=3)


def situation(**changes: object) -> Situation:
    values: dict[str, object] = {
        "target": "2011-06-13",
        "pending": (("2011-06-06", 80), ("2011-06-13", 90)),
        "available": ("2011-05-30", "2011-06-06", "2011-06-13"),
        "champion": 4,
        "lineage_windows": 1,
    }
    return Situation(**{**values, **changes})  # type: ignore[arg-type]


def test_new_events_of_all_pending_windows_are_learnt_by_an_increment() -> None:
    plan = decide_update(situation(), RULES)
    assert (plan.decision, plan.windows) == ("increment", ("2011-06-06", "2011-06-13"))
    assert plan.parent_release == 4
    assert "170 new events in 2 windows" in plan.reason


def test_the_first_training_is_from_scratch_on_everything_available() -> None:
    plan = decide_update(situation(champion=None), RULES)
    assert plan.decision == "rebuild"
    assert plan.windows == ("2011-05-30", "2011-06-06", "2011-06-13")
    assert "no champion" in plan.reason


@pytest.mark.parametrize(("events", "decision"), [(99, "skip"), (100, "increment")])
def test_too_few_events_wait(events: int, decision: str) -> None:
    plan = decide_update(situation(pending=(("2011-06-13", events),)), RULES)
    assert plan.decision == decision


@pytest.mark.parametrize(("learnt", "decision"), [(2, "increment"), (3, "rebuild")])
def test_after_enough_increments_comes_a_rebuild(learnt: int, decision: str) -> None:
    assert decide_update(situation(lineage_windows=learnt), RULES).decision == decision


@pytest.mark.parametrize("requested", ["skip", "increment", "rebuild"])
def test_what_a_person_asks_for_is_done_and_said(requested: str) -> None:
    plan = decide_update(situation(pending=(("2011-06-13", 1),)), RULES, requested)
    assert (plan.decision, plan.decided_by) == (requested, "person")


def test_an_increment_of_nothing_is_refused_with_the_remedy() -> None:
    with pytest.raises(BadInput, match="choose plan `rebuild`"):
        decide_update(situation(champion=None), RULES, "increment")


def test_strategy_and_signals_are_kept_in_the_plan() -> None:
    plan = decide_update(
        situation(scores={"x": 1.0}, signals=Signals(events=3)),
        RULES,
        "auto",
        Strategy(ids={"start": "mean"}),
    )
    assert plan.strategy.ids == {"start": "mean"}
    assert (plan.signals["x"], plan.signals["events"]) == (1.0, 3)


@pytest.mark.parametrize(
    ("name", "changes", "decision"),
    [
        ("every-window", {}, "increment"),
        ("every-n-windows", {"every": 2}, "increment"),
        ("every-n-windows", {"every": 3}, "skip"),
        ("volume", {"volume": 170}, "increment"),
        ("volume", {"volume": 171}, "skip"),
        ("never", {}, "skip"),
        ("adaptive", {}, "increment"),
    ],
)
def test_each_policy_decides_by_its_own_rule(name: str, changes: dict, decision: str) -> None:
    rules = RULES.model_copy(update={"name": name, **changes})
    plan = decide_update(situation(), rules)
    assert plan.decision == decision
    assert plan.decided_by.startswith(f"{name}: ")
    assert name in POLICIES


def test_a_policy_that_never_updates_does_not_rebuild_with_age_either() -> None:
    rules = RULES.model_copy(update={"name": "never"})
    assert decide_update(situation(lineage_windows=99), rules).decision == "skip"


def test_what_a_person_gives_goes_over_the_policys_recipe() -> None:
    rules = RULES.model_copy(update={"name": "adaptive"})
    plain = decide_update(situation(), rules)
    mine = decide_update(situation(), rules, "auto", Strategy(recipe={"epochs": 9}))
    assert mine.strategy.recipe == plain.strategy.recipe | {"epochs": 9}
