"""The demonstration's numbers: means over weeks of means over users, worked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recloop.database.connection import transaction
from recloop.demo.demo_report import make_report
from recloop.ledger import releases, updates
from recloop.settings import Settings
from tests.recloop.ledger.builders import feature, judge, plan, train, window

KEYS = [window(number).key for number in range(3)]
NAN = np.nan


def scores(**recall: list[float]) -> dict[str, np.ndarray]:
    """By system and metric: NDCG is half of recall, and all pairs are one tenth more."""
    found = {}
    for system, values in recall.items():
        for pairs, more in (("", 0.0), ("all_pairs_", 0.1)):
            found[f"{system}/{pairs}recall@20"] = np.array(values) + more
            found[f"{system}/{pairs}ndcg@20"] = np.array(values) / 2 + more
    return found


def learn(settings: Settings, number: int, signals: dict[str, Any]) -> None:
    """An increment on a window, promoted, of which these signals were measured."""
    with transaction(settings.database_url) as cursor:
        feature(cursor, number)
        made = plan(cursor, number, "rebuild" if number == 0 else "increment")
        made = made.model_copy(update={"signals": signals})
        lease = updates.begin_update(cursor, made, "run")
        train(cursor, lease, made)
        judge(cursor, lease, made, passed=True)
        releases.promote(cursor, lease, f"/release/{number}")


def keep(folder: Path, users: list[int], **recall: list[float]) -> str:
    """Scores of a week on disk; their path."""
    folder.mkdir()
    np.savez(folder / "scores.npz", user_keys=np.array(users), **scores(**recall))
    return str(folder / "scores.npz")


@pytest.fixture
def report(settings: Settings, tmp_path: Path) -> dict[str, Any]:
    """Of three weeks, the last without scores; own counts were not measured in the second."""
    first = keep(
        tmp_path / "one", [1, 2, 3],
        champion=[1, 0, NAN], static=[0, 0, NAN], own_counts=[0, 0, NAN], popularity=[0.5, 0.5, NAN],
    )  # fmt: skip
    second = keep(tmp_path / "two", [1], champion=[0.5], static=[0.5], popularity=[0.5])
    learn(settings, 0, {"scores": first, "champion_recall@20": 0.5, "champion_ndcg@20": 0.25})
    learn(settings, 1, {"scores": second})
    learn(settings, 2, {"scores": str(tmp_path / "gone.npz")})
    return make_report(settings, KEYS)


def test_a_system_is_told_by_the_mean_of_its_weeks_and_only_if_all_weeks_have_it(
    report: dict[str, Any],
) -> None:
    """Champion: .5 of both users that say something, then .5; static: 0, then .5."""
    summary = report["summary"]
    assert (summary["weeks"], summary["user_weeks"]) == (2, 3)
    assert summary["champion"]["recall@20"] == pytest.approx(0.5)
    assert summary["champion"]["ndcg@20"] == pytest.approx(0.25)
    assert summary["champion"]["all_pairs"] == pytest.approx({"recall@20": 0.6, "ndcg@20": 0.35})
    assert summary["static"]["recall@20"] == pytest.approx(0.25)
    assert summary["popularity"]["recall@20"] == pytest.approx(0.5)
    assert not {"own_counts"} & set(summary)


def test_a_difference_is_the_mean_over_users_of_all_weeks_within_its_interval(
    report: dict[str, Any],
) -> None:
    """By user and week, champion minus static: 1, 0 and 0; minus popularity: .5, -.5 and 0."""
    summary = report["summary"]
    against = {name for name in summary if name.startswith("champion_minus_")}
    assert against == {"champion_minus_static", "champion_minus_popularity"}
    static, popular = summary["champion_minus_static"], summary["champion_minus_popularity"]
    assert (static["recall@20"], static["ndcg@20"]) == pytest.approx((1 / 3, 1 / 6), abs=1e-6)
    assert (popular["recall@20"], popular["ndcg@20"]) == pytest.approx((0, 0), abs=1e-6)
    for found in (static, popular):
        assert found["low"] <= found["recall@20"] <= found["high"]
        assert found["ndcg_low"] <= found["ndcg@20"] <= found["ndcg_high"]
    assert popular["low"] < 0 < popular["high"]


@pytest.mark.parametrize(("first", "mean"), [(1.0, 1.0), (NAN, None)])
def test_a_week_in_which_nobody_has_a_new_pair_counts_in_no_mean(
    settings: Settings, tmp_path: Path, first: float, mean: float | None
) -> None:
    for number, recall in enumerate([[first, first, NAN], [NAN, NAN], []]):
        systems = dict.fromkeys(("champion", "static", "popularity"), recall)
        path = keep(tmp_path / str(number), list(range(len(recall))), **systems)
        learn(settings, number, {"scores": path})
    summary = make_report(settings, KEYS)["summary"]
    assert (summary["weeks"], summary["user_weeks"]) == (3, 2 * int(mean is not None))
    assert summary["champion"]["recall@20"] == summary["popularity"]["recall@20"] == mean
    assert ("champion_minus_static" in summary) is (mean is not None)
    json.dumps(summary, allow_nan=False)


def test_a_window_shows_of_its_signals_only_systems_that_were_measured(
    report: dict[str, Any],
) -> None:
    assert [row["window"] for row in report["windows"]] == KEYS
    assert [row["prequential"] for row in report["windows"]] == [
        {"champion": {"recall@20": 0.5, "ndcg@20": 0.25}},
        {},
        {},
    ]
    assert report["champion"]["version"] == report["windows"][2]["release"]


def test_before_anything_is_learnt_the_report_is_one_of_nothing(settings: Settings) -> None:
    found = make_report(settings, KEYS)
    assert (found["windows"], found["summary"], found["champion"]) == ([], {}, None)
    assert found["lines"]["total"] == 0
