"""A page with charts: plain SVG and one style, nothing loaded from elsewhere, so it can be mailed.

Belongs here: lines over windows, bars, tables. Keep out: what a benchmark measures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TypeGuard

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 360, 56, 190, 16, 40
BAR, GAP, NAMES, VALUES = 18, 6, 200, 220
LABEL_HEIGHT, LETTER_WIDTH = 15, 8
COLORS = (
    "#1a6fb3", "#c2571a", "#2e8b57", "#8e44ad", "#b8860b", "#c0392b", "#16808a", "#6b7280",
    "#d6589f", "#5b6abf", "#7a9a01", "#8c564b",
)  # fmt: skip
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; color: #1d2433 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
svg { width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: #4b5566 }
table { border-collapse: collapse; margin: 1rem 0; font-size: 14px }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid #d8dde6;
  font-variant-numeric: tabular-nums } th:first-child, td:first-child { text-align: left }
"""


@dataclass(frozen=True)
class Lines:
    """One line per system over windows; NaN or None leaves a gap."""

    title: str
    labels: Sequence[str]
    """Of the windows, oldest first."""
    series: Mapping[str, Sequence[float | None]]
    """System → one value per label."""


@dataclass(frozen=True)
class Bars:
    """One bar per system, with an interval if `intervals` has one."""

    title: str
    values: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float]] | None = None


@dataclass(frozen=True)
class Points:
    """One labelled point per system; those named in `front` are joined, from left to right."""

    title: str
    axes: tuple[str, str]
    values: Mapping[str, tuple[float, float]]
    """System → (x, y), both finite."""
    front: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


Panel = Lines | Bars | Points | Table


def write_chart(path: Path, title: str, panels: Sequence[Panel], notes: Sequence[str] = ()) -> Path:
    """Draws the panels, one under another, to an HTML page; returns the path.

    Args:
        path: of the page.
        title: its heading.
        panels: what to draw.
        notes: paragraphs under the heading.
    """
    draw = {Lines: _lines, Bars: _bars, Points: _points, Table: _table}
    body = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(note)}</p>" for note in notes)]
    for panel in panels:
        body += [f"<h2>{escape(panel.title)}</h2>", draw[type(panel)](panel)]  # type: ignore[operator]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n",
        encoding="utf-8",
    )
    return path


def _lines(panel: Lines) -> str:
    for name, values in panel.series.items():
        if len(values) != len(panel.labels):
            raise ValueError(
                f"`series` should have one value per label. Received: {len(values)} values of "
                f"{name!r} for {len(panel.labels)} labels."
            )
    numbers = [v for values in panel.series.values() for v in values if _is_number(v)]
    top = max([*numbers, 0.0]) * 1.1 or 1.0
    bottom = min([*numbers, 0.0])

    def x(index: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (index + 0.5) / max(1, len(panel.labels))

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (top - value) / (top - bottom)

    parts = [_svg(HEIGHT, panel.title)]
    for tick in range(6):
        value = bottom + (top - bottom) * tick / 5
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            'stroke="#e3e7ee"/>'
        )
        parts.append(_text(LEFT - 8, y(value) + 4, f"{value:.3g}", "end"))
    longest = max((len(label) for label in panel.labels), default=0) + 2
    room = (WIDTH - LEFT - RIGHT) // (longest * LETTER_WIDTH)
    every = max(1, math.ceil(len(panel.labels) / max(1, room)))
    parts += [
        _text(x(index), HEIGHT - 14, label, "middle")
        for index, label in enumerate(panel.labels)
        if index % every == 0
    ]
    ends: list[tuple[float, str, str]] = []
    for number, (name, values) in enumerate(panel.series.items()):
        color = COLORS[number % len(COLORS)]
        points = [(x(i), y(v)) for i, v in enumerate(values) if _is_number(v)]
        if not points:
            continue
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2">'
            f"<title>{escape(name)}</title></polyline>"
        )
        ends.append((points[-1][1] + 4, name, color))
    for at, name, color in _spread(ends):
        parts.append(_text(WIDTH - RIGHT + 8, at, name, "start", color))
    return "\n".join([*parts, "</svg>"])


def _bars(panel: Bars) -> str:
    intervals = panel.intervals or {}
    numbers = [v for v in panel.values.values() if _is_number(v)]
    numbers += [end for pair in intervals.values() for end in pair if _is_number(end)]
    low, high = min([*numbers, 0.0]), max([*numbers, 0.0])
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return NAMES + (WIDTH - NAMES - VALUES) * (value - low) / span

    parts = [_svg(len(panel.values) * (BAR + GAP) + GAP, panel.title)]
    for number, (name, value) in enumerate(panel.values.items()):
        at = GAP + number * (BAR + GAP)
        color = COLORS[number % len(COLORS)]
        parts.append(_text(NAMES - 8, at + BAR - 5, name, "end"))
        shown = "–"
        if _is_number(value):
            left, right = sorted((x(0.0), x(value)))
            parts.append(
                f'<rect x="{left:.1f}" y="{at}" width="{right - left:.1f}" height="{BAR}" '
                f'fill="{color}"/>'
            )
            shown = f"{value:.4g}"
        if name in intervals:
            first, last = intervals[name]
            middle = at + BAR / 2
            parts.append(
                f'<line x1="{x(first):.1f}" x2="{x(last):.1f}" y1="{middle}" y2="{middle}" '
                'stroke="#1d2433" stroke-width="2"/>'
            )
            shown += f" [{first:.4g}, {last:.4g}]"
        parts.append(_text(WIDTH - VALUES + 8, at + BAR - 5, shown, "start"))
    return "\n".join([*parts, "</svg>"])


def _points(panel: Points) -> str:
    xs, ys = ([pair[axis] for pair in panel.values.values()] for axis in (0, 1))
    left, right = min([*xs, 0.0]), max([*xs, 1e-9])
    margin = (max(ys) - min(ys)) * 0.1 or 0.1 * abs(max(ys)) or 1.0
    bottom, top = min(ys) - margin, max(ys) + margin

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - left) / (right - left)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (top - value) / (top - bottom)

    parts = [_svg(HEIGHT, panel.title)]
    for tick in range(6):
        value = bottom + (top - bottom) * tick / 5
        across = left + (right - left) * tick / 5
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            'stroke="#e3e7ee"/>'
        )
        parts.append(_text(LEFT - 8, y(value) + 4, f"{value:.3g}", "end"))
        parts.append(_text(x(across), HEIGHT - 24, f"{across:.3g}", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, panel.axes[0], "middle"))
    parts.append(_text(LEFT + 4, TOP + 8, panel.axes[1], "start"))
    joined = sorted(panel.values[name] for name in panel.front)
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in joined)
    parts.append(f'<polyline points="{path}" fill="none" stroke="#9aa4b2" stroke-dasharray="4"/>')
    for number, (name, (a, b)) in enumerate(panel.values.items()):
        color = COLORS[number % len(COLORS)]
        parts.append(
            f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="5" fill="{color}">'
            f"<title>{escape(name)}: {a:.4g}, {b:.4g}</title></circle>"
        )
        parts.append(_text(x(a) + 9, y(b) + 4, name, "start", color))
    return "\n".join([*parts, "</svg>"])


def _table(panel: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    rows = [row(cells, "td") for cells in panel.rows]
    return "\n".join(["<table>", row(panel.header, "th"), *rows, "</table>"])


def _svg(height: float, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">'
    )


def _text(x: float, y: float, text: str, anchor: str, color: str | None = None) -> str:
    style = f' style="fill: {color}; font-weight: 600"' if color else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _spread(ends: list[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """Moves labels apart so that none covers another."""
    placed: list[tuple[float, str, str]] = []
    for at, name, color in sorted(ends):
        least = placed[-1][0] + LABEL_HEIGHT if placed else at
        placed.append((max(at, least), name, color))
    return placed


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
