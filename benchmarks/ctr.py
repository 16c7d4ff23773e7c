"""`make bench-ctr DATA=…`: click-through prediction on a MovieLens ratings file, ASMG's protocol.

    python -m benchmarks.ctr --data ratings.csv --systems default,static --seeds 0,1,2

The published figures on MovieLens-25M are of the years 2014 to 2018: `--start 2014-01-01 --end
2019-01-01`. Neighbours: `ctr_protocol` (what is measured), `ctr_systems` (which systems there are).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.chart import Lines, Table, write_chart
from benchmarks.cost import Meter, one_thread, peak_megabytes
from benchmarks.ctr_features import NAMES
from benchmarks.ctr_protocol import METRICS, Clicks, Periods, Result, distinct, run
from benchmarks.ctr_ratings import read_ratings
from benchmarks.ctr_systems import BATCH_PERIODS, SYSTEMS, WARM_UP_EPOCHS
from benchmarks.output import Json, default_path, versions, write_json
from benchmarks.seeds import seeds_of
from recloop.errors import BadInput, RecloopError

COSTS = ("cpu_s", "wall_s", "warm_up_cpu_s", "predict_cpu_s")


def bench(
    data: Annotated[Path | None, typer.Option(help="ratings.csv, ratings.dat or u.data.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="JSON to write; the page lies beside it.")
    ] = None,
    systems: Annotated[str, typer.Option(help=f"By comma; of {', '.join(SYSTEMS)}.")] = "",
    seeds: Annotated[str, typer.Option(help="Of systems that have any, by comma.")] = "0",
    periods: Annotated[int, typer.Option(help="Into how many the ratings are cut.")] = 31,
    warm_up: Annotated[int, typer.Option(help="How many are learned at once, first.")] = 10,
    tested: Annotated[int, typer.Option(help="How many of the last are in the means.")] = 7,
    start: Annotated[str, typer.Option(help="First day, like 2014-01-01 (UTC).")] = "",
    end: Annotated[str, typer.Option(help="Day after the last, like 2019-01-01 (UTC).")] = "",
) -> None:
    """Predict the clicks of each period before learning them, with every system."""
    from rich.table import Table as Shown

    from recloop.cli.output import console, fail, say

    out = out or default_path("ctr")
    try:
        cut = Periods(periods, warm_up, tested)
        content = measure(data, systems, seeds, cut, start, end)
    except RecloopError as error:
        fail(error)
        raise typer.Exit(1) from error
    page = draw(content, out.with_suffix(".html"))
    shown = Shown("system", *METRICS, "CPU s")
    for row in _rows(content):
        shown.add_row(*row)
    console.print(shown)
    say(f"written: {write_json(out, content)} and {page}")


def measure(
    data: Path | None, systems: str, seeds: str, periods: Periods, start: str = "", end: str = ""
) -> Json:
    """All runs: `systems`, `settings` and `seeds` (see `output`).

    Raises:
        BadInput: the file, a system, a seed, a day or the periods cannot be used.
    """
    from recloop.cli.output import say

    if data is None:
        raise BadInput(
            "no ratings file given; say DATA=path/to/ratings.csv (or --data). MovieLens files come "
            "from GroupLens; they may not be passed on, so recloop has none."
        )
    names = [name.strip() for name in systems.split(",") if name.strip()] or list(SYSTEMS)
    for name in names:
        if name not in SYSTEMS:
            raise BadInput(f"system {name!r} is not known; choose from {', '.join(SYSTEMS)}.")
    numbers = seeds_of(seeds)
    log = read_ratings(data).between(_seconds(start, "start"), _seconds(end, "end"))
    bounds = periods.bounds(len(log))
    reading = Meter()
    with reading.measuring():
        clicks = Clicks.of(log)
    say(
        f"{len(log):,} ratings, {bounds[1]:,} a period; {100 * clicks.labels.mean():.1f} % are likes"
    )
    one_thread()
    content: Json = {"systems": {}}
    for name in names:
        make, seeded = SYSTEMS[name]
        runs = {}
        for seed in numbers if seeded else numbers[:1]:

            def told(period: int, value: float, name: str = name, seed: int = seed) -> None:
                say(f"{name}, seed {seed}: period {period}, AUC {value:.4f}")

            runs[seed] = run(make(seed), clicks, periods, told)
        content["systems"][name] = _entry(runs)
    content["settings"] = {
        "file": data.name,
        "ratings": len(log),
        "users": len(distinct(log.user_keys)),
        "items": len(distinct(log.item_keys)),
        "likes": float(clicks.labels.mean()),
        "first_day": str(np.datetime64(int(log.times[0]), "s"))[:10],
        "last_day": str(np.datetime64(int(log.times[bounds[-1] - 1]), "s"))[:10],
        "periods": periods.count,
        "ratings_per_period": int(bounds[1]),
        "warm_up": periods.warm_up,
        "warm_up_epochs": WARM_UP_EPOCHS,
        "tested": periods.tested,
        "batch_periods": BATCH_PERIODS,
        "features": list(NAMES),
        "features_cpu_s": reading.cpu_s,
        "threads": 1,
        "peak_mb": peak_megabytes(),
        "versions": versions("numpy", "tensorflow"),
    }
    content["seeds"] = numbers
    return content


def _entry(runs: dict[int, Result]) -> Json:
    """One system: means over the tested periods and the seeds, and what they are made of."""
    table = np.array([[run.metrics[name] for name in METRICS] for run in runs.values()])
    periods = next(iter(runs.values())).periods
    costs = {seed: _costs(result) for seed, result in runs.items()}
    return {
        **dict(zip(METRICS, table.mean(axis=(0, 2)), strict=True)),
        **{name: np.mean([cost[name] for cost in costs.values()]) for name in COSTS},
        "per_period": [
            {"period": period, **dict(zip(METRICS, values, strict=True))}
            for period, values in zip(periods, table.mean(axis=0).T, strict=True)
        ],
        "per_seed": {
            str(seed): {**dict(zip(METRICS, values.mean(axis=1), strict=True)), **costs[seed]}
            for seed, values in zip(runs, table, strict=True)
        },
    }


def _costs(result: Result) -> dict[str, float]:
    return {
        "cpu_s": result.learning.cpu_s,
        "wall_s": result.learning.wall_s,
        "warm_up_cpu_s": result.warming_up.cpu_s,
        "predict_cpu_s": result.predicting.cpu_s,
    }


def draw(content: Json, path: Path) -> Path:
    """The page: AUC by period, and the means."""
    entries = content["systems"]
    periods = [str(one["period"]) for one in next(iter(entries.values()))["per_period"]]
    settings = content["settings"]
    lines = Lines(
        "AUC by period",
        periods,
        {name: [one["auc"] for one in entry["per_period"]] for name, entry in entries.items()},
    )
    note = (
        f"{settings['file']}: {settings['ratings']:,} ratings from {settings['first_day']} to "
        f"{settings['last_day']}, {settings['periods']} periods of {settings['ratings_per_period']:,}; "
        f"means over the last {settings['tested']}. CPU seconds are of all updates after the first "
        f"{settings['warm_up']} periods."
    )
    means = Table("Means", ["system", *METRICS, "CPU s"], _rows(content))
    return write_chart(
        path, "Click-through, predicted before it is learned", [lines, means], [note]
    )


def _rows(content: Json) -> list[list[str]]:
    return [
        [name, *(f"{entry[metric]:.4f}" for metric in METRICS), f"{entry['cpu_s']:.1f}"]
        for name, entry in content["systems"].items()
    ]


def _seconds(day: str, name: str) -> int | None:
    if not day:
        return None
    try:
        return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise BadInput(f"`{name}` should be a day like 2014-01-01. Received: {day!r}.") from error


if __name__ == "__main__":
    typer.run(bench)
