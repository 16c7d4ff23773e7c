"""The report's picture: champion, static model and popularity over the weeks, as one HTML page.

Plain SVG in a page of its own: nothing is loaded from elsewhere, so it can be mailed.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment

Json = dict[str, Any]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 380, 56, 130, 20, 44
SERIES = (
    ("champion", "champion (updated weekly)", "#1a6fb3"),
    ("static", "static (warm-up only)", "#c2571a"),
    ("popularity", "popularity, last 4 weeks", "#6b7280"),
)

PAGE = Environment(autoescape=True).from_string(
    Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
)


def write_chart(report: Json, path: Path) -> Path:
    """Draw `report` (see `demo_report.py`) to `path`; returns the path."""
    rows = [row for row in report["windows"] if row["prequential"]]
    values = [
        value
        for row in rows
        for name, _, _ in SERIES
        if (value := row["prequential"].get(name, {}).get("recall@20")) is not None
    ]
    top = max([*values, 0.01]) * 1.1

    def x(index: int) -> float:
        span = WIDTH - LEFT - RIGHT
        return round(LEFT + span * (index + 0.5) / max(1, len(rows)), 1)

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top), 1)

    series: list[Json] = []
    for name, label, color in SERIES:
        points = [
            (x(i), y(value), f"{label}, week {row['window']}: {value:.4f}")
            for i, row in enumerate(rows)
            if (value := row["prequential"].get(name, {}).get("recall@20")) is not None
        ]
        series.append(
            {
                "line": " ".join(f"{px},{py}" for px, py, _ in points),
                "points": points,
                "color": color,
                "short": name,
                "label_y": (points[-1][1] if points else HEIGHT) + 4,
            }
        )
    ordered = sorted(series, key=lambda one: one["label_y"])
    for above, below in pairwise(ordered):  # no label covers another
        below["label_y"] = max(below["label_y"], above["label_y"] + 16)
    page = PAGE.render(
        w=WIDTH,
        h=HEIGHT,
        left=LEFT,
        right=RIGHT,
        ticks=[(y(top * i / 5), f"{top * i / 5:.3f}") for i in range(6)],
        weeks=[(x(i), row["window"]) for i, row in enumerate(rows)],
        series=series,
        rows=report["windows"],
        lines=report["lines"],
        differences=[
            (other, report["summary"][f"champion_minus_{other}"])
            for other in ("static", "popularity")
            if f"champion_minus_{other}" in report["summary"]
        ],
    )
    path.write_text(page, encoding="utf-8")
    return path
