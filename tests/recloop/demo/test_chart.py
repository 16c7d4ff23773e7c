"""The chart: every week and every system is drawn, at the height of its value."""

from __future__ import annotations

import re
from pathlib import Path

from recloop.demo.chart import BOTTOM, HEIGHT, TOP, write_chart


def week(key: str, champion: float, static: float) -> dict:
    return {
        "window": key,
        "events": 1000,
        "decision": "increment",
        "gate": {"passed": True},
        "release": 2,
        "reason": "news & more",
        "prequential": {
            "champion": {"recall@20": champion},
            "static": {"recall@20": static},
            "popularity": {"recall@20": 0.05},
        },
    }


def test_points_stand_at_their_values(tmp_path: Path) -> None:
    report = {
        "windows": [week("2011-05-30", 0.2, 0.1), week("2011-06-06", 0.1, 0.1)],
        "summary": {
            "champion_minus_static": {"recall@20": 0.05, "low": 0.01, "high": 0.09},
            "champion_minus_popularity": {"recall@20": 0.1, "low": 0.05, "high": 0.15},
        },
        "lines": {
            "total": 10,
            "accepted": 7,
            "duplicates": 1,
            "quarantined": {"missing_user": 2},
            "pending": 0,
        },
    }
    page = write_chart(report, tmp_path / "chart.html").read_text()
    assert "news &amp; more" in page
    assert "2 quarantined by missing_user" in page
    lines = re.findall(r'<polyline points="([^"]+)"', page)
    assert len(lines) == 3
    champion = [float(point.split(",")[1]) for point in lines[0].split()]
    height = HEIGHT - TOP - BOTTOM
    # The scale ends a tenth above the greatest value, .2: so .2 stands at 1/1.1, .1 at half of it.
    assert champion == [
        round(TOP + height * (1 - 1 / 1.1), 1),
        round(TOP + height * (1 - 0.5 / 1.1), 1),
    ]
