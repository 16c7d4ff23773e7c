"""A stream through recloop's own loop: a dataset file, `recloop ingest`, `recloop update` for each
window.

    python -m benchmarks.loop sessions --data diginetica

Each window is scored before anything learns from it, as the protocols of `benchmarks/` do; the
figures are those that the ledger keeps. Nothing here trains or scores: it is the product that does.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from recloop.errors import BadInput
from recloop.settings import PROJECT, process_environment

Json = dict[str, Any]
START = datetime(2016, 1, 4, tzinfo=UTC)
"""A Monday: the first period's."""
SESSIONS = """
name = "periods"
[source]
kind = "folder"
path = "lines"
[window]
length = "week"
[period]
start = {start:%Y-%m-%dT00:00:00Z}
end = {end:%Y-%m-%dT00:00:00Z}
[columns]
session = "text"
item = "text"
at = "time"
[event]
id = ["session", "item", "at"]
user_id = "session"
item_id = "item"
timestamp = "at"
type = "click"
[model]
family = "sessions"
session_gap = "7d"
"""


def sessions(data: Path, home: Path) -> tuple[str, list[str]]:
    """`period_<n>.txt` as a week each, its lines in even steps; the dataset file and the windows'
    keys."""
    periods = sorted(data.glob("period_*.txt"), key=lambda path: int(path.stem.split("_")[1]))
    if len(periods) < 2:
        raise BadInput(
            f"{data} has {len(periods)} file(s) period_<n>.txt; give a folder of two or more."
        )
    weeks = [START + timedelta(weeks=n) for n in range(len(periods) + 1)]
    for number, (path, start) in enumerate(zip(periods, weeks, strict=False)):
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
        step = timedelta(weeks=1) / (len(lines) + 1)
        rows = (
            (f"{number}-{session}", item, (start + (n + 1) * step).isoformat())
            for n, (session, item) in enumerate(lines)
        )
        _write(home / "lines" / f"{number:03}.csv", ("session", "item", "at"), rows)
    spec = SESSIONS.format(start=weeks[0], end=weeks[-1])
    return spec, [f"{week:%Y-%m-%d}" for week in weeks[:-1]]


STREAMS = {"sessions": sessions}


def main(
    stream: Annotated[str, typer.Argument(help="sessions")],
    data: Annotated[Path, typer.Option(help="Where its files are.")],
    out: Annotated[Path, typer.Option(help="A new folder for the loop's home.")] = Path(
        "var/bench-loop"
    ),
    windows: Annotated[int, typer.Option(help="How many to learn; 0: all.")] = 0,
    policy: Annotated[str, typer.Option(help="Of `recloop update`.")] = "every-window",
) -> None:
    """Run a stream and print what the champion was worth on each window before it was learnt."""
    if stream not in STREAMS:
        raise BadInput(f"stream {stream!r} is not known; choose one of {', '.join(STREAMS)}.")
    home = (out / stream).resolve()
    if home.exists():
        raise BadInput(f"{home} is there already; give another --out, or remove it.")
    home.mkdir(parents=True)
    spec, keys = STREAMS[stream](data, home)
    (home / "dataset.toml").write_text(spec)
    keys = keys[: windows or None]
    _recloop(home, "ingest", "--through", keys[-1])
    for place, key in enumerate(keys):
        print(f"window {key}, {place + 1} of {len(keys)}", file=sys.stderr)
        _recloop(home, "update", "--window", key, "--policy", policy, may_fail=True)
    status = json.loads(_recloop(home, "status", "--json"))
    found = report(status["windows"])
    _recloop(home, "down")
    print(json.dumps(found, indent=2))


def report(windows: list[Json]) -> Json:
    """Of each window that was scored: its events, the champion's metrics, the CPU seconds of its
    update; and the means over windows."""
    rows = []
    for row in windows:
        signals = row["prequential"] or {}
        metrics = {
            name.removeprefix("champion_"): value
            for name, value in signals.items()
            if name.startswith("champion_")
        }
        if metrics:
            rows.append({"window": row["window"], "outcome": row["outcome"], **metrics})
    names = [name for name in (rows[0] if rows else {}) if name not in ("window", "outcome")]
    means = {name: round(float(np.mean([row[name] for row in rows])), 6) for name in names}
    promoted = sum(row["outcome"] == "promoted" for row in rows)
    return {"windows": rows, "means": means, "promoted": promoted}


def _recloop(home: Path, *arguments: str, may_fail: bool = False) -> str:
    environment = process_environment() | {
        "RECLOOP_HOME": str(home / "home"),
        "RECLOOP_DATASET": str(home / "dataset.toml"),
    }
    program = Path(sys.executable).with_name("recloop")
    done = subprocess.run(
        [program, *arguments], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    )
    if done.returncode and not may_fail:
        raise BadInput(f"`recloop {' '.join(arguments)}` ended with {done.returncode}; see above.")
    return done.stdout


def _write(path: Path, header: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    typer.run(main)
