"""The rule about serving: when it judges, what it says, and what it leaves alone."""

from __future__ import annotations

import pytest

from recloop.config.rules import load_gate_rules
from recloop.contracts import RuleResult
from recloop.evaluation.gate import verdict
from recloop.evaluation.serving_rule import refused_for_serving, serving_rule
from recloop.settings import Settings

LIMITS = load_gate_rules(Settings()).rules
FINE = RuleResult(name="users", value=90.0, limit=">= 20", passed=True)
EXAMPLE = "history: user 'u1' was answered with [1] where [2, 1] is learnt from"


def signals(compared: int, skew: float, late: int = 0) -> dict[str, float | str | None]:
    found: dict[str, float | str | None] = {
        "events": 9, "serving_compared": compared, "serving_skew": skew, "serving_late": late
    }  # fmt: skip
    return found | ({"serving_example": EXAMPLE} if skew else {})


def test_where_nothing_was_served_there_is_no_rule() -> None:
    assert serving_rule({}, LIMITS) == ()
    assert serving_rule({"events": 9, "quality_all": 0.1}, LIMITS) == ()


def test_too_few_impressions_are_not_judged_however_they_differ() -> None:
    (rule,) = serving_rule(signals(19, 1.0), LIMITS)
    assert (rule.passed, rule.value) == (True, None)
    assert rule.message == "not judged: 19 impressions could be compared, fewer than 20"


@pytest.mark.parametrize(("skew", "passed"), [(0.0, True), (0.01, True), (0.0101, False)])
def test_one_in_a_hundred_may_differ(skew: float, passed: bool) -> None:
    (rule,) = serving_rule(signals(10_000, skew), LIMITS)
    assert (rule.name, rule.value, rule.limit) == ("serving_skew", skew, "<= 0.01")
    assert rule.passed == passed
    assert not rule.undecided


def test_a_refusal_names_the_feature_the_user_and_what_to_look_for() -> None:
    (rule,) = serving_rule(signals(1_000, 0.25, late=3), LIMITS)
    answer, why = verdict([FINE, rule])
    assert answer == "refuse"
    assert "serving_skew is 0.25, the limit is <= 0.01" in why
    assert EXAMPLE in why
    assert "beside 3 that late events changed since" in why
    assert "ingest_behavior" in why


def test_only_what_nothing_else_refuses_is_refused_for_serving() -> None:
    (rule,) = serving_rule(signals(1_000, 0.25), LIMITS)
    worse = FINE.model_copy(update={"passed": False})
    assert refused_for_serving([FINE, rule])
    assert not refused_for_serving([worse, rule])
    assert not refused_for_serving([FINE])
