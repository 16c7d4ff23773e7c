"""The demo page: every week, every system, every line of the input."""

from __future__ import annotations

import re
from pathlib import Path

from recloop.demo.demo_page import write_demo_page


def week(key: str, champion: float, static: float) -> dict:
    return {
        "window": key,
        "events": 1000,
        "decision": "increment",
        "gate": {"answer": "passed"},
        "release": 2,
        "reason": "news & more",
        "prequential": {
            "champion": {"recall@20": champion},
            "static": {"recall@20": static},
            "popularity": {"recall@20": 0.05},
        },
    }


def test_every_week_and_system_is_drawn(tmp_path: Path) -> None:
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
    page = write_demo_page(report, tmp_path / "chart.html").read_text()
    assert "news &amp; more" in page
    assert "2 quarantined by missing_user" in page
    said = re.findall(r"<title>([^<]+: 0\.\d{4})</title>", page)
    assert said[:2] == [
        "champion (updated weekly), 2011-05-30: 0.2000",
        "champion (updated weekly), 2011-06-06: 0.1000",
    ]
    assert len(said) == 3 * 2
    assert "Champion minus static: +0.0500 (95 % interval +0.0100 to +0.0900)." in page
