"""The registry, on a real MLflow store in PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime

from recloop.contracts import Candidate, GateReport, Metrics, Release, TrainingSet, UpdatePlan
from recloop.release import registry
from recloop.settings import Settings


def register(settings: Settings, folder: str) -> str:
    plan = UpdatePlan(
        decision="increment",
        target="2011-06-06",
        windows=("2011-06-06",),
        parent_release=3,
        reason="new events",
    )
    candidate = Candidate(
        update_id=9,
        uri=folder,
        parent_release=3,
        windows=plan.windows,
        holdout_from=datetime(2011, 6, 9, tzinfo=UTC),
        examples=5,
        cpu_seconds=0.5,
        sha256="weights",
    )
    metrics = Metrics(recall=0.25, ndcg=0.2, users=40)
    report = GateReport(
        update_id=9, window=plan.target, passed=True, rules=(), champion=metrics, challenger=metrics
    )
    target = TrainingSet(
        window=plan.target, uri="/t", queries=1, interactions=5, items=1, sha256="data"
    )
    return registry.register(settings, plan, candidate, report, [target], folder)


def test_versions_carry_their_lineage_and_aliases_follow_the_ledger(settings: Settings) -> None:
    one, two = register(settings, "/r/1"), register(settings, "/r/2")
    assert register(settings, "/r/2") == two != one
    mlflow = registry.client(settings)
    tags = mlflow.get_model_version("recommender", two).tags
    expected = {
        "window": "2011-06-06",
        "data_hash": "data",
        "parent_release": "3",
        "plan": "increment",
        "weights_sha256": "weights",
        "challenger_recall_at_20": "0.250000",
    }
    assert expected.items() <= tags.items()
    assert tags["code_version"]
    assert str(mlflow.get_model_version_by_alias("recommender", "challenger").version) == two

    old = Release(version=1, update_id=1, parent_version=None, uri="/r/1")
    new = Release(version=2, update_id=2, parent_version=1, uri="/r/2")
    registry.point_aliases(settings, new, old)
    registry.point_aliases(settings, old, new)
    assert str(mlflow.get_model_version_by_alias("recommender", "champion").version) == one
    assert str(mlflow.get_model_version_by_alias("recommender", "previous").version) == two
