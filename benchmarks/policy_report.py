"""What the policy benchmark writes: the JSON of a stream, and a page with quality against cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.chart import Panel, Points, Table, write_chart
from benchmarks.output import Json

FIXED = ("every-window", "never", "every-2nd", "every-4th", "volume", "rebuild-every-4th")


def described(stream: Any, price: float, runs: list[dict[str, Any]]) -> Json:
    """The JSON of one stream: means over the seeds' runs, and each policy's shares seed by seed."""

    def quality_of(name: str, part: str, metric: int) -> float:
        return float(np.mean([by_name[name].mean(part, metric) for by_name in runs]))

    def summed_up(name: str) -> Json:
        return {
            part: {
                "ndcg@20": quality_of(name, part, 1),
                "recall@20": quality_of(name, part, 0),
            }
            for part in stream.slices
        } | {
            "updates": round(float(np.mean([by_name[name].updates for by_name in runs])), 1),
            "cpu_s": float(np.mean([by_name[name].cpu_s for by_name in runs])),
        }

    policies = {name: summed_up(name) for name in runs[0]}
    whole = policies["every-window"]
    utility = {}
    for name, entry in policies.items():
        quality = {p: entry[p]["ndcg@20"] / whole[p]["ndcg@20"] for p in stream.slices}
        entry["share_of_cost"] = entry["cpu_s"] / whole["cpu_s"]
        entry["share_of_quality"] = quality
        entry["by_seed"] = [
            {
                "cost": by_name[name].cpu_s / by_name["every-window"].cpu_s,
                **{
                    part: by_name[name].mean(part, 1) / by_name["every-window"].mean(part, 1)
                    for part in stream.slices
                },
            }
            for by_name in runs
        ]
        utility[name] = sum(quality.values()) / len(quality) - price * entry["share_of_cost"]
    best = utility.get("oracle")
    for name, entry in policies.items():
        entry["regret"] = None if best is None else best - utility[name]
    return {"windows": len(stream), "policies": policies, "adaptive": _log_of(stream, runs[0])}


def _log_of(stream: Any, runs: dict[str, Any]) -> list[Json]:
    """What the adaptive policy decided in one run, window by window."""
    run = runs.get("adaptive")
    if run is None:
        return []
    return [
        {
            "window": stream.key(index),
            "decision": decision.kind,
            "rule": decision.rule,
            "reason": decision.reason,
            "recipe": decision.recipe,
            "rank": decision.rank,
            "cpu_s": cost,
        }
        for index, (decision, cost) in enumerate(zip(run.decisions, run.costs, strict=True))
    ]


def draw(content: Json, path: Path) -> Path:
    """The page: quality against cost, one picture per stream and slice, and the tables."""
    panels: list[Panel] = []
    for name, stream in content["streams"].items():
        rows = []
        for part in ("a", "b"):
            points = {
                policy: (entry["cpu_s"], entry[part]["ndcg@20"])
                for policy, entry in stream["policies"].items()
            }
            fixed = [policy for policy in points if policy in FIXED]
            title = f"{name}: NDCG@20 ({part}) against cost; the fixed policies' front is joined"
            axes = ("CPU seconds of learning", "NDCG@20")
            panels.append(Points(title, axes, points, front(points, fixed)))
        for policy, entry in stream["policies"].items():
            regret = entry["regret"]
            rows.append([
                policy,
                *(f"{entry[part][metric]:.4f}" for part in "ab" for metric in ("ndcg@20", "recall@20")),
                str(entry["updates"]),
                f"{entry['cpu_s']:.1f}",
                f"{entry['share_of_cost']:.0%}",
                "–" if regret is None else f"{regret:+z.4f}",
            ])  # fmt: skip
        header = ["policy", "(a) NDCG", "(a) recall", "(b) NDCG", "(b) recall", "updates", "CPU s",
                  "of every-window", "regret"]  # fmt: skip
        panels.append(Table(name, header, rows))
    note = "Quality is the champion's on each window before it learns from it; one thread, no GPU."
    return write_chart(path, "When to update", panels, [note])


def front(points: dict[str, tuple[float, float]], names: list[str]) -> list[str]:
    """Of these, the ones that none of them beats in both cost and quality."""
    return [
        name
        for name in names
        if not any(
            points[other][0] <= points[name][0]
            and points[other][1] >= points[name][1]
            and points[other] != points[name]
            for other in names
        )
    ]
