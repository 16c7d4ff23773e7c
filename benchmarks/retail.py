"""`make bench-retail`: systems through the weekly prequential protocol, JSON and a page out.

    python -m benchmarks.retail --systems peers,default --seeds 0,1,2
    python -m benchmarks.retail --stream ml_1m --systems default,popularity,BM25,EASE

Each system and seed is one process with one thread; finished ones are kept under `parts/` beside the
output and taken from there as long as the data, the settings and the code that they depend on are the
same, so that an interrupted run goes on where it stopped. The output is written of what there is, also
when a run is cut short or a system fails. Neighbours: `retail_protocol` (what is
measured), `retail_systems` (which systems there are), `retail_report` (what is written).
"""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cost import ONE_THREAD
from benchmarks.events import EventLog
from benchmarks.output import (
    Json,
    RunFailed,
    default_path,
    ended_like_ctrl_c,
    versions,
    write_json,
)
from benchmarks.reading import keep_dataset
from benchmarks.retail_protocol import Protocol, Result
from benchmarks.retail_report import draw, report, show
from benchmarks.retail_streams import Cut, keep_stream
from benchmarks.retail_systems import chosen, registered
from benchmarks.retail_worker import Job, load_result
from benchmarks.seeds import seeds_of
from recloop.errors import RecloopError
from recloop.settings import PROJECT, process_environment

MEASURED_BY = (
    "benchmarks/events.py", "benchmarks/reading.py", "benchmarks/retail_protocol.py",
    "benchmarks/retail_systems.py", "benchmarks/retail_worker.py", "models/metrics/ranking.py",
)  # fmt: skip
"""A change of these makes every kept result stale."""
PACKAGES = ("numpy", "scipy", "implicit", "tensorflow", "tensorflow-recommenders")


@dataclass(frozen=True)
class Planned:
    """One process to be: its job and the name shown."""

    name: str
    seed: int
    job: Job

    @property
    def part(self) -> Path:
        return Path(self.job.part)


def plan(
    names: Iterable[str], seeds: Sequence[int], log: Path, protocol: Protocol, folder: Path
) -> list[Planned]:
    """A process for each system and, where the seed changes anything, each seed."""
    known, planned = registered(), []
    for name in names:
        module, entry = known[name]
        for seed in seeds if entry.seeded else seeds[:1]:
            values = [name, seed, log.name, protocol.length, protocol.warm_up, protocol.windows]
            key = _digest([json.dumps(values), *_sources(module)])
            slug = "".join(c if c.isalnum() else "-" for c in name)
            part = folder / f"{slug}-{seed}-{key}.npz"
            job = Job(
                name, module, seed, str(log), protocol.length, protocol.warm_up, protocol.windows,
                str(part),
            )  # fmt: skip
            planned.append(Planned(name, seed, job))
    return planned


def execute(planned: Sequence[Planned], jobs: int) -> None:
    """Run what has no result yet, `jobs` at a time, and show how far each is.

    Raises:
        RunFailed: processes failed; the others ran to their end.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from recloop.cli.output import messages, say

    missing = [one for one in planned if not one.part.exists()]
    if len(missing) < len(planned):
        say(f"{len(planned) - len(missing)} of {len(planned)} results are there already")
    running: dict[Path, subprocess.Popen[str]] = {}
    stopping = threading.Event()
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[quality]}"),
    )  # fmt: skip

    def work(one: Planned, bar: Progress) -> Planned:
        if stopping.is_set():
            return one
        task = bar.add_task(f"{one.name}, seed {one.seed}", total=None, quality="warming up")
        process = _start(one)
        running[one.part] = process
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with suppress(json.JSONDecodeError, KeyError, TypeError):  # a library's own print
                    state = json.loads(line)
                    bar.update(task, completed=state["done"], total=state["of"],
                               quality=f"NDCG@20 {state['ndcg']:.3f}")  # fmt: skip
        if process.wait() or not one.part.exists():
            raise RunFailed(_failure(one))
        bar.remove_task(task)
        say(f"{one.name}, seed {one.seed}: done")
        return one

    with (
        Progress(*columns, console=messages, transient=True) as bar,
        ThreadPoolExecutor(jobs) as pool,
    ):
        futures = [pool.submit(work, one, bar) for one in missing]
        failed = []
        try:
            for future in as_completed(futures):
                try:
                    future.result()
                except RunFailed as error:
                    failed.append(str(error))
        except BaseException:
            stopping.set()
            for process in running.values():
                process.terminate()
            raise
    if failed:
        raise RunFailed(" ".join(failed))


def _start(one: Planned) -> subprocess.Popen[str]:
    job = one.job.save(one.part.with_suffix(".json"))
    command = [sys.executable, "-m", "benchmarks.retail_worker", str(job)]
    with one.part.with_suffix(".log").open("w", encoding="utf-8") as errors:
        return subprocess.Popen(
            command,
            cwd=PROJECT,
            env=process_environment() | ONE_THREAD,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def _failure(one: Planned) -> str:
    log = one.part.with_suffix(".log")
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = lines[-1] if lines else "it was ended from outside, or ran out of memory"
    if last.startswith("ModuleNotFoundError"):
        last += "; `make install-bench` installs the packages of the peers"
    return f"system {one.name!r} with seed {one.seed} failed: {last}. Its messages are in {log}."


def _sources(module: str) -> list[str]:
    """Hashes of the files that a system's results depend on, and of its packages' versions."""
    depends = getattr(importlib.import_module(module), "DEPENDS", ())
    patterns = [*MEASURED_BY, module.replace(".", "/") + ".py", *depends]
    files = sorted({path for pattern in patterns for path in PROJECT.glob(pattern)})
    return [
        *(_digest([path.read_text(encoding="utf-8")]) for path in files),
        json.dumps(versions(*PACKAGES)),
    ]


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def bench(
    dataset: Annotated[
        str, typer.Option(help="Dataset TOML, or the name of one in config/datasets.")
    ] = "online_retail",
    data: Annotated[
        Path | None, typer.Option(help="Your copy of its data; default: as the TOML says.")
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(help="ml_1m or marketplace (below --data) in place of a dataset."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="JSON to write; the page lies beside it.")
    ] = None,
    systems: Annotated[
        str | None, typer.Option(help="Names and groups (peers, ours, strategies), by comma.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Of systems that have any, by comma.")] = "0,1,2",
    weeks: Annotated[
        int | None, typer.Option(min=1, help="Windows to test; default: all that the data fills.")
    ] = None,
    warm_up: Annotated[
        int | None, typer.Option(min=1, help="Windows learnt first; default: as the TOML says.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time, of one thread each.")] = 2,
) -> None:
    """Rank each window of a dataset before learning from it, with every system."""
    from recloop.cli.output import fail, say

    out = out or default_path(stream or "retail")
    try:
        with ended_like_ctrl_c():
            measure(dataset, data, stream, out, systems, seeds, weeks, warm_up, jobs)
    except RecloopError as error:
        fail(error)
        raise typer.Exit(1) from error
    say(f"written: {out} and {out.with_suffix('.html')}")


def measure(
    dataset: str,
    data: Path | None,
    stream: str | None,
    out: Path,
    systems: str | None,
    seeds: str,
    weeks: int | None,
    warm_up: int | None,
    jobs: int,
) -> None:
    """All runs, and the report on them (see `report`): JSON and page, of what there is in any case.

    Raises:
        BadInput: a system, a seed or the dataset cannot be used.
        RunFailed: systems failed.
    """
    from recloop.config.dataset import load_dataset
    from recloop.settings import Settings

    names, numbers = chosen(systems), seeds_of(seeds)
    if stream is None:
        settings = Settings(dataset=dataset)
        spec, toml = load_dataset(settings), settings.dataset_file
        path = keep_dataset(toml, data, datetime.now(UTC), out.parent / "data")
        daily = spec.window.length == "day"
        name, cut = spec.name, Cut("day" if daily else "week", spec.window.warm_up, None)
    else:
        path, cut = keep_stream(stream, data or Path("."), out.parent / "data")
        name = stream
    log = EventLog.load(path)
    protocol = Protocol(log, cut.length, warm_up or cut.warm_up, weeks or cut.windows)
    spans = protocol.tested()
    planned = plan(names, numbers, path, protocol, out.parent / "parts")
    described = {
        "dataset": name,
        "events": len(log),
        "window": protocol.length,
        "warm_up": protocol.warm_up,
        "windows": {str(span.index): str(span.start.astype("datetime64[D]")) for span in spans},
        "k": 20,
        "threads": 1,
        "versions": versions(*PACKAGES),
    }
    try:
        execute(planned, jobs)
    finally:
        _write(planned, numbers, described, out)


def _write(planned: Sequence[Planned], seeds: Sequence[int], described: Json, out: Path) -> None:
    """JSON, page and table of the results that there are; nothing without any."""
    results: dict[str, dict[int, Result]] = {}
    for one in planned:
        if one.part.exists():
            results.setdefault(one.name, {})[one.seed] = load_result(one.part)
    if not results:
        return
    content = report(results, seeds, described)
    content["unfinished"] = [f"{p.name}, seed {p.seed}" for p in planned if not p.part.exists()]
    write_json(out, content)
    draw(content, out.with_suffix(".html"))
    show(content)


if __name__ == "__main__":
    typer.run(bench)
