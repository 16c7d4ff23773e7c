"""What every HTML page of recloop shares: one frame, readable in light and dark and on a telephone.

Pages are read in Airflow's origin, and what they tell comes from feeds of strangers. So whatever is
put into a template is escaped, and a page needs nothing but itself: no script, no font, no picture, no
address of another host. `plugins/recloop_airflow/reports.py` serves them under a policy that forbids
the rest.

The frame says how forms, cards, the calendar and the lines of `chart.py` look, too, so that every page
looks alike. Belongs here: the frame and how a page gets onto the disk. Keep out: what a page says, which
is in the room of what it tells (`evaluation/gate_page.html`, `validation/judging.html`, `dashboard/`).
"""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path

from jinja2 import ChoiceLoader, DictLoader, Environment, FileSystemLoader, Template

FRAME = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")


def readable(value: float | str | None) -> str:
    """A number as people write it: whole ones whole, others with four decimals; a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, str) or value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if value == int(value):
        return f"{int(value):,}"  # an int has no -0
    return f"{value:,.4f}" if abs(value) >= 0.001 else f"{value:.2g}"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago in one unit, rounded down: `3 days`, `1 hour`; `under a minute`."""
    if moment is None:
        return "–"
    seconds = max((now - moment).total_seconds(), 0.0)
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if count := int(seconds // length):
            return f"{count:,} {unit}{'' if count == 1 else 's'}"
    return "under a minute"


_LOADER = ChoiceLoader([DictLoader({"frame": FRAME}), FileSystemLoader(Path(__file__).parent)])
"""Pieces of pages go by their place in this package: `{% include "dashboard/quality.html" %}`."""
_ENVIRONMENT = Environment(autoescape=True, loader=_LOADER, trim_blocks=True)


FILTERS = _ENVIRONMENT.filters
"""What a page may ask for by `|`; a room may add its own."""
FILTERS |= {"readable": readable, "ago": ago}


def template(path: Path) -> Template:
    """A page: `{% block title %}` and `{% block body %}` of a file, put into the frame (`page.html`).
    What is filled in is escaped."""
    return _ENVIRONMENT.from_string('{% extends "frame" %}' + path.read_text(encoding="utf-8"))


def write_page(path: Path, text: str) -> None:
    """Write a page whole, or not at all: others may be reading it, or writing it, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
