"""`make bench-policy`: when to update, and what it costs: policies on streams of windows.

    python -m benchmarks.policy [--dataset TOML] [--data FILE] [--sessions FOLDER] [--out FILE]

Streams: the dataset at weekly windows and at daily ones; with `--sessions`, a folder of session periods
cut into seven windows each. For every policy: the quality of the champion on each window before it
learns from it, updates made, CPU seconds of learning, and regret:

    utility = mean over slices of NDCG@20 / that of every-window - price * cost / that of every-window
    regret  = utility of the oracle - utility of the policy

where the oracle knows what each update will have gained (`policy_run.in_hindsight`), and `price` is
the adaptive policy's.
Neighbours: `policy_run` replays, `policy_retail` and `policy_sessions` are streams, `policy_report`
is what is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.cost import one_thread
from benchmarks.output import Json, default_path, ended_like_ctrl_c, versions, write_json
from benchmarks.policy_report import described, draw
from benchmarks.seeds import seeds_of
from recloop.config.rules import PolicyRules
from recloop.errors import BadInput, RecloopError
from recloop.planning.adaptive import adaptive
from recloop.planning.decisions import Decision, Policy, Situation
from recloop.planning.policy import POLICIES

RULES = PolicyRules(minimum_events=0, rebuild_after_windows=10**9)
STREAMS = ("weekly", "daily", "sessions")


@dataclass(frozen=True)
class Entry:
    """A policy of the benchmark: a name of `recloop.planning.decisions`, and what differs in its
    rules."""

    name: str
    rules: dict[str, Any] = dataclasses.field(default_factory=dict)


SYSTEMS: dict[str, Entry] = {
    "every-window": Entry("every-window"),
    "adaptive": Entry("adaptive"),
    "never": Entry("never"),
    "every-2nd": Entry("every-n-windows", {"every": 2}),
    "every-4th": Entry("every-n-windows", {"every": 4}),
    "volume": Entry("volume"),
    "rebuild-every-4th": Entry("rebuild", {"every": 4}),
    "oracle": Entry("oracle"),
}
Told = Callable[[str], None]
VOLUME_WINDOWS = 3
"""`volume` waits for the events of so many mean windows: a size that divides neither 2 nor 4."""


def measure_stream(
    stream: Any, names: list[str], seeds: list[int], told: Told, keep: Callable[[Json], None]
) -> None:
    """All policies on one stream, with each seed anew; hands `described` on after each seed."""
    runs = []
    for seed in seeds:
        runs.append(_replayed(stream, names, seed, told))
        keep(described(stream, RULES.adaptive.price, runs))


def _replayed(stream: Any, names: list[str], seed: int, told: Told) -> dict[str, Any]:
    """The policies side by side, so that what else the machine does falls on all."""
    from benchmarks.policy_run import Replay, in_hindsight
    from recloop.planning.decisions import effort_of

    told(f"{stream.name}, seed {seed}: {len(stream)} windows; learning the warm-up")
    start = stream.begin(seed)
    names = ["every-window", *(n for n in names if n != "every-window")]
    effort = partial(effort_of, base=stream.base)
    ways = {
        name: Replay(stream, *policy_of(name, stream), start, seed, effort)
        for name in names
        if name != "oracle"
    }
    for index in range(len(stream)):
        for way in ways.values():
            way.step(index)
        if (index + 1) % 10 == 0 or index + 1 == len(stream):
            spent = ", ".join(f"{name} {way.run.cpu_s:.0f}" for name, way in ways.items())
            told(f"{stream.name}: {index + 1} of {len(stream)} windows; CPU s of {spent}")
    if "oracle" in names:
        knows = in_hindsight(ways["every-window"], RULES.adaptive.price)
        ways["oracle"] = Replay(stream, knows, RULES, start, seed, effort)
        for index in range(len(stream)):
            ways["oracle"].step(index)
    return {name: way.run for name, way in ways.items()}


def policy_of(name: str, stream: Any) -> tuple[Policy, PolicyRules]:
    """A policy of `SYSTEMS`, with its rules."""
    entry = SYSTEMS[name]
    mean = sum(len(stream.events(n)[0]) for n in range(len(stream))) / len(stream)
    rules = RULES.model_copy(update={"volume": round(VOLUME_WINDOWS * mean), **entry.rules})
    if entry.name == "adaptive":
        return (lambda now, by: adaptive(replace(now, increment=stream.base), by)), rules
    return (_rebuild if entry.name == "rebuild" else POLICIES[entry.name]), rules


def _rebuild(situation: Situation, rules: PolicyRules) -> Decision:
    waits = len(situation.pending) < rules.every
    return Decision("skip" if waits else "rebuild", "rebuild-every-4th", "")


def streams(
    names: list[str], dataset: str, data: Path | None, sessions: Path | None, folder: Path
) -> list[Any]:
    """The streams of these names.

    Raises:
        BadInput: the dataset or the folder cannot be used.
    """
    from benchmarks.events import EventLog
    from benchmarks.policy_retail import Retail
    from benchmarks.policy_sessions import SessionStream
    from benchmarks.reading import keep_dataset
    from benchmarks.retail_protocol import DAYS, Protocol
    from recloop.config.dataset import load_dataset
    from recloop.settings import Settings

    found: list[Any] = []
    if {"weekly", "daily"} & set(names):
        settings = Settings(dataset=dataset)
        spec, toml = load_dataset(settings), settings.dataset_file
        log = EventLog.load(keep_dataset(toml, data, datetime.now(UTC), folder / "data"))
        days = spec.window.warm_up * DAYS[spec.window.length]
        short = "retail" if spec.name == "online_retail" else spec.name
        for name, length in (("weekly", "week"), ("daily", "day")):
            if name in names:
                protocol = Protocol(log, length, max(1, days // DAYS[length]))  # type: ignore[arg-type]
                found.append(Retail(protocol, f"{short}-{name}"))
    if sessions is not None and "sessions" in names:
        found.append(SessionStream(sessions, sessions.resolve().name))
    if not found:
        raise BadInput("there is no stream to run; `--streams sessions` needs `--sessions FOLDER`.")
    return found


def bench(
    dataset: Annotated[
        str, typer.Option(help="Dataset TOML, or the name of one in config/datasets.")
    ] = "online_retail",
    data: Annotated[
        Path | None, typer.Option(help="Your copy of its data; default: as the TOML says.")
    ] = None,
    sessions: Annotated[
        Path | None, typer.Option(help="Folder of period_0.txt, period_1.txt, …: a second stream.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="JSON to write; the page lies beside it.")
    ] = None,
    systems: Annotated[
        str | None, typer.Option(help=f"Policies, by comma: {', '.join(SYSTEMS)}.")
    ] = None,
    only: Annotated[str, typer.Option(help="Of weekly, daily, sessions, by comma.")] = ",".join(
        STREAMS
    ),
    seeds: Annotated[
        str, typer.Option(help="By comma; sessions, which take long, have the first alone.")
    ] = "0,1,2",
) -> None:
    """Replay streams under policies: quality, updates, cost, regret."""
    from recloop.cli.output import fail, say

    one_thread()
    out = out or default_path("policy")
    try:
        names = list(SYSTEMS) if systems is None else _chosen(systems, tuple(SYSTEMS), "systems")
        asked = streams(_chosen(only, STREAMS, "only"), dataset, data, sessions, out.parent)
        numbers = seeds_of(seeds)
        content: Json = {
            "streams": {},
            "settings": {
                "price": RULES.adaptive.price,
                "threads": 1,
                "versions": versions("numpy", "tensorflow", "river"),
            },
            "seeds": numbers,
            "unfinished": [stream.name for stream in asked],
        }

        def keep(name: str, measured: Json) -> None:
            content["streams"][name] = measured
            write_json(out, content)
            draw(content, out.with_suffix(".html"))

        with ended_like_ctrl_c():
            for stream in asked:
                of_it = numbers[:1] if stream.slow else numbers
                measure_stream(stream, names, of_it, say, partial(keep, stream.name))
                content["unfinished"].remove(stream.name)
                write_json(out, content)
    except RecloopError as error:
        fail(error)
        raise typer.Exit(1) from error
    say(f"written: {out} and {out.with_suffix('.html')}")


def _chosen(text: str, known: tuple[str, ...], option: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise BadInput(f"`--{option}` should be some of {', '.join(known)}. Received: {text!r}.")
    return names


if __name__ == "__main__":
    typer.run(bench)
