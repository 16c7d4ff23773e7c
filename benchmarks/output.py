"""What every benchmark writes: one JSON file, and the page with its picture beside it.

    systems     {name: {slice: {metric: value}, "cpu_s": …, "wall_s": …, "peak_mb": …}}
    paired      {"x minus y": {metric: [delta, low, high]}}
    settings    what was run, on what
    seeds       of the systems that have any
    unfinished  what was asked for and is not, or not wholly, among the systems

Both are written anew after each system, so that a run that is cut short keeps what it has measured.
NaN and infinities are written as null: JSON has none.
"""

from __future__ import annotations

import json
import math
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from recloop.errors import RecloopError
from recloop.settings import PROJECT

Json = dict[str, Any]
DIGITS = 6


class RunFailed(RecloopError):
    """A system ended with an error. What others measured is written."""


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Within the block, SIGTERM ends a run as Ctrl-C does, by `KeyboardInterrupt`: children are ended,
    and what is measured by then is written."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def default_path(name: str) -> Path:
    """Where a benchmark writes when nobody says where: `var/bench/<name>.json`."""
    return PROJECT / "var" / "bench" / f"{name}.json"


def write_json(path: Path, content: Json) -> Path:
    """Writes `content`, whole or not at all; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def plain(value: Any) -> Any:
    """`value` as JSON has it: NumPy's numbers as Python's, rounded; no number as None."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(entry) for entry in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return round(float(value), DIGITS) if math.isfinite(value) else None
    return value if value is None else str(value)


def versions(*packages: str) -> Json:
    """Python's version, the processor, and the versions of packages; None: not installed."""
    found: Json = {"python": platform.python_version(), "processor": platform.machine()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found
