"""The one chart of recloop's pages: lines over windows, with intervals, as SVG that needs no script.

pygal lays it out. Of what pygal writes, its script, its style sheet and its comments are left out: pages
are served under a policy that forbids scripts, and the frame's own style (`page.html`) knows light and
dark. Lines differ by their dashes as well as by their colour; each point says its value when it is
pointed at; what a chart shows stands in a table beside it, too.

Rejected: altair, which needs a script of 800 kB that compiles code in the browser, or a JavaScript
engine in the server to draw without it.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from markupsafe import Markup

WIDTH, HEIGHT = 640, 260
STEPS = 5
"""Lines of the scale, about so many."""
MARKED = 6
"""Labels below the chart, at most."""


FEW = 24
"""Windows whose points are drawn large; more would hide the lines' dashes."""


@dataclass(frozen=True)
class Line:
    """One system over the windows.

    Attributes:
        name: as the legend has it.
        values: one for each window; None where it was not measured.
        intervals: (low, high) for each window, or none at all.
    """

    name: str
    values: Sequence[float | None]
    intervals: Sequence[tuple[float, float] | None] = ()


def line_chart(title: str, labels: Sequence[str], lines: Sequence[Line]) -> Markup:
    """A legend and a chart; empty where no line has a value.

    Args:
        title: what is shown, for those who hear the page.
        labels: of the windows, oldest first.
        lines: up to four; the first is the one that the others are held against.
    """
    if not any(value is not None for line in lines for value in line.values):
        return Markup("")
    drawn = _drawn(labels, lines)
    drawn.set("role", "img")
    drawn.set("aria-label", title)
    keys = Markup("").join(
        Markup(
            '<li><svg class="chart key" viewBox="0 0 36 12" aria-hidden="true"><g class="series '
            'serie-{n} color-{n}"><path class="line nofill" d="M1 6 h34"/></g></svg> {name}</li>'
        ).format(n=number, name=line.name)
        for number, line in enumerate(lines)
    )
    return Markup(
        '<ul class="legend">{}</ul><div class="wide" tabindex="0" role="region" aria-label="{}">{}</div>'
    ).format(keys, f"Chart: {title}", Markup(_text(drawn)))


def scale(lines: Sequence[Line]) -> list[float]:
    """Round numbers, evenly apart, that every value and interval lies between."""
    seen = [value for line in lines for value in line.values if value is not None]
    seen += [end for line in lines for both in line.intervals if both for end in both]
    low, high = min(seen), max(seen)
    apart = (high - low) / STEPS or abs(high) / STEPS or 0.1
    power = 10.0 ** math.floor(math.log10(apart))
    step = power * next(times for times in (1, 2, 5, 10) if times * power >= apart * 0.999999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 10) for n in range(first, max(last, first + 1) + 1)]


def _pygal() -> tuple[Any, Any]:
    """pygal and its `Style`, without the finder for plugins that pygal puts into `sys.meta_path`: Python
    asks that one at every later import, and warns that it is of an age before 3.4."""
    import pygal
    from pygal.style import Style

    sys.meta_path[:] = [one for one in sys.meta_path if type(one).__module__ != pygal.__name__]
    return pygal, Style


def _drawn(labels: Sequence[str], lines: Sequence[Line]) -> Element:
    pygal, style = _pygal()
    marks = scale(lines)
    every = max(1, math.ceil(len(labels) / MARKED))
    chart = pygal.Line(
        classes=("chart",), explicit_size=False, width=WIDTH, height=HEIGHT, margin=6, margin_right=40,
        show_legend=False, range=(marks[0], marks[-1]), dots_size=3 if len(labels) <= FEW else 1.5,
        allow_interruptions=True, show_minor_x_labels=False, truncate_label=-1,
        style=style(label_font_size=13, major_label_font_size=13),
        formatter=lambda value: "" if value is None else f"{value:.4f}",
    )  # fmt: skip
    chart.x_labels = list(labels)
    chart.x_labels_major = list(labels)[::-1][::every]
    chart.y_labels = [{"value": mark, "label": f"{mark:g}"} for mark in marks]
    for line in lines:
        between = line.intervals or [None] * len(line.values)
        chart.add(
            line.name,
            [
                value if both is None or value is None
                else {"value": value, "ci": {"low": both[0], "high": both[1]}}
                for value, both in zip(line.values, between, strict=True)
            ],
        )  # fmt: skip
    drawn = chart.render_tree()
    drawn.attrib.pop("id", None)
    for child in list(drawn):
        if child.tag != "g":
            drawn.remove(child)
    _say_values(drawn, [line.name for line in lines])
    _without_caps(drawn)
    return drawn


def _say_values(drawn: Element, names: Sequence[str]) -> None:
    """Each point's value as its title, in place of what pygal's script would read."""
    for guide in drawn.iter("g"):
        for title in guide.findall("title"):
            guide.remove(title)
    for number, name in enumerate(names):
        for series in drawn.iter("g"):
            if f"serie-{number} " not in f"{series.get('class')} ":
                continue
            for dots in series.iter("g"):
                said = {one.get("class"): one.text or "" for one in dots.findall("desc")}
                for one in dots.findall("desc"):
                    dots.remove(one)
                if said:
                    at = said.get("x_label", "")
                    SubElement(dots, "title").text = f"{name}, {at}: {said.get('value', '')}"


def _without_caps(drawn: Element) -> None:
    """Intervals as plain strokes: pygal's caps are so wide that those of near windows become one."""
    for group in drawn.iter("g"):
        if group.get("class") == "ci":
            path = group[0]
            ends = re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path.get("d", ""))
            (x, top), (_, bottom) = ends[0], ends[5]
            path.set("d", f"M{x} {top} L{x} {bottom}")


def _text(drawn: Element) -> str:
    from xml.etree.ElementTree import Comment, tostring

    for parent in list(drawn.iter()):
        parent.attrib.pop("style", None)
        for child in list(parent):
            if child.tag is Comment:
                parent.remove(child)
    return tostring(drawn, encoding="unicode")
