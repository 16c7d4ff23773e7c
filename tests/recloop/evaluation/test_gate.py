"""The gate: who passes, who is refused, and whether the report says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.data.queries import Queries
from recloop.config.rules import load_gate_rules
from recloop.contracts import RuleResult
from recloop.evaluation.gate import Soundness, could_judge, measure, results_of, verdict
from recloop.evaluation.ranking_judge import JUDGE
from recloop.evaluation.scoring import Scores
from recloop.features.heldout import HeldOut
from recloop.settings import Settings

USERS = 200
SOUND = Soundness(largest_weight=3.0, catalogue=100, champion_catalogue=100)
RULES = load_gate_rules(Settings())


def heldout(new_users: int = 30) -> HeldOut:
    none = np.zeros(0, np.int64)
    return HeldOut(
        queries=Queries(
            np.arange(1, USERS + 1),
            np.zeros((USERS, 50), np.int64),
            np.zeros((USERS, 5), np.float32),
        ),
        relevant=(np.zeros(USERS + 1, np.int64), none),
        known=(np.zeros(USERS + 1, np.int64), none),
        catalogue=np.arange(1, 101),
        new_users=np.arange(USERS) < new_users,
        new_items=none,
        popular=none,
        popular_events=none,
    )


def scores(level: float, shown: int = 80) -> Scores:
    noise = np.random.default_rng(5).uniform(-0.02, 0.02, USERS)
    values = np.clip(level + noise, 0, 1)
    nothing = np.full(USERS, np.nan)
    names = ("recall@20", "ndcg@20", "all_pairs_recall@20", "all_pairs_ndcg@20")
    return Scores(dict.fromkeys(names, values) | {"new_items_recall@20": nothing}, shown)


def results(challenger: Scores, champion: Scores, soundness: Soundness = SOUND, **held: int):
    measured = measure(JUDGE, heldout(**held), challenger, champion, RULES, seed=1)
    shown = challenger.shown, champion.shown
    judged = results_of(JUDGE, measured, shown, soundness, RULES, "champion")
    return {rule.name: rule for rule in judged}, verdict(judged)


def broken(rules: dict[str, RuleResult]) -> set[str]:
    return {name for name, rule in rules.items() if not rule.passed}


def test_a_better_challenger_passes_every_rule() -> None:
    rules, (passed, reason) = results(scores(0.2), scores(0.1))
    assert broken(rules) == set()
    assert passed
    assert reason == "every gate rule holds"
    assert rules["recall@20_difference"].value == pytest.approx(0.1)


def test_a_worse_challenger_is_refused_and_told_by_which_rule_value_and_limit() -> None:
    rules, (passed, reason) = results(scores(0.1), scores(0.2))
    assert not passed
    assert {"recall@20_difference", "ndcg@20_difference", "ndcg@20_difference_high"} <= broken(
        rules
    )
    assert "recall@20_difference is -0.1, the limit is >= -0.01" in reason


def test_a_small_but_certain_loss_is_refused() -> None:
    champion = scores(0.2)
    challenger = replace(
        champion, values={**champion.values, "ndcg@20": champion.values["ndcg@20"] - 0.004}
    )
    rules, (passed, _) = results(challenger, champion)
    assert not passed
    assert broken(rules) == {"ndcg@20_difference_high"}


def test_a_small_loss_within_the_noise_passes() -> None:
    champion = scores(0.2)
    noise = np.random.default_rng(1).normal(0, 0.2, USERS)
    challenger = replace(
        champion,
        values={
            **champion.values,
            "ndcg@20": champion.values["ndcg@20"] + noise - noise.mean() - 0.004,
        },
    )
    _, (passed, _) = results(challenger, champion)
    assert passed


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 1e38])
def test_weights_that_are_not_finite_or_exploded_are_refused(weight: float) -> None:
    rules, (passed, _) = results(scores(0.3), scores(0.1), replace(SOUND, largest_weight=weight))
    assert not passed
    assert broken(rules) == {"largest_weight"}


def test_an_empty_catalogue_is_refused() -> None:
    rules, (passed, _) = results(scores(0.3), scores(0.1), replace(SOUND, catalogue=0))
    assert not passed
    assert broken(rules) == {"catalogue_share"}


def test_showing_everybody_the_same_few_items_is_refused() -> None:
    rules, (passed, _) = results(scores(0.3, shown=20), scores(0.1, shown=80))
    assert not passed
    assert broken(rules) == {"coverage_ratio"}


def test_gaining_on_regulars_at_the_cost_of_newcomers_is_refused() -> None:
    challenger = scores(0.3)
    challenger.values["recall@20"][:30] = 0.0
    rules, (passed, _) = results(challenger, scores(0.1))
    assert not passed
    assert broken(rules) == {"new_users_recall@20_difference"}


def test_a_slice_with_too_few_users_is_reported_not_judged() -> None:
    challenger = scores(0.3)
    challenger.values["recall@20"][:5] = 0.0
    rules, (passed, _) = results(challenger, scores(0.1), new_users=5)
    assert passed
    assert "not judged: 5 users" in rules["new_users_recall@20_difference"].message


def test_what_too_few_users_refuse_was_not_judged_unless_its_weights_exploded() -> None:
    few = np.where(np.arange(USERS) < 5, 0.3, np.nan)

    def of_few(one: Scores) -> Scores:
        return replace(one, values={**one.values, "recall@20": few, "ndcg@20": few})

    challenger, champion = of_few(scores(0.3)), of_few(scores(0.1))
    rules, (passed, _) = results(challenger, champion)
    assert not passed
    assert not could_judge(list(rules.values()))
    exploded, _ = results(challenger, champion, replace(SOUND, largest_weight=float("nan")))
    assert could_judge(list(exploded.values()))
    worse, _ = results(scores(0.1), scores(0.3))
    assert could_judge(list(worse.values()))


def test_a_challenger_without_a_number_where_the_champion_has_one_is_refused() -> None:
    nothing = np.full(USERS, np.nan)
    empty = Scores(dict.fromkeys(scores(0.3).values, nothing))
    rules, (passed, _) = results(empty, scores(0.1), replace(SOUND, largest_weight=float("nan")))
    assert not passed
    assert {"largest_weight", "recall@20_difference"} <= broken(rules)
    silent = scores(0.3)
    silent.values["recall@20"][:1] = np.nan  # better for all others
    rules, (passed, reason) = results(silent, scores(0.1))
    assert not passed
    assert "no number for 1 users" in reason


def test_what_no_held_out_event_says_anything_of_is_not_judged() -> None:
    nothing = np.full(USERS, np.nan)

    def without(one: Scores, *names: str) -> Scores:
        return replace(one, values={**one.values, **dict.fromkeys(names, nothing)})

    names = "all_pairs_ndcg@20", "all_pairs_recall@20"
    rules, (passed, _) = results(without(scores(0.2), *names), without(scores(0.1), *names))
    assert passed
    found = rules["all_pairs_ndcg@20_difference"]
    assert (found.value, found.passed) == (None, True)
    assert "not judged" in found.message
    everything = tuple(scores(0.2).values)
    rules, (passed, _) = results(
        without(scores(0.2), *everything), without(scores(0.1), *everything)
    )
    assert not passed
    assert broken(rules) == {"users"}


def first_results(challenger: Scores, popularity: Scores, soundness: Soundness = SOUND):
    """As judged before there is a champion."""
    measured = measure(JUDGE, heldout(), challenger, popularity, RULES, seed=1)
    shown = challenger.shown, popularity.shown
    judged = results_of(JUDGE, measured, shown, soundness, RULES, "popularity")
    return {rule.name: rule for rule in judged}, verdict(judged)


def of_few(scored: Scores, users: int) -> Scores:
    """The same, with nothing said of all but so many users."""
    said = np.arange(USERS) < users
    return replace(scored, values={n: np.where(said, v, np.nan) for n, v in scored.values.items()})


def test_a_small_shop_gets_a_first_champion() -> None:
    few, popularity = of_few(scores(0.2), 3), of_few(scores(0.19), 3)
    rules, (passed, _) = results(few, popularity)
    assert broken(rules) == {"users"}
    rules, (passed, reason) = first_results(few, popularity)
    assert (passed, broken(rules)) == (True, set()), reason
    nobody = of_few(scores(0.2), 0)
    assert first_results(nobody, nobody)[1][0]


def test_the_first_champion_is_refused_if_it_is_worse_than_popularity_beyond_doubt_or_unsound() -> (
    None
):
    rules, (passed, _) = first_results(scores(0.1), scores(0.2))
    assert not passed
    assert broken(rules) >= {"recall@20_difference_high", "ndcg@20_difference_high"}
    exploded = Soundness(largest_weight=1e9, catalogue=100, champion_catalogue=100)
    assert broken(first_results(scores(0.3), scores(0.2), exploded)[0]) == {"largest_weight"}
