"""The report's numbers, from the ledger and the prequential scores that every plan leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recloop.evaluation.differences import paired_difference
from recloop.settings import Settings
from recloop.stages.status import count_lines, read_status

Json = dict[str, Any]
SYSTEMS = ("champion", "static", "popularity", "own_counts")
"""What each week is ranked by, before anything learns from it."""
AGAINST = (("static", "b"), ("popularity", "b"), ("own_counts", "a"))


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
        "summary": _summary(rows),
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


def _summary(rows: list[Json]) -> Json:
    """Means over weeks of means over users, and paired 95 % intervals over users.

    The metrics directly under a system are on pairs never seen before; `all_pairs` says the rest. A
    difference of which fewer than two users say anything is left out.
    """
    weeks = [week for row in rows if (week := _scores_of(row)) is not None]
    if not weeks:
        return {}
    users = np.concatenate([week["user_keys"] for week in weeks])
    known = [name for name in SYSTEMS if all(f"{name}/ndcg@20" in week for week in weeks)]
    found = np.concatenate([week["champion/recall@20"] for week in weeks])
    summary: Json = {"weeks": len(weeks), "user_weeks": int(np.isfinite(found).sum())}
    for system in known:
        summary[system] = _means(weeks, system, "") | {
            "all_pairs": _means(weeks, system, "all_pairs_")
        }
    for other, pairs in AGAINST:
        if other not in known:
            continue
        label, prefix = ("", "") if pairs == "b" else ("_all_pairs", "all_pairs_")
        differences: Json = {}
        for metric in ("recall", "ndcg"):
            ours, theirs = (
                np.concatenate([week[f"{name}/{prefix}{metric}@20"] for week in weeks])
                for name in ("champion", other)
            )
            difference = paired_difference(ours, theirs, users)
            if difference.users < 2:
                continue
            differences[f"{metric}@20"] = round(difference.mean, 6)
            low, high = round(difference.low(), 6), round(difference.high(), 6)
            which = "" if metric == "recall" else "ndcg_"
            differences |= {f"{which}low": low, f"{which}high": high}
        if differences:
            summary[f"champion_minus_{other}{label}"] = differences
    return summary


def _means(weeks: list[Json], system: str, prefix: str) -> Json:
    """Over the weeks in which a user says something of the metric; None where none does."""
    found: Json = {}
    for metric in ("recall", "ndcg"):
        scores = [week[f"{system}/{prefix}{metric}@20"] for week in weeks]
        said = [values[np.isfinite(values)] for values in scores]
        means = [values.mean() for values in said if len(values)]
        found[f"{metric}@20"] = round(float(np.mean(means)), 6) if means else None
    return found


def _scores_of(row: Json) -> Json | None:
    """Per-user scores of a week by `<system>/<metric>`."""
    path = Path(row["prequential"].get("scores") or "/nowhere")
    if not path.exists():
        return None
    with np.load(path) as arrays:
        week: Json = {name: arrays[name] for name in arrays.files}
    return week
