"""`make bench-sessions DATA=…`: ADER's protocol on a folder of periods, JSON and a page out.

    python -m benchmarks.sessions --data folder --systems default,finetune,ader,joint

Each system and seed is one process with one thread. Joint is trained at every fourth cycle only;
its cost at the others is extrapolated from the targets that it would have read, and the output says
so.
Neighbours: `sessions_protocol` (what is measured), `sessions_systems` (which systems there are).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.chart import Lines, Panel, Table, write_chart
from benchmarks.cost import ONE_THREAD
from benchmarks.output import (
    Json,
    RunFailed,
    default_path,
    ended_like_ctrl_c,
    versions,
    write_json,
)
from benchmarks.seeds import seeds_of
from benchmarks.sessions_protocol import METRICS, read_periods
from benchmarks.sessions_systems import SYSTEMS, WITHOUT_MEMORY
from models.data.sessions import Sessions
from recloop.errors import BadInput, RecloopError
from recloop.settings import PROJECT, process_environment

JOINT_EVERY = 4
PUBLISHED = {
    "DIGINETICA, Finetune (Mi et al. 2020)": (0.4728, 0.3500, 0.1601, 0.1516),
    "DIGINETICA, Joint (Mi et al. 2020)": (0.5003, 0.3727, 0.1731, 0.1643),
    "DIGINETICA, ADER (Mi et al. 2020)": (0.5021, 0.3752, 0.1732, 0.1645),
}
"""Recall@20, Recall@10, MRR@20, MRR@10: printed beside, for whoever runs it on DIGINETICA."""
NAMES = ("recall@20", "recall@10", "mrr@20", "mrr@10")


def measure(
    folder: Path,
    systems: Sequence[str],
    seeds: Sequence[int],
    joint_every: int,
    keep: Callable[[Json], None],
) -> Json:
    """All runs, and the report on them.

    Args:
        keep: is handed all that is measured after each system, and when the run is cut short.

    Raises:
        BadInput: the folder or a system cannot be used.
        RunFailed: systems failed; the others ran, and are kept.
    """
    unknown = [name for name in systems if name not in SYSTEMS]
    if unknown or not systems:
        raise BadInput(
            f"`systems` should be some of {', '.join(SYSTEMS)}. Received: "
            f"{', '.join(unknown) or 'none'}."
        )
    periods = read_periods(folder)
    last = len(periods) - 1
    every = list(range(1, last + 1))
    content: Json = {
        "systems": {},
        "ratios": {},
        "published": {name: dict(zip(NAMES, row, strict=True)) for name, row in PUBLISHED.items()},
        "settings": {
            "folder": folder.resolve().name,
            "periods": len(periods),
            "sessions": [len(period) for period in periods],
            "joint_every": joint_every,
            "threads": 1,
            "versions": versions("numpy", "tensorflow"),
        },
        "seeds": list(seeds),
        "unfinished": list(systems),
    }
    failed = []
    for name in systems:
        cycles = joint_cycles(last, joint_every) if name == "joint" else every
        runs: list[list[Json]] = []
        try:
            for seed in seeds:
                runs.append([])
                _run(folder, name, seed, cycles, runs[-1])
            content["unfinished"].remove(name)
        except RunFailed as error:
            failed.append(str(error))
        finally:
            content["systems"] |= entries(name, runs, cycles, periods)
            content["ratios"] = ratios(content["systems"], content["unfinished"])
            if content["systems"]:
                keep(content)
    if failed:
        raise RunFailed(" ".join(failed))
    return content


def entries(
    name: str,
    runs: Sequence[Sequence[Json]],
    cycles: Sequence[int],
    periods: Sequence[Sessions],
) -> Json:
    """A system's rankings by label: over its whole runs, or as far as it got if there is none."""
    runs = [lines for lines in runs if len(lines) == len(cycles)] or [
        lines for lines in runs if lines
    ]
    if not runs:
        return {}
    cycles = cycles[: len(runs[0])]
    found: Json = {}
    for part in runs[0][0]["metrics"]:
        label = f"{name}, {part}" if part else name
        found[label] = summary(part, runs, cycles)
        if name == "joint":
            found[label] |= extrapolated(found[label]["train_cpu_s"], cycles, periods)
    return found


def joint_cycles(last: int, every: int) -> list[int]:
    """The cycles at which Joint is trained: every so many, and the last."""
    return [cycle for cycle in range(1, last + 1) if cycle % every == 0 or cycle == last]


def summary(part: str, runs: Sequence[Sequence[Json]], cycles: Sequence[int]) -> Json:
    """A ranking's means over seeds, by period and over periods, and what the system cost."""
    per_period = {
        metric: [
            float(np.mean([lines[i]["metrics"][part][metric] for lines in runs]))
            for i in range(len(cycles))
        ]
        for metric in METRICS
    }
    train = [
        float(np.mean([lines[i]["train_cpu_s"] for lines in runs])) for i in range(len(cycles))
    ]
    return {
        **{metric: float(np.mean(values)) for metric, values in per_period.items()},
        "per_period": per_period,
        "periods": list(cycles),
        "cpu_s": sum(train),
        "train_cpu_s": train,
        "test_cpu_s": float(np.mean([sum(line["test_cpu_s"] for line in lines) for lines in runs])),
        "peak_mb": float(np.mean([lines[-1]["peak_mb"] for lines in runs])),
    }


def extrapolated(
    train: Sequence[float], cycles: Sequence[int], periods: Sequence[Sessions]
) -> Json:
    """Joint's cost at all cycles, from what it took per target at those that were measured.

    Between these the rate is interpolated, before the first one it is the first's.
    """
    targets = np.array([len(period.item_keys) - len(period) for period in periods])
    read = np.cumsum(targets)[:-1]
    rate = np.asarray(train) / read[np.asarray(cycles) - 1]
    each = np.interp(np.arange(1, len(periods)), cycles, rate) * read
    return {
        "cpu_s": float(each.sum()),
        "cpu_s_measured": float(np.sum(train)),
        "cpu_s_note": f"trained at cycles {', '.join(map(str, cycles))} only; the cost of the others "
        "is extrapolated by the targets read",
    }


def ratios(systems: Json, unfinished: Sequence[str] = ()) -> Json:
    """Training cost of the others, each against the default's; and the default where Joint was
    measured. Without what did not come to its end, whose costs are those of fewer periods."""
    systems = {n: entry for n, entry in systems.items() if n.split(", ")[0] not in unfinished}
    if "default" not in systems:
        return {}
    mine = systems["default"]
    found: Json = {
        f"cpu_s {name} : default": entry["cpu_s"] / mine["cpu_s"]
        for name, entry in systems.items()
        if name != "default" and not name.endswith(WITHOUT_MEMORY) and mine["cpu_s"] > 0
    }
    if "joint" in systems:
        at = [mine["periods"].index(cycle) for cycle in systems["joint"]["periods"]]
        for metric in NAMES:
            values = mine["per_period"][metric]
            here = float(np.mean([values[i] for i in at]))
            found[f"{metric} default, Joint's cycles"] = here
            found[f"{metric} default - joint"] = here - systems["joint"][metric]
    return found


def _run(folder: Path, name: str, seed: int, cycles: Sequence[int], lines: list[Json]) -> None:
    """Runs one process; its lines, one per cycle, are added to `lines` as they come."""
    from recloop.cli.output import say

    job = {"folder": str(folder.resolve()), "system": name, "seed": seed, "cycles": list(cycles)}
    # A file, not a pipe: nobody reads it before the end, and a pipe that is full stops the writer.
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sessions_worker", json.dumps(job)],
            cwd=PROJECT,
            env=process_environment() | ONE_THREAD,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        try:
            for text in process.stdout:
                line: dict[str, Any] = json.loads(text)
                lines.append(line)
                shown = ", ".join(
                    f"{part or 'all of it'} {100 * found['recall@20']:.2f}"
                    for part, found in line["metrics"].items()
                )
                say(
                    f"{name}, seed {seed}, period {line['cycle']}: Recall@20 {shown}; trained in "
                    f"{line['train_cpu_s']:.1f} CPU s"
                )
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
        finally:
            process.stdout.close()
        errors.seek(0)
        messages = errors.read().strip().splitlines()
    if code or len(lines) != len(cycles):
        raise RunFailed(
            f"system {name!r} with seed {seed} failed: "
            f"{messages[-1] if messages else 'it was ended from outside, or ran out of memory'}."
        )


def draw(content: Json, page: Path) -> Path:
    """The page beside the JSON."""
    periods = [str(n) for n in range(1, content["settings"]["periods"])]
    curves: dict[str, list[float | None]] = {}
    rows = []
    for name, entry in content["systems"].items():
        at = dict(zip(entry["periods"], entry["per_period"]["recall@20"], strict=True))
        curves[name] = [100 * at[int(n)] if int(n) in at else None for n in periods]
        rows.append(
            [name, *(f"{100 * entry[metric]:.2f}" for metric in NAMES), f"{entry['cpu_s']:.0f}"]
        )
    for name, entry in content["published"].items():
        rows.append([name, *(f"{100 * entry[metric]:.2f}" for metric in NAMES), "–"])
    notes = [
        "Learn a period, be tested on the next one; every item but a session's first is predicted among "
        "all items seen. Means over periods; CPU seconds of training, one thread.",
        *(
            f"{name}: {entry['cpu_s_note']}."
            for name, entry in content["systems"].items()
            if "cpu_s_note" in entry
        ),
    ]
    if content["unfinished"]:
        notes.append(f"Not, or not wholly, measured: {', '.join(content['unfinished'])}.")
    header = ["system", *NAMES, "CPU s"]
    panels: list[Panel] = [
        Lines("Recall@20 by period, %", periods, curves),
        Table("Means, %", header, rows),
    ]
    return write_chart(page, "Sessions, one period after another", panels, notes)


def bench(
    data: Annotated[Path, typer.Option(help="Folder of period_0.txt, period_1.txt, …")],
    out: Annotated[
        Path | None, typer.Option(help="JSON to write; the page lies beside it.")
    ] = None,
    systems: Annotated[
        str, typer.Option(help=f"Some of {', '.join(SYSTEMS)}, by comma.")
    ] = ",".join(SYSTEMS),
    seeds: Annotated[str, typer.Option(help="By comma.")] = "0",
    joint_every: Annotated[
        int, typer.Option(min=1, help="Train Joint at every so many cycles, and the last.")
    ] = JOINT_EVERY,
) -> None:
    """Learn each period of sessions and be tested on the next, with every system."""
    from recloop.cli.output import fail, say

    out = out or default_path("sessions")

    def keep(content: Json) -> None:
        write_json(out, content)
        draw(content, out.with_suffix(".html"))

    try:
        with ended_like_ctrl_c():
            content = measure(data, _split(systems), seeds_of(seeds), joint_every, keep)
    except RecloopError as error:
        fail(error)
        raise typer.Exit(1) from error
    for name, entry in content["systems"].items():
        say(
            f"{name}: Recall@20 {100 * entry['recall@20']:.2f}, MRR@20 {100 * entry['mrr@20']:.2f}, "
            f"{entry['cpu_s']:.0f} CPU s"
        )
    for name, value in content["ratios"].items():
        say(f"{name}: {value:.3f}")
    say(f"written: {out} and {out.with_suffix('.html')}")


def _split(names: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in names.split(",") if part.strip()))


if __name__ == "__main__":
    typer.run(bench)
