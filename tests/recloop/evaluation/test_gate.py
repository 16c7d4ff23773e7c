"""The gate: who passes, who is refused, who has to wait, and whether the report says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.data.queries import Queries
from recloop.config.rules import load_gate_rules
from recloop.contracts import GateReport, Metrics, RuleResult
from recloop.errors import BadInput
from recloop.evaluation.gate import Soundness, measure, results_of, verdict
from recloop.evaluation.ranking_judge import JUDGE
from recloop.evaluation.scoring import Scores
from recloop.features.heldout import HeldOut
from recloop.settings import Settings

USERS = 200
SOUND = Soundness(largest_weight=3.0, catalogue=100, champion_catalogue=100)
RULES = load_gate_rules(Settings())
MAIN = "all_pairs_ndcg@20_difference"


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


def scores(level: float, shown: int = 80, noise: float = 0.02, seed: int = 5) -> Scores:
    values = level + np.random.default_rng(seed).uniform(-noise, noise, USERS)
    nothing = np.full(USERS, np.nan)
    names = ("recall@20", "ndcg@20", "all_pairs_recall@20", "all_pairs_ndcg@20")
    return Scores(
        {n: values.copy() for n in names}
        | {"new_items_recall@20": nothing, "tail_recall@20": nothing},
        shown,
    )


def of_few(scored: Scores, users: int) -> Scores:
    """The same, with nothing said of all but so many users."""
    said = np.arange(USERS) < users
    return replace(scored, values={n: np.where(said, v, np.nan) for n, v in scored.values.items()})


def results(
    challenger: Scores,
    champion: Scores,
    soundness: Soundness = SOUND,
    opponent: str = "champion",
    earlier: tuple[GateReport, ...] = (),
    **held: int,
):
    measured = measure(JUDGE, heldout(**held), challenger, champion)
    shown = challenger.shown, champion.shown
    judged = results_of(JUDGE, measured, shown, soundness, RULES, opponent, earlier)
    return {rule.name: rule for rule in judged}, verdict(judged)


def report(challenger: Scores, champion: Scores, window: str = "2011-06-06") -> GateReport:
    """Of a challenger that was deferred."""
    measured = measure(JUDGE, heldout(), challenger, champion)
    return GateReport(
        update_id=1,
        window=window,
        passed=False,
        deferred=True,
        rules=(),
        champion=None,
        challenger=Metrics(values={}, users=1),
        differences=measured.reported(),
        slices=measured.reported(slices=True),
    )


def broken(rules: dict[str, RuleResult]) -> set[str]:
    return {name for name, rule in rules.items() if not rule.passed}


def test_a_better_challenger_passes_every_rule() -> None:
    rules, (answer, reason) = results(scores(0.22), scores(0.2))
    assert broken(rules) == set()
    assert (answer, reason) == ("promote", "every gate rule holds")
    assert rules[MAIN].value == pytest.approx(0.02)


def test_a_worse_challenger_is_refused_and_told_by_which_rule_value_and_limit() -> None:
    rules, (answer, reason) = results(scores(0.1), scores(0.2))
    assert answer == "refuse"
    assert broken(rules) == {
        "recall@20_difference", "ndcg@20_difference", MAIN, "new_users_recall@20_difference",
    }  # fmt: skip
    assert f"{MAIN} is -0.1, the limit is for sure >= -0.0100" in reason
    assert "% of the champion's, 200 users)" in reason


@pytest.mark.parametrize(("loss", "answer"), [(0.04, "promote"), (0.06, "refuse")])
def test_the_margin_is_a_share_of_the_champions_quality(loss: float, answer: str) -> None:
    for level in (0.02, 0.8):
        champion = scores(level)
        values = {name: value * (1 - loss) for name, value in champion.values.items()}
        assert results(replace(champion, values=values), champion)[1][0] == answer


def test_what_noise_hides_is_deferred_and_said() -> None:
    challenger, champion = scores(0.2, noise=0.2), scores(0.2, noise=0.2, seed=6)
    rules, (answer, reason) = results(challenger, champion)
    assert answer == "defer"
    assert broken(rules) == {MAIN}
    assert rules[MAIN].undecided
    assert "not enough evidence yet, these users judge the next one" in reason


def test_evidence_of_the_windows_before_decides_what_one_window_cannot() -> None:
    champion = scores(0.2, noise=0.2, seed=6)
    noise = np.random.default_rng(7).uniform(-0.2, 0.2, USERS)
    values = {n: v + noise - noise.mean() for n, v in champion.values.items()}
    equal = replace(champion, values=values)
    assert results(equal, champion)[1][0] == "defer"
    before = tuple(report(equal, champion, f"2011-06-{day:02}") for day in (6, 13, 20, 27))
    rules, _ = results(equal, champion, earlier=before[:1])
    assert rules[MAIN].message.endswith("400 users of 2 windows")
    assert results(equal, champion, earlier=before)[1][0] == "promote"
    # And it may tell against the challenger: better on this window, much worse on those before.
    poor = tuple(report(scores(0.1, noise=0.2), champion, one.window) for one in before)
    assert results(equal, champion, earlier=poor)[1][0] == "refuse"


def test_after_some_windows_it_is_enough_to_be_equal_so_far() -> None:
    champion, chance = scores(0.2, noise=0.2), np.random.default_rng(3)
    noise = chance.uniform(-0.4, 0.4, USERS)

    def shifted(by: float) -> Scores:
        apart = noise - noise.mean() + by
        return replace(champion, values={n: v + apart for n, v in champion.values.items()})

    for by, answers in ((0.001, ("defer", "defer", "promote")), (-0.001, ("defer",) * 3)):
        before = [report(shifted(by), champion, f"2011-06-{day:02}") for day in (6, 13)]
        said = [results(shifted(by), champion, earlier=tuple(before[:n]))[1][0] for n in range(3)]
        assert tuple(said) == answers


def test_few_users_are_too_little_evidence_and_those_of_several_windows_add_up() -> None:
    few = of_few(scores(0.22), 12), of_few(scores(0.2), 12)
    rules, (answer, _) = results(*few)
    assert (answer, broken(rules)) == ("defer", {"users"})
    assert results(*few, earlier=(report(*few),))[1][0] == "promote"
    nobody = of_few(scores(0.2), 0)
    assert results(nobody, nobody)[1][0] == "defer"
    one = of_few(scores(0.2), 1)
    assert results(one, of_few(scores(0.3), 1))[1][0] == "defer"


def test_a_window_of_nobody_is_no_look_at_the_evidence() -> None:
    champion, chance = scores(0.2, noise=0.2), np.random.default_rng(3)
    noise = chance.uniform(-0.4, 0.4, USERS)
    values = {n: v + noise - noise.mean() + 0.001 for n, v in champion.values.items()}
    challenger = replace(champion, values=values)
    nobody = report(of_few(champion, 0), of_few(champion, 0))
    assert results(challenger, champion, earlier=(nobody, nobody))[1][0] == "defer"
    assert results(challenger, champion)[0] == results(challenger, champion, earlier=(nobody,))[0]


def test_a_champion_that_is_right_for_nobody_has_nothing_to_lose() -> None:
    champion = Scores({n: np.zeros(USERS) for n in scores(0.1).values})
    few = {n: np.where(np.arange(USERS) == 7, 0.5, 0.0) for n in champion.values}
    assert results(Scores(few, shown=80), champion)[1][0] == "promote"


def test_how_often_equals_are_refused_and_worse_ones_promoted_is_as_stated() -> None:
    """Noise as of real models: most users' lists do not change at all."""
    chance, champion = np.random.default_rng(11), scores(0.2)
    said: dict[float, list[str]] = {0.0: [], -0.05: []}
    for _ in range(300):
        for loss, answers in said.items():
            noise = chance.normal(0, 0.06, USERS) * (chance.random(USERS) < 0.4)
            values = {n: v + noise + loss * 0.2 for n, v in champion.values.items()}
            answers.append(results(replace(champion, values=values), champion)[1][0])
    assert said[0.0].count("refuse") <= 0.05 * 300
    assert said[-0.05].count("promote") <= 0.05 * 300
    assert said[-0.05].count("refuse") > said[0.0].count("refuse")


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 1e38])
def test_weights_that_are_not_finite_or_exploded_are_refused(weight: float) -> None:
    rules, (answer, _) = results(scores(0.3), scores(0.1), replace(SOUND, largest_weight=weight))
    assert answer == "refuse"
    assert broken(rules) == {"largest_weight"}
    few = of_few(scores(0.3), 3)
    exploded = results(few, of_few(scores(0.1), 3), replace(SOUND, largest_weight=weight))
    assert exploded[1][0] == "refuse"
    assert "users is" not in exploded[1][1]


def test_an_empty_catalogue_is_refused() -> None:
    rules, (answer, _) = results(scores(0.3), scores(0.1), replace(SOUND, catalogue=0))
    assert (answer, broken(rules)) == ("refuse", {"catalogue_share"})


def test_showing_everybody_the_same_few_items_is_refused() -> None:
    rules, (answer, _) = results(scores(0.3, shown=20), scores(0.1, shown=80))
    assert (answer, broken(rules)) == ("refuse", {"coverage_ratio"})


def test_gaining_on_regulars_at_the_cost_of_newcomers_is_refused() -> None:
    challenger = scores(0.3)
    challenger.values["recall@20"][:30] = 0.0
    rules, (answer, _) = results(challenger, scores(0.1))
    assert (answer, broken(rules)) == ("refuse", {"new_users_recall@20_difference"})


def test_a_slice_with_too_few_users_is_reported_not_judged() -> None:
    challenger = scores(0.3)
    challenger.values["recall@20"][:5] = 0.0
    rules, (answer, _) = results(challenger, scores(0.1), new_users=5)
    assert answer == "promote"
    assert "not judged: 5 users" in rules["new_users_recall@20_difference"].message


def test_a_challenger_without_a_number_where_the_champion_has_one_is_refused() -> None:
    nothing = np.full(USERS, np.nan)
    empty = Scores(dict.fromkeys(scores(0.3).values, nothing))
    rules, (answer, _) = results(empty, scores(0.1), replace(SOUND, largest_weight=float("nan")))
    assert answer == "refuse"
    assert {"largest_weight", "recall@20_difference", MAIN} <= broken(rules)
    silent = scores(0.3)
    silent.values["recall@20"][:1] = np.nan  # better for all others
    rules, (answer, reason) = results(silent, scores(0.1))
    assert answer == "refuse"
    assert "no number for 1 users" in reason
    fine = (report(scores(0.3), scores(0.1)),)
    assert results(silent, scores(0.1), earlier=fine)[1][0] == "refuse"


def test_what_no_held_out_event_says_anything_of_is_not_judged() -> None:
    nothing = np.full(USERS, np.nan)

    def without(one: Scores, *names: str) -> Scores:
        return replace(one, values={**one.values, **dict.fromkeys(names, nothing)})

    names = "ndcg@20", "recall@20"
    rules, (answer, _) = results(without(scores(0.2), *names), without(scores(0.1), *names))
    assert answer == "promote"
    found = rules["ndcg@20_difference"]
    assert (found.value, found.passed) == (None, True)
    assert "not judged" in found.message


def first(challenger: Scores, popularity: Scores, soundness: Soundness = SOUND):
    """As judged before there is a champion."""
    return results(challenger, popularity, soundness, "popularity")


def test_a_small_shop_gets_a_first_champion() -> None:
    few, popularity = of_few(scores(0.2), 3), of_few(scores(0.19), 3)
    rules, (answer, reason) = first(few, popularity)
    assert (answer, broken(rules)) == ("promote", set()), reason
    nobody = of_few(scores(0.2), 0)
    assert first(nobody, nobody)[1][0] == "promote"


def test_the_first_champion_is_refused_if_it_is_for_sure_worse_than_popularity_or_unsound() -> None:
    rules, (answer, _) = first(scores(0.1), scores(0.2))
    assert answer == "refuse"
    assert broken(rules) == {"recall@20_difference", "ndcg@20_difference", MAIN}
    exploded = Soundness(largest_weight=1e9, catalogue=100, champion_catalogue=100)
    assert broken(first(scores(0.3), scores(0.2), exploded)[0]) == {"largest_weight"}


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("[bootstrap]\nsamples = 9\n", "bootstrap"),
        ("[ratings]\nrmse_difference = 0.1\n", "ratings"),
    ],
)
def test_a_limit_of_before_says_what_has_taken_its_place(tmp_path, line: str, key: str) -> None:
    settings = Settings(config=tmp_path)
    text = (Settings().config / "gate.toml").read_text()
    (tmp_path / "gate.toml").write_text(text + line)
    with pytest.raises(BadInput, match=rf"{key} is no longer set by hand.*margin"):
        load_gate_rules(settings)
    old = text.replace("[rules]\n", "[rules]\nndcg_difference = -0.005\n")
    (tmp_path / "gate.toml").write_text(old)
    with pytest.raises(BadInput, match=r"rules\.ndcg_difference is no longer"):
        load_gate_rules(settings)
