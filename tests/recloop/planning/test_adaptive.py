"""The adaptive policy, each decision from a situation worked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.learning.recipes import INCREMENT
from recloop.config.rules import AdaptiveRules, PolicyRules
from recloop.planning.adaptive import adaptive
from recloop.planning.decisions import EFFORTS, Decision, Situation, effort_of, recipe_of
from recloop.planning.outcomes import Outcome
from recloop.planning.signals import Signals
from tests.recloop.planning.test_outcomes import outcome

USUAL = Signals(
    events=1000,
    quality_all=0.3,
    quality_new=0.1,
    popularity_drift=0.1,
    unscorable=0.01,
    repeated=0.1,
)


def decide(
    signals: Signals = USUAL,
    windows: int = 1,
    outcomes: tuple[Outcome, ...] = (),
    spent: float = 0.0,
    gap: float | None = None,
    earlier: tuple[Signals, ...] = (USUAL,) * 12,
    **limits: object,
) -> Decision:
    situation = Situation(
        target="2011-06-13",
        pending=tuple((f"2011-06-{n + 10}", 1000) for n in range(windows)),
        available=("2011-06-13",),
        champion=4,
        lineage_windows=3,
        signals=signals,
        earlier=earlier,
        outcomes=outcomes,
        usual_events=24_000.0,
        spent=spent,
        gap=gap,
    )
    rules = PolicyRules(
        minimum_events=0,
        rebuild_after_windows=52,
        adaptive=AdaptiveRules(**limits),  # type: ignore[arg-type]
    )
    return adaptive(situation, rules)


def with_signals(**changes: float) -> Signals:
    return Signals(**{**USUAL.to_json(), **changes})  # type: ignore[arg-type]


def answer(signals: Signals, effort: str = "standard") -> Outcome:
    """An increment, not long ago."""
    return outcome(effort=effort, target="2011-06-13", signals=signals)


def test_it_waits_while_waiting_loses_less_than_it_saves() -> None:
    # .35 of quality per 28 days: 1/24 of them lose 1.46 %, 2/24 lose 2.9 %. Half of an update is
    # saved, worth half the price of 5 %: 2.5 %.
    first, second = decide(windows=1, price=0.05), decide(windows=2, price=0.05)
    assert (first.kind, second.kind) == ("skip", "increment")
    assert "lose about 1.5% of NDCG@20" in first.reason
    assert "save 50% of an update" in first.reason
    assert "2,000 new events in 2 windows" in second.reason


def test_a_dearer_quality_makes_it_update_sooner() -> None:
    assert decide(price=0.02).kind == "increment"
    assert decide(price=0.2, windows=3).kind == "skip"


def test_where_updates_were_shown_to_gain_nothing_it_waits_as_long_as_it_may() -> None:
    still = tuple(outcome(gains=(0.0, 0.0)) for _ in range(60))
    assert decide(windows=7, outcomes=still).kind == "skip"
    longest = decide(windows=8, outcomes=still)
    assert (longest.kind, longest.rule) == ("increment", "longest wait")


def test_a_world_that_moves_faster_is_followed_sooner() -> None:
    """By the middle of the last three windows, where drift goes up and down."""
    low, high, fast = (with_signals(popularity_drift=drift) for drift in (0.08, 0.12, 0.2))
    before = (low, high) * 6
    once = decide(fast, price=0.04, earlier=(*before, low))
    twice = decide(fast, price=0.04, earlier=(*before, fast))
    assert (once.rule, twice.rule) == ("not worth it", "worth it")
    assert "lose about 1.7%" in once.reason
    assert "lose about 2.4%" in twice.reason


def test_the_cheapest_effort_is_taken_until_it_has_been_shown_to_learn_less() -> None:
    assert decide(windows=4).recipe == recipe_of("light")
    done = tuple(
        outcome(effort=effort, gains=(0.0, gain))
        for effort, gain in (("light", 0.001), ("standard", 0.05))
        for _ in range(40)
    )
    # The newest was a standard one, so that exploring is not what asks for it.
    assert decide(windows=4, outcomes=done).recipe == recipe_of("standard")


def test_every_so_many_updates_one_is_standard() -> None:
    light = (outcome(effort="standard"), *(outcome() for _ in range(9)))
    assert decide(windows=4, outcomes=light, explore=10).recipe == recipe_of("light")
    more = (*light, outcome())
    assert decide(windows=4, outcomes=more, explore=10).recipe == recipe_of("standard")


def test_too_little_evidence_is_met_with_the_next_windows_users_and_not_with_another_recipe() -> (
    None
):
    for effort in ("light", "standard"):
        deferred = outcome(effort=effort, promoted=False, judged=False)
        for before in ((outcome(),), (outcome(), deferred, deferred)):
            again = decide(windows=1, outcomes=(*before, deferred), price=0.001)
            assert (again.kind, again.rule) == ("increment", "more evidence")
            assert again.recipe == recipe_of(effort)
    gentle = outcome(effort="gentle", promoted=False, judged=False)
    after = decide(windows=2, outcomes=(outcome(), outcome(promoted=False), gentle))
    assert (after.rule, after.recipe) == ("more evidence", recipe_of("gentle"))
    rebuilt = outcome(events=10**6, decision="rebuild", promoted=False, judged=False)
    assert decide(windows=2, outcomes=(outcome(), rebuilt), price=0.001).rule != "more evidence"


@pytest.mark.parametrize(
    ("refused", "kind", "recipe", "says"),
    [
        (1, "increment", recipe_of("gentle"), "half the learning rate"),
        (2, "rebuild", {}, "from scratch this time"),
        (3, "skip", {}, "choose a plan in the form"),
        (7, "skip", {}, "choose a plan in the form"),
    ],
)
def test_after_a_refusal_something_else_is_tried_and_then_a_person_asked(
    refused: int, kind: str, recipe: dict[str, object], says: str
) -> None:
    outcomes = (outcome(), *(outcome(promoted=False) for _ in range(refused)))
    decision = decide(windows=3, outcomes=outcomes)
    assert (decision.kind, decision.recipe) == (kind, recipe)
    assert says in decision.reason


def test_a_catalogue_that_the_champion_does_not_know_is_learnt_deeply_and_then_anew() -> None:
    swapped = with_signals(unscorable=0.8)
    decision = decide(swapped)
    assert (decision.kind, decision.recipe) == ("increment", recipe_of("deep"))
    assert (
        "80% of the window's events are on items that the champion cannot score" in decision.reason
    )
    assert decide(swapped, outcomes=(answer(swapped, "deep"),)).kind == "rebuild"
    # A deep increment that answered something else has not been tried on this.
    assert decide(swapped, outcomes=(answer(USUAL, "deep"),)).recipe == recipe_of("deep")


def test_quality_that_fell_is_met_at_once_and_then_left_to_the_shadow_rebuild() -> None:
    fallen = with_signals(quality_all=0.2, quality_new=0.05)
    decision = decide(fallen)
    assert (decision.kind, decision.rule) == ("increment", "a change")
    assert "quality fell to 0.125 (usually 0.200)" in decision.reason
    assert decide(fallen, outcomes=(answer(fallen),)).rule != "a change"


def test_an_answered_alarm_rings_again_when_it_is_worse_or_long_ago() -> None:
    fallen = with_signals(quality_all=0.2, quality_new=0.05)
    worse = with_signals(quality_all=0.15, quality_new=0.05)
    assert decide(worse, outcomes=(answer(fallen),)).rule == "a change"
    long_ago = outcome(effort="standard", target="2010-12-06", signals=fallen)
    assert decide(fallen, outcomes=(long_ago,)).rule == "a change"


def test_popularity_that_moved_is_met_once_and_not_while_it_settles() -> None:
    moved, settling = (with_signals(popularity_drift=drift) for drift in (0.4, 0.35))
    decision = decide(moved)
    assert (decision.rule, decision.recipe) == ("a change", {})
    assert "what is popular moved: 0.40 from the windows before (usually 0.10)" in decision.reason
    assert decide(settling, outcomes=(answer(moved),)).rule != "a change"
    # An answer to fallen quality says nothing of what is popular.
    fallen = with_signals(quality_all=0.2, quality_new=0.05)
    assert decide(moved, outcomes=(answer(fallen),)).rule == "a change"


def test_quality_that_rose_is_no_alarm() -> None:
    assert decide(with_signals(quality_all=0.5, quality_new=0.3)).rule != "a change"


@pytest.mark.parametrize(("gap", "kind"), [(None, "skip"), (0.01, "skip"), (0.03, "rebuild")])
def test_a_measured_incremental_gap_asks_for_a_rebuild(gap: float | None, kind: str) -> None:
    decision = decide(price=0.2, gap=gap)
    assert decision.kind == kind
    assert ("at least 3.0%" in decision.reason) == (kind == "rebuild")


def test_a_feed_that_repeats_itself_is_not_learnt_and_said() -> None:
    frozen = with_signals(repeated=0.97)
    decision = decide(frozen, windows=5)
    assert (decision.kind, decision.rule) == ("skip", "frozen feed")
    assert "97%" in decision.reason


def test_a_surge_is_learnt_at_once() -> None:
    surge = with_signals(events=2600)
    decision = decide(surge)
    assert (decision.kind, decision.recipe) == ("increment", recipe_of("standard"))
    assert "2,600 events in one window, where 1,000 are usual" in decision.reason


def test_a_budget_is_kept_whatever_else_speaks_for_an_update() -> None:
    paid = (outcome(cost=10.0),)
    swapped = with_signals(unscorable=0.8)
    assert decide(swapped, outcomes=paid, spent=95.0, budget_cpu_s=100.0).rule == "budget"
    assert decide(swapped, outcomes=paid, spent=50.0, budget_cpu_s=100.0).kind == "increment"


def test_efforts_are_multiples_of_the_default_and_known_by_their_overrides() -> None:
    assert recipe_of("standard") == {}
    assert recipe_of("light") == {
        "epochs": round(INCREMENT.epochs * 2 / 3),
        "learning_rate": pytest.approx(INCREMENT.learning_rate * 4 / 3),
        "scope": "ids",
    }
    narrow = replace(INCREMENT, scope="items")
    assert "scope" not in recipe_of("light", narrow)
    for effort in EFFORTS:
        assert effort_of(recipe_of(effort)) == effort
    assert effort_of({"optimizer": "adam"}) == "custom"


def test_the_same_situation_gives_the_same_decision() -> None:
    assert decide(windows=2) == decide(windows=2)


def test_the_ranker_rests_at_light_updates_of_little_until_enough_was_learnt() -> None:
    # Each of a 24th of usual 28 days; the ranker wants a 14th.
    taught = outcome(share=1 / 24)
    rested = outcome(share=1 / 24, rank=False)
    first = decide(outcomes=(taught,), price=0.02)
    assert (first.rank, first.recipe) == (False, recipe_of("light"))
    assert first.reason.endswith("light effort, while the ranker rests")
    assert decide(outcomes=(taught, rested), price=0.02).rank
    refused = outcome(share=1 / 24, promoted=False)
    assert not decide(outcomes=(taught, refused, taught), price=0.02).rank
    assert decide(windows=2, outcomes=(taught,), price=0.02).rank, "two windows are enough"


def test_whatever_is_not_light_teaches_the_ranker() -> None:
    swapped = with_signals(unscorable=0.8)
    assert decide(swapped).rank
    due = (outcome(effort="standard"), *(outcome() for _ in range(20)))
    assert decide(outcomes=due, price=0.02, explore=20).rank
