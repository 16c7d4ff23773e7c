"""Quality with intervals, drift, cost and the gate, from the ledger."""

from __future__ import annotations

import pytest

from recloop.dashboard.quality_history import read_cost, read_gate, read_quality
from recloop.settings import Settings
from tests.recloop.dashboard.lives import key, live, shadow


def test_systems_intervals_and_gains_of_each_window(cursor) -> None:
    live(cursor)
    found = read_quality(cursor)
    assert found["metric"] == "ndcg@20", "what the gate decides by"
    assert found["metrics"] == ["ndcg@20", "recall@20"]
    rows = {row["window"]: row for row in found["windows"]}
    assert list(rows) == [key(0), key(1), key(2), key(3)]
    row = rows[key(2)]
    assert row["values"] == {"champion": 0.2, "static": 0.15, "popularity": 0.05}
    # .2 ± 1.96 · .01
    assert row["intervals"]["champion"] == pytest.approx((0.1804, 0.2196), abs=1e-5)
    assert row["intervals"]["static"] is None, "no error was kept"
    assert row["gap"]["mean"] == 0.01
    assert (row["drift"]["popularity_drift"], row["drift"]["new_items"]) == (0.25, None)
    assert rows[key(0)]["values"]["champion"] is None


def test_another_metric_is_shown_if_it_was_measured(cursor) -> None:
    live(cursor)
    found = read_quality(cursor, "recall@20")
    assert found["metric"] == "recall@20"
    assert found["windows"][2]["values"]["champion"] == 0.3
    assert read_quality(cursor, "<script>")["metric"] == "ndcg@20"


def test_an_empty_ledger_has_no_quality(cursor) -> None:
    assert read_quality(cursor) == {"metric": "", "metrics": [], "windows": []}


def test_cost_goes_by_a_shadow_rebuild_else_by_a_rebuild_else_is_not_known(cursor) -> None:
    nothing = read_cost(cursor)
    assert (nothing["updates"], nothing["mean"], nothing["full"]) == (0, None, None)
    live(cursor)
    cursor.execute("update ledger.update set cost_cpu_s = 60 where plan->>'decision' = 'rebuild'")
    cost = read_cost(cursor)
    # Two increments of .1 CPU s were trained, one of them promoted; a rebuild took 60.
    assert (cost["updates"], cost["promoted"], cost["full"]) == (2, 1, 120)
    assert cost["cpu_s"] == pytest.approx(0.2)
    assert cost["mean"] == pytest.approx(0.1)
    shadow(cursor)
    assert read_cost(cursor)["full"] == 2 * 90


def test_the_gates_newest_report_and_its_error_rates(cursor, settings: Settings) -> None:
    assert read_gate(cursor, settings)["report"] is None
    live(cursor)
    gate = read_gate(cursor, settings)
    assert (gate["report"]["window"], gate["report"]["answer"]) == (key(3), "refused")
    assert gate["errors"].wrongly_promoted == 0.05
