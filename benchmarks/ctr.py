"""`make bench-ctr DATA=…`: click-through prediction on a MovieLens ratings file, ASMG's protocol.

    python -m benchmarks.ctr --data ratings.csv --systems default,static --seeds 0,1,2

Every system runs under both protocols of `ctr_protocol`: frozen, with which published figures are
compared, and online. The published ones on MovieLens-25M are of the years 2014 to 2018: `--start
2014-01-01 --end 2019-01-01`. Neighbours: `ctr_protocol` (what is measured), `ctr_systems` (which
systems there are).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.chart import Lines, Panel, Table, write_chart
from benchmarks.cost import Meter, one_thread, peak_megabytes
from benchmarks.ctr_features import NAMES
from benchmarks.ctr_protocol import METRICS, PROTOCOLS, Clicks, Periods, Result, distinct, run
from benchmarks.ctr_ratings import RatingLog, read_ratings
from benchmarks.ctr_systems import BATCH_PERIODS, SYSTEMS, WARM_UP_EPOCHS
from benchmarks.output import (
    Json,
    RunFailed,
    default_path,
    ended_like_ctrl_c,
    versions,
    write_json,
)
from benchmarks.seeds import seeds_of
from recloop.errors import BadInput, RecloopError

PUBLISHED = {
    "MovieLens-25M, incremental (Peng et al. 2021)": 0.7494,
    "MovieLens-25M, batch (Peng et al. 2021)": 0.7212,
    "MovieLens-25M, SML (Peng et al. 2021)": 0.7522,
    "MovieLens-25M, ASMG (Peng et al. 2021)": 0.7564,
}
"""AUC, frozen: printed beside, for whoever runs it on MovieLens-25M."""
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
    from recloop.cli.output import fail

    out = out or default_path("ctr")

    def keep(content: Json) -> None:
        write_json(out, content)
        draw(content, out.with_suffix(".html"))

    try:
        with ended_like_ctrl_c():
            content = measure(
                data, systems, seeds, Periods(periods, warm_up, tested), keep, start, end
            )
    except RecloopError as error:
        fail(error)
        raise typer.Exit(1) from error
    _show(content, out)


def measure(
    data: Path | None,
    systems: str,
    seeds: str,
    periods: Periods,
    keep: Callable[[Json], None],
    start: str = "",
    end: str = "",
) -> Json:
    """All runs: `systems` by protocol, `settings` and `seeds` (see `output`).

    Args:
        keep: is handed all that is measured after each system.

    Raises:
        BadInput: the file, a system, a seed, a day or the periods cannot be used.
        RunFailed: systems failed; the others ran, and are kept.
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
    content: Json = {
        "systems": {protocol: {} for protocol in PROTOCOLS},
        "published": PUBLISHED,
        "settings": _settings(data, log, periods),
        "seeds": numbers,
        "unfinished": [f"{name}, {protocol}" for protocol in PROTOCOLS for name in names],
    }
    say(f"{len(log):,} ratings, {bounds[1]:,} a period")
    one_thread()
    failed = []
    for protocol in PROTOCOLS:
        reading = Meter()
        with reading.measuring():
            clicks = Clicks.of(log, bounds if protocol == "frozen" else None)
        content["settings"]["features_cpu_s"][protocol] = reading.cpu_s
        content["settings"]["likes"] = float(clicks.labels.mean())
        for name in names:
            make, seeded = SYSTEMS[name]
            runs: dict[int, Result] = {}
            try:
                for seed in numbers if seeded else numbers[:1]:
                    told = partial(_tell, f"{protocol}, {name}, seed {seed}")
                    runs[seed] = run(make(seed), clicks, periods, told)
                    content["systems"][protocol][name] = _entry(runs)
                    content["settings"]["peak_mb"] = peak_megabytes()
                    keep(content)
            except Exception as error:
                failed.append(f"{name}, {protocol}: {type(error).__name__}: {error}")
                continue
            content["unfinished"].remove(f"{name}, {protocol}")
            keep(content)
    if failed:
        raise RunFailed(f"what ran is written, but {len(failed)} failed: {'; '.join(failed)}")
    return content


def _tell(what: str, period: int, auc: float) -> None:
    from recloop.cli.output import say

    say(f"{what}: period {period}, AUC {auc:.4f}")


def _settings(data: Path, log: RatingLog, periods: Periods) -> Json:
    """What is run, on what. The CPU seconds of features by protocol are filled in later."""
    bounds = periods.bounds(len(log))
    return {
        "file": data.name,
        "ratings": len(log),
        "users": len(distinct(log.user_keys)),
        "items": len(distinct(log.item_keys)),
        "first_day": str(np.datetime64(int(log.times[0]), "s"))[:10],
        "last_day": str(np.datetime64(int(log.times[bounds[-1] - 1]), "s"))[:10],
        "periods": periods.count,
        "ratings_per_period": int(bounds[1]),
        "warm_up": periods.warm_up,
        "warm_up_epochs": WARM_UP_EPOCHS,
        "tested": periods.tested,
        "batch_periods": BATCH_PERIODS,
        "features": list(NAMES),
        "features_cpu_s": {},
        "threads": 1,
        "versions": versions("numpy", "tensorflow"),
    }


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


EXPLAINED = {
    "frozen": "nothing of the tested period is known, as in papers",
    "online": "labels up to the second before are known: not comparable with papers",
}


def draw(content: Json, path: Path) -> Path:
    """The page: AUC by period and the means, by protocol."""
    settings = content["settings"]
    panels: list[Panel] = []
    for protocol, entries in content["systems"].items():
        if not entries:
            continue
        periods = [str(one["period"]) for one in next(iter(entries.values()))["per_period"]]
        curves = {n: [one["auc"] for one in entry["per_period"]] for n, entry in entries.items()}
        title = f"{protocol}: {EXPLAINED[protocol]}"
        panels.append(Lines(f"AUC by period, {title}", periods, curves))
        panels.append(Table(f"Means, {title}", HEADER, _rows(content, protocol)))
    notes = [
        f"{settings['file']}: {settings['ratings']:,} ratings from {settings['first_day']} to "
        f"{settings['last_day']}, {settings['periods']} periods of {settings['ratings_per_period']:,}; "
        f"means over the last {settings['tested']}. CPU seconds are of all updates after the first "
        f"{settings['warm_up']} periods."
    ]
    if content["unfinished"]:
        notes.append(f"Not measured: {'; '.join(content['unfinished'])}.")
    return write_chart(path, "Click-through, predicted before it is learned", panels, notes)


HEADER = ["system", *METRICS, "CPU s"]


def _rows(content: Json, protocol: str) -> list[list[str]]:
    """A row per system; with the frozen ones, those of papers."""
    rows = [
        [name, *(f"{entry[metric]:.4f}" for metric in METRICS), f"{entry['cpu_s']:.1f}"]
        for name, entry in content["systems"][protocol].items()
    ]
    if protocol == "frozen":
        blank = [""] * len(METRICS)
        rows += [[name, f"{auc:.4f}", *blank] for name, auc in content["published"].items()]
    return rows


def _show(content: Json, out: Path) -> None:
    from rich.table import Table as Shown

    from recloop.cli.output import console, say

    for protocol in PROTOCOLS:
        shown = Shown(*HEADER, title=f"{protocol}: {EXPLAINED[protocol]}")
        for row in _rows(content, protocol):
            shown.add_row(*row)
        console.print(shown)
    say(f"written: {out} and {out.with_suffix('.html')}")


def _seconds(day: str, name: str) -> int | None:
    if not day:
        return None
    try:
        return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise BadInput(f"`{name}` should be a day like 2014-01-01. Received: {day!r}.") from error


if __name__ == "__main__":
    typer.run(bench)
