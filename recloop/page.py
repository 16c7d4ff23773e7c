"""What every HTML page of recloop shares: one frame, readable in light and dark and on a telephone.

Pages are read in Airflow's origin, and what they tell comes from feeds of strangers. So whatever is
put into a template is escaped, and a page needs nothing but itself: no script, no font, no picture, no
address of another host. `plugins/recloop_airflow/reports.py` serves them under a policy that forbids
the rest.

Belongs here: the frame and how a page gets onto the disk. Keep out: what a page says, which is in the
room of what it tells (`evaluation/gate_page.py`, `validation/judging.py`, `stages/status.py`).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from jinja2 import DictLoader, Environment, Template

FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{% block title %}recloop{% endblock %}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --ink: #1d2433; --paper: #fff; --line: #d8dde6; --soft: #eef1f6;
  --good: #19733b; --bad: #a32020; --broken: #fbe9e9; --link: #1a4fa3 }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ef; --paper: #14171d; --line: #353c48;
  --soft: #20252e; --broken: #43201f; --link: #8db8ff } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere }
a { color: var(--link) } h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.verdict { padding: .6rem 1rem; border-radius: .4rem; color: #fff }
.good { background: var(--good) } .bad { background: var(--bad) }
.summary { padding: .6rem 1rem; border-radius: .4rem; background: var(--soft) }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; unicode-bidi: isolate; overflow-wrap: normal }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap }
td.long { min-width: 16rem; overflow-wrap: anywhere } tr.broken td { background: var(--broken) }
</style></head><body>
{% block body %}{% endblock %}
</body></html>
"""


def readable(value: float | str | None) -> str:
    """A number as people write it: whole ones whole, others with four decimals; a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, str) or value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if value == int(value):
        return f"{int(value):,}"  # an int has no -0
    return f"{value:,.4f}" if abs(value) >= 0.001 else f"{value:.2g}"


_ENVIRONMENT = Environment(autoescape=True, loader=DictLoader({"frame": FRAME}), trim_blocks=True)
_ENVIRONMENT.filters["readable"] = readable


def template(text: str) -> Template:
    """A page: `{% block title %}` and `{% block body %}`, put into the frame. What is filled in is
    escaped."""
    return _ENVIRONMENT.from_string('{% extends "frame" %}' + text)


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
