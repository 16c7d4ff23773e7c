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

PAGE = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>recloop: how fresh pays</title><style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1d2433 }
h1 { font-size: 1.4rem } svg { width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: #4b5566 }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-size: 14px }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d8dde6 } td.n { font-variant-numeric: tabular-nums }
</style></head><body>
<h1>Recall@20 on items that a customer had never bought, week by week</h1>
<p>Each model ranks the catalogue for each customer at the start of the week, before anything learns from it.
{% for other, d in differences %}Champion minus {{ other }}: {{ '%+.4f' % d['recall@20'] }} (95 % interval {{ '%+.4f' % d['low'] }} to {{ '%+.4f' % d['high'] }}). {% endfor %}</p>
<svg viewBox="0 0 {{ w }} {{ h }}" role="img" aria-label="Recall at 20 by week">
{% for y, label in ticks %}<line x1="{{ left }}" x2="{{ w - right }}" y1="{{ y }}" y2="{{ y }}" stroke="#e3e7ee"/><text x="{{ left - 8 }}" y="{{ y + 4 }}" text-anchor="end">{{ label }}</text>{% endfor %}
{% for x, label in weeks %}<text x="{{ x }}" y="{{ h - 14 }}" text-anchor="middle">{{ label }}</text>{% endfor %}
{% for s in series %}<polyline points="{{ s.line }}" fill="none" stroke="{{ s.color }}" stroke-width="2.5"/>
{% for x, y, tip in s.points %}<circle cx="{{ x }}" cy="{{ y }}" r="4" fill="{{ s.color }}"><title>{{ tip }}</title></circle>{% endfor %}
<text x="{{ w - right + 8 }}" y="{{ s.label_y }}" style="fill: {{ s.color }}; font-weight: 600">{{ s.short }}</text>{% endfor %}
</svg>
<table><tr><th>week</th><th>events</th><th>decision</th><th>gate</th><th>release</th><th>why</th></tr>
{% for row in rows %}<tr><td>{{ row.window }}</td><td class="n">{{ '{:,}'.format(row.events) }}</td><td>{{ row.decision }}</td><td>{{ '–' if row.gate is none else ('passed' if row.gate.passed else 'refused') }}</td><td class="n">{{ row.release or '–' }}</td><td>{{ row.reason }}</td></tr>{% endfor %}</table>
<h2>Lines</h2><p>{{ '{:,}'.format(lines.total) }} lines: {{ '{:,}'.format(lines.accepted) }} accepted, {{ '{:,}'.format(lines.duplicates) }} duplicates,
{% for rule, n in lines.quarantined.items() %}{{ '{:,}'.format(n) }} quarantined by {{ rule }}, {% endfor %}{{ '{:,}'.format(lines.pending) }} pending.</p>
</body></html>
""")


def write_chart(report: Json, path: Path) -> Path:
    """Draw `report` (see `demo_report.py`) to `path`; returns the path."""
    rows = [row for row in report["windows"] if row["prequential"]]
    values = [
        row["prequential"][name]["recall@20"]
        for row in rows
        for name, _, _ in SERIES
        if name in row["prequential"]
    ]
    top = max([*values, 0.01]) * 1.1

    def x(index: int) -> float:
        span = WIDTH - LEFT - RIGHT
        return round(LEFT + span * (index + 0.5) / max(1, len(rows)), 1)

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top), 1)

    series = []
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
    _spread(series)
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


def _spread(series: list[Json], least: float = 16) -> None:
    """Move labels apart so that none covers another."""
    ordered = sorted(series, key=lambda one: one["label_y"])
    for above, below in pairwise(ordered):
        below["label_y"] = max(below["label_y"], above["label_y"] + least)
