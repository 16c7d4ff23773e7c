"""The report's numbers, from the ledger and the prequential scores that every plan leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recloop.behavior.accounting import count_lines
from recloop.rules import load_gate_rules
from recloop.settings import Settings
from recloop.status import read_status
from recloop.update.bootstrap import paired_difference

Json = dict[str, Any]
SYSTEMS = ("champion", "static", "popularity")


def make_report(settings: Settings, keys: list[str]) -> Json:
    """`lines`, `windows` and `summary`. Metrics are on user-item pairs never seen before.

    `windows[].champion` and `challenger` are on the gate's held-out slice; `windows[].prequential`
    and `summary` are on whole windows, each before anything learnt from it.
    """
    status = read_status(settings)
    rows = [row for row in status["windows"] if row["window"] in keys]
    return {
        "lines": count_lines(settings),
        "windows": [_readable(row) for row in rows],
        "summary": _summary(settings, rows),
        "champion": status["champion"],
    }


def _readable(row: Json) -> Json:
    signals = row["prequential"]
    return {
        **row,
        "prequential": {
            system: {
                "recall@20": signals[f"{system}_recall@20"],
                "ndcg@20": signals[f"{system}_ndcg@20"],
            }
            for system in SYSTEMS
            if f"{system}_recall@20" in signals
        },
    }


def _summary(settings: Settings, rows: list[Json]) -> Json:
    """Means over weeks of means over users, and paired bootstrap intervals over users."""
    weeks = [np.load(p) for row in rows if (p := _scores_of(row)) is not None]
    if not weeks:
        return {}
    rules = load_gate_rules(settings).bootstrap
    users = np.concatenate([week["user_keys"] for week in weeks])
    recalls = {
        system: np.concatenate([week[f"{system}/recall_new"] for week in weeks])
        for system in SYSTEMS
    }
    summary: Json = {"weeks": len(weeks), "user_weeks": int(np.isfinite(recalls["champion"]).sum())}
    for system in SYSTEMS:
        summary[system] = {
            "recall@20": _mean_of_weeks(weeks, f"{system}/recall_new"),
            "ndcg@20": _mean_of_weeks(weeks, f"{system}/ndcg_new"),
        }
    for other in ("static", "popularity"):
        difference = paired_difference(
            recalls["champion"],
            recalls[other],
            rules.samples,
            rules.confidence,
            settings.seed,
            users,
        )
        summary[f"champion_minus_{other}"] = {
            "recall@20": round(difference.mean, 6),
            "low": round(difference.low, 6),
            "high": round(difference.high, 6),
        }
    return summary


def _scores_of(row: Json) -> Path | None:
    path = row["prequential"].get("scores")
    return Path(path) if path and Path(path).exists() else None


def _mean_of_weeks(weeks: list[Any], name: str) -> float:
    return round(float(np.mean([np.nanmean(week[name]) for week in weeks])), 6)
