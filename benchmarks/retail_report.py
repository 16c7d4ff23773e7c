"""From the results of all runs to the JSON and the page of `make bench-retail`.

A figure is a mean over users, then over windows, then over seeds. A paired difference compares two
systems on the same users and windows; a user's rows of all windows are no independent evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.chart import Bars, Lines, Panel, Table, write_chart
from benchmarks.output import Json
from benchmarks.retail_protocol import METRICS, SLICES, Result, Rows
from recloop.evaluation.differences import paired_difference

Runs = Mapping[int, Result]
"""Seed → result of one system."""
PAIRED_SLICES = ("a", "b", "new_users", "new_items")
ALL_PAIRS = 12
"""With more systems than this, only the first is compared with the others."""


def report(results: Mapping[str, Runs], seeds: Sequence[int], settings: Json) -> Json:
    """Systems, paired differences, settings and seeds (see `output.py`)."""
    return {
        "systems": {name: _system(runs, settings["windows"]) for name, runs in results.items()},
        "paired": _paired(results),
        "settings": settings,
        "seeds": list(seeds),
    }


def _system(runs: Runs, windows: Json) -> Json:
    """Quality, costs and what they are made of.

    `cpu_s`, `wall_s`: all updates, inside the process. `end_to_end_cpu_s`: as if each update had a
    process of its own, which imports the packages first (`startup_cpu_s`).
    """
    entry: Json = {}
    for part in SLICES:
        means = np.mean([result.rows[part].means() for result in runs.values()], axis=0)
        entry[part] = dict(zip(METRICS, means, strict=True))
    costs = [result.costs for result in runs.values()]
    entry |= {name: np.mean([cost[name] for cost in costs]) for name in costs[0]}
    entry["end_to_end_cpu_s"] = entry["cpu_s"] + len(windows) * entry["startup_cpu_s"]
    entry["per_seed"] = {
        str(seed): {
            part: dict(zip(METRICS, result.rows[part].means(), strict=True)) for part in SLICES
        }
        | result.costs
        for seed, result in runs.items()
    }
    entry["per_window"] = _per_window(runs)
    return entry


def _per_window(runs: Runs) -> Json:
    """Slice → window's index → metric → mean over users and seeds."""
    table: Json = {}
    for part in ("a", "b"):
        weekly = [result.rows[part].by_window() for result in runs.values()]
        table[part] = {
            str(window): dict(
                zip(METRICS, np.mean([w[window] for w in weekly], axis=0), strict=True)
            )
            for window in weekly[0]
        }
    return table


def _paired(results: Mapping[str, Runs]) -> Json:
    """`x minus y` → `slice.metric` → [delta, low, high]; x comes before y in the results."""
    averaged = {
        (name, part): _mean_rows([result.rows[part] for result in runs.values()])
        for name, runs in results.items()
        for part in PAIRED_SLICES
    }
    names = list(results)
    pairs = list(combinations(names, 2))
    if len(names) > ALL_PAIRS:
        pairs = [pair for pair in pairs if pair[0] == names[0]]
    found: Json = {}
    for ours, theirs in pairs:
        metrics = found[f"{ours} minus {theirs}"] = {}
        for part in PAIRED_SLICES:
            left, right = averaged[ours, part], averaged[theirs, part]
            weights = _window_weights(left)
            for column, metric in enumerate(METRICS):
                difference = paired_difference(
                    left.values[:, column] * weights,
                    right.values[:, column] * weights,
                    left.users,
                )
                interval = [difference.low(), difference.high()]
                metrics[f"{part}.{metric}"] = [difference.mean, *interval]
    return found


def _mean_rows(runs: Sequence[Rows]) -> Rows:
    """The mean over seeds, row by row: all seeds were asked about the same users."""
    first = runs[0]
    return Rows(first.windows, first.users, np.mean([rows.values for rows in runs], axis=0))


def _window_weights(rows: Rows) -> np.ndarray:
    """float64 [R] with mean 1: what makes a mean over rows the mean over users, then windows."""
    _, inverse, counts = np.unique(rows.windows, return_inverse=True, return_counts=True)
    return len(rows.windows) / (len(counts) * counts[inverse]) if len(counts) else np.zeros(0)


def draw(content: Json, path: Path) -> Path:
    """The page beside the JSON; returns its path."""
    systems: Json = content["systems"]
    labels = content["settings"]["windows"]
    panels: list[Panel] = [
        Table("Systems", _HEADER, [_row(name, entry) for name, entry in systems.items()])
    ]
    panels += [
        Lines(
            f"{metric} on {what}, by window",
            list(labels.values()),
            {
                name: [entry["per_window"][part].get(index, {}).get(metric) for index in labels]
                for name, entry in systems.items()
            },
        )
        for part, what in (("a", "all purchases"), ("b", "pairs never seen before"))
        for metric in ("ndcg@20", "recall@20")
    ]
    panels.append(
        Bars(
            "CPU seconds of all updates",
            {name: entry["cpu_s"] for name, entry in systems.items()},
        )
    )
    first = next(iter(systems))
    for metric in ("a.ndcg@20", "b.ndcg@20"):
        found = {
            pair.split(" minus ", 1)[1]: metrics[metric]
            for pair, metrics in content["paired"].items()
            if pair.startswith(f"{first} minus ")
        }
        if found:
            panels.append(
                Bars(
                    f"{metric} of {first} minus that of …, with its paired 95 % interval",
                    {name: entry[0] for name, entry in found.items()},
                    {name: (entry[1], entry[2]) for name, entry in found.items()},
                )
            )
    notes = [
        "Each window is ranked for every user who has events in it, and then learnt from. Means over "
        "users, then windows, then seeds. (a): all purchases; (b): only pairs of user and item never "
        "seen before, known ones masked."
    ]
    title = f"{content['settings']['dataset']}: {len(labels)} windows, one after another"
    return write_chart(path, title, panels, notes)


_HEADER = (
    "system", "a: recall", "NDCG", "hit", "b: recall", "NDCG", "hit", "new users: NDCG",
    "new items: recall", "CPU s", "wall s", "peak MB",
)  # fmt: skip


def _row(name: str, entry: Json) -> list[str]:
    quality = [entry[part][metric] for part in ("a", "b") for metric in METRICS]
    quality += [entry["new_users"]["ndcg@20"], entry["new_items"]["recall@20"]]
    shown = ["–" if value is None else f"{value:.3f}" for value in quality]
    return [name, *shown, *(f"{entry[cost]:.1f}" for cost in ("cpu_s", "wall_s", "peak_mb"))]


def show(content: Json) -> None:
    """Prints systems, their NDCG by window, and paired differences."""
    from rich.table import Table

    from recloop.cli.output import console

    table = Table(*_HEADER)
    for name, entry in content["systems"].items():
        table.add_row(*_row(name, entry))
    console.print(table)
    for part in ("a", "b"):
        labels = content["settings"]["windows"]
        weekly = Table(f"NDCG@20 ({part}) by window", *labels.values())
        for name, entry in content["systems"].items():
            found = entry["per_window"][part]
            weekly.add_row(
                name, *(f"{found[i]['ndcg@20']:.4f}" if i in found else "–" for i in labels)
            )
        console.print(weekly)
    for pair, metrics in content["paired"].items():
        shown = (f"({part}) {metrics[f'{part}.ndcg@20']}" for part in ("a", "b"))
        console.print(f"{pair}: NDCG@20 {', '.join(shown)}")
