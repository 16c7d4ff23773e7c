"""Quality, drift, cost and the gate's rules over the windows, from what updates left in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.config.rules import load_gate_rules
from recloop.contracts import ShadowReport
from recloop.dashboard.window_fates import answer_of
from recloop.database.connection import column, records
from recloop.settings import Settings

Json = dict[str, Any]
SHOWN = 40
"""Windows of a chart."""
SYSTEMS = {
    "champion": "champion",
    "static": "static model",
    "popularity": "popularity",
}
DRIFT = {
    "popularity_drift": "change of the items' shares: 0 none, 1 complete",
    "feature_drift": "largest population stability index of a statistic: above 0.25 is a shift",
    "new_users": "share of events by users never seen before",
    "new_items": "share of events on items never seen before",
    "unscorable": "share of events on items that the champion cannot score",
}
NORMAL_95 = 1.959964

UPDATES = """
select * from (
    select distinct on (target) target, update_id, state, plan->>'decision' as decision,
        plan->'signals' as signals, gate_report, cost_cpu_s
    from (select * from ledger.update where state <> 'abandoned' order by update_id desc limit %s) newest
    where plan->>'decision' <> 'maintain'
    order by target, update_id desc
) each order by target desc limit %s
"""

COSTS = """
select count(*) as updates, coalesce(sum(cost_cpu_s), 0) as cpu_s,
    count(*) filter (where state = 'promoted') as promoted
from (select state, cost_cpu_s from ledger.update
      where candidate is not null and plan->>'decision' = 'increment'
      order by update_id desc limit %s) newest
"""

REBUILD = """
select update_id, target, cost_cpu_s from ledger.update
where plan->>'decision' = 'rebuild' and cost_cpu_s is not null order by update_id desc limit 1
"""


def read_quality(cursor: Cursor, metric: str = "") -> Json:
    """`metric`, the `metrics` to choose from, and for each of the newest windows, oldest first, its
    `values` and `intervals` by system, its `drift`, and the `gap` that its challenger had.

    Args:
        metric: which to show; empty, or one that was not measured: what the gate decides by.
    """
    rows = records(cursor, UPDATES, (3 * SHOWN, SHOWN))[::-1]
    names = [
        name.removeprefix("champion_")
        for row in rows
        for name, value in (row["signals"] or {}).items()
        if name.startswith("champion_") and _is_number(value) and not name.endswith("_error")
    ]
    metrics = list(dict.fromkeys(sorted(names)))
    decided_by = [gap["name"] for row in rows[::-1] for gap in _gaps(row)[:1]]
    for wanted in (metric, *decided_by[:1], *metrics):
        if wanted in metrics:
            metric = wanted
            break
    else:
        metric = ""
    return {
        "metric": metric,
        "metrics": metrics,
        "windows": [_measured(row, metric) for row in rows],
    }


def _measured(row: Json, metric: str) -> Json:
    signals = row["signals"] or {}
    gaps = {gap["name"]: gap for gap in _gaps(row)}
    return {
        "window": row["target"],
        "update_id": row["update_id"],
        "decision": row["decision"],
        "state": row["state"],
        "values": {name: _number(signals, f"{name}_{metric}") for name in SYSTEMS},
        "intervals": {name: _interval(signals, f"{name}_{metric}") for name in SYSTEMS},
        "drift": {name: _number(signals, name) for name in DRIFT},
        "gap": gaps.get(metric),
        "cost": row["cost_cpu_s"],
    }


def _gaps(row: Json) -> list[Json]:
    report = row["gate_report"] or {}
    return [gap for gap in report.get("differences", ()) if gap["mean"] is not None]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(signals: Mapping[str, Any], name: str) -> float | None:
    value = signals.get(name)
    if not isinstance(value, int | float) or value != value:
        return None
    return float(value)


def _interval(signals: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """95 %, of many users: what an update before errors were kept says nothing of."""
    value, error = _number(signals, name), _number(signals, f"{name}_error")
    if value is None or error is None:
        return None
    return value - NORMAL_95 * error, value + NORMAL_95 * error


def read_cost(cursor: Cursor) -> Json:
    """CPU seconds of the newest increments; of the newest full retraining that was measured (a shadow
    rebuild), and of the newest rebuild; None where there was none."""
    cost = records(cursor, COSTS, (SHOWN,))[0]
    shadow = column(cursor, "select report from ledger.shadow order by made_at desc limit 1")
    rebuild = records(cursor, REBUILD)
    report = ShadowReport.model_validate(shadow[0]) if shadow else None
    full = report.cpu_seconds if report else rebuild[0]["cost_cpu_s"] if rebuild else None
    return {
        **cost,
        "mean": cost["cpu_s"] / cost["updates"] if cost["updates"] else None,
        "shadow": report,
        "rebuild": rebuild[0] if rebuild else None,
        "full": None if full is None else full * cost["updates"],
    }


def read_gate(cursor: Cursor, settings: Settings) -> Json:
    """The newest report of the gate, and how often `config/gate.toml` lets it be wrong."""
    found = column(
        cursor,
        "select gate_report from ledger.update where gate_report is not null "
        "order by update_id desc limit 1",
    )
    return {
        "report": {**found[0], "answer": answer_of(found[0])} if found else None,
        "errors": load_gate_rules(settings).errors,
    }
