"""The pages of the gate and of shadow rebuilds: what a person reads, and that names are only text."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recloop.contracts import (
    Candidate,
    Gap,
    GateReport,
    Metrics,
    RuleResult,
    Served,
    ShadowReport,
    Strategy,
    UpdatePlan,
)
from recloop.evaluation.gate_page import write_gate_report, write_shadow_page
from recloop.settings import Settings

SCRIPT = '"><script>alert(1)</script><img src=//evil.example onerror=alert(1)>'
PLAN = UpdatePlan(
    decision="increment",
    target="2011-06-06",
    windows=("2011-06-06",),
    parent_release=3,
    strategy=Strategy(recipe={"epochs": 2, "scope": "touched"}, rank=False),
    signals={
        "scores": "/var/lib/recloop/artifacts/prequential/2011-06-06/3.npz",
        "users": 127.0,
        "new_users": 0.25,
        "champion_recall@20": 0.1,
        "champion_ndcg@20": 0.05,
        "serving_compared": 1240.0,
        "serving_skew": 0.25,
        "serving_example": "history: user 'u1' was answered with [1] where [2, 1] is learnt from",
    },
    decided_by="person",
    reason="812 new events in 1 window",
)
CANDIDATE = Candidate(
    update_id=12,
    uri="/c",
    parent_release=3,
    windows=("2011-06-06",),
    holdout_from=datetime(2011, 6, 11, tzinfo=UTC),
    examples=1294,
    cpu_seconds=12.34,
    sha256="0",
)


def report(champion: Metrics | None, passed: bool = False, message: str = "too few") -> GateReport:
    rule = RuleResult(name="users", value=127.0, limit=">= 200", passed=passed, message=message)
    return GateReport(
        update_id=12,
        window="2011-06-06",
        passed=passed,
        rules=(rule,),
        champion=champion,
        challenger=Metrics(recall=0.1234, ndcg=0.05, users=127),
        challenger_served=Served(bytes=2_500_000, milliseconds=3.01),
        differences=(Gap(name="recall@20", mean=0.0125, low=-0.01, high=0.03, users=127),),
    )


def read(uri: str) -> str:
    return Path(uri).read_text()


def test_a_refusal_is_told_once_and_in_words(tmp_path: Path) -> None:
    champion = Metrics(recall=0.1, ndcg=0.05, users=127)
    reason = "refused: users is 127, the limit is >= 200 (too few)"
    page = read(
        write_gate_report(Settings(home=tmp_path), PLAN, CANDIDATE, report(champion), reason).uri
    )
    assert "Refused: users is 127, the limit is &gt;= 200 (too few)." in page
    assert "recipe.epochs = 2, recipe.scope = touched, rank = no" in page
    assert "{&#39;" not in page, "no Python of a dictionary"
    assert "127.0" not in page
    assert "1,294 examples" in page
    assert ".npz" not in page, "a path is no signal"
    assert "share of events by users never seen before" in page
    assert "+0.0125" in page
    assert "-0.0100 to +0.0300" in page
    assert "Challenger minus champion" in page
    assert "share of them that were answered with other features" in page
    assert ">0.2500<" in page
    assert "where [2, 1] is learnt from" in page


def test_a_first_release_is_compared_with_popularity(tmp_path: Path) -> None:
    page = read(
        write_gate_report(
            Settings(home=tmp_path), PLAN, CANDIDATE, report(None, passed=True), "every rule holds"
        ).uri
    )
    assert "Passed: every rule holds." in page
    assert "Challenger minus popularity" in page


@pytest.mark.parametrize("text", [SCRIPT, "{{ 7 * 7 }}", "{% raw %}"])
def test_names_and_reasons_are_only_text(tmp_path: Path, text: str) -> None:
    settings = Settings(home=tmp_path)
    plan = PLAN.model_copy(
        update={"reason": text, "strategy": Strategy(silos=(text,)), "decided_by": text}
    )
    gate = read(write_gate_report(settings, plan, CANDIDATE, report(None, message=text), text).uri)
    shadow = ShadowReport(
        window="2011-06-06",
        version=3,
        windows=4,
        champion={"recall@20": 0.1},
        retrained={"recall@20": 0.2},
        gaps=(Gap(name="recall@20", mean=None, low=None, high=None, users=0),),
        cpu_seconds=1.0,
        champion_cpu_seconds=None,
        summary=text,
    )
    for page in (gate, read(write_shadow_page(settings, shadow).uri)):
        assert "<script" not in page
        assert "<img" not in page
        assert "49" not in page
        assert "prefers-color-scheme: dark" in page
        assert "width=device-width" in page
