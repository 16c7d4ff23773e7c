"""The report as one HTML page: champion, static model and popularity over the weeks. It loads nothing
from elsewhere, so it can be mailed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recloop.chart import Line, line_chart
from recloop.page import template, write_page

Json = dict[str, Any]
SERIES = (
    ("champion", "champion (updated weekly)"),
    ("static", "static (warm-up only)"),
    ("popularity", "popularity, last 4 weeks"),
)
PAGE = template(Path(__file__).with_suffix(".html"))


def write_demo_page(report: Json, path: Path) -> Path:
    """Write `report` (see `demo_report.py`) to `path`; returns the path."""
    rows = [row for row in report["windows"] if row["prequential"]]
    lines = [
        Line(label, [row["prequential"].get(name, {}).get("recall@20") for row in rows])
        for name, label in SERIES
    ]
    page = PAGE.render(
        chart=line_chart("recall@20 by week", [row["window"] for row in rows], lines),
        rows=report["windows"],
        lines=report["lines"],
        differences=[
            (other, report["summary"][f"champion_minus_{other}"])
            for other in ("static", "popularity")
            if f"champion_minus_{other}" in report["summary"]
        ],
    )
    write_page(path, page)
    return path
