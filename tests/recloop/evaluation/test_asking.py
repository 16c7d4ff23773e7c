"""When a rule wants a person: a rebuild, or a challenger that passes although it is worse."""

from __future__ import annotations

import math

import pytest

from recloop.config.rules import ApprovalRules, load_gate_rules
from recloop.contracts import UpdatePlan
from recloop.evaluation.asking import why_ask
from recloop.evaluation.differences import Difference
from recloop.evaluation.gate import Compared, Differences
from recloop.evaluation.ranking_judge import JUDGE
from recloop.settings import Settings

SHIPPED = load_gate_rules(Settings())
NOBODY = Difference(math.nan, math.nan, 0)
FINE = Difference(0.0123456789, 0.01, 40, 0.2)


def measured_as(*found: Difference) -> Differences:
    pairs = zip(JUDGE.measures, found, strict=True)
    return Differences(tuple(Compared(one.name, one.what, value) for one, value in pairs))


def asked(decision: str = "increment", ndcg: float = 0.01, **rules: object) -> str:
    """Why somebody is asked; the champion's NDCG on new pairs is 0.1."""
    measured = measured_as(FINE, Difference(ndcg, 0.01, 40, 0.1), FINE)
    plan = UpdatePlan(
        decision=decision, target="2011-06-06", windows=(), parent_release=3, reason="test"
    )
    limits = SHIPPED.model_copy(update={"approval": ApprovalRules(**rules)})
    return why_ask(plan, measured, limits)


def test_as_shipped_no_rule_asks() -> None:
    assert SHIPPED.approval == ApprovalRules()
    assert asked("rebuild", ndcg=-0.0049) == ""


def test_a_rebuild_is_shown_to_a_person_where_the_rule_says_so() -> None:
    assert "rebuild" in asked("rebuild", rebuild=True)
    assert asked("increment", rebuild=True) == ""


@pytest.mark.parametrize(("ndcg", "wanted"), [(-0.0031, True), (-0.0029, False), (0.1, False)])
def test_one_that_passes_although_it_is_worse_is_shown_to_a_person(
    ndcg: float, wanted: bool
) -> None:
    """By more than 3 % of 0.1: below -0.003."""
    reason = asked(ndcg=ndcg, grey_zone=0.03)
    assert bool(reason) is wanted
    if wanted:
        assert "NDCG@20 on new pairs differs by -0.0031, worse by more than 3.0%" in reason


def test_nobody_to_compare_asks_nobody() -> None:
    measured = measured_as(NOBODY, NOBODY, NOBODY)
    plan = UpdatePlan(
        decision="increment", target="2011-06-06", windows=(), parent_release=3, reason="test"
    )
    rules = SHIPPED.model_copy(update={"approval": ApprovalRules(grey_zone=1.0)})
    assert why_ask(plan, measured, rules) == ""


def test_differences_are_reported_without_nan() -> None:
    gaps = {gap.name: gap for gap in measured_as(FINE, FINE, NOBODY).reported()}
    assert list(gaps) == ["recall@20", "ndcg@20", "all_pairs_ndcg@20"]
    assert (gaps["recall@20"].mean, gaps["recall@20"].users) == (0.012346, 40)
    assert (gaps["all_pairs_ndcg@20"].mean, gaps["all_pairs_ndcg@20"].users) == (None, 0)
