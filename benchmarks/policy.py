"""`make bench-policy`: when to update, and what it costs: policies on streams of windows.

    python -m benchmarks.policy [--dataset TOML] [--data FILE] [--sessions FOLDER] [--out FILE]

Streams: the dataset at weekly windows and at daily ones; with `--sessions`, a folder of session periods
cut into seven windows each. For every policy: the quality of the champion on each window before it
learns from it, updates made, CPU seconds of learning, and regret:

    utility = mean over slices of NDCG@20 / that of every-window - price * cost / that of every-window
    regret  = utility of the oracle - utility of the policy

where the oracle knows what each update will have gained (`policy_run.in_hindsight`), and `price` is
the adaptive policy's.
Neighbours: `policy_run` replays, `policy_retail` and `policy_sessions` are streams.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.chart import Panel, Points, Table, write_chart
from benchmarks.cost import one_thread
from benchmarks.output import Json, default_path, versions, write_json
from recloop.errors import BadInput, RecloopError
from recloop.rules import PolicyRules
from recloop.update.adaptive import adaptive
from recloop.update.policies import Decision, Policy, Situation, policy_named

RULES = PolicyRules(minimum_events=0, rebuild_after_windows=10**9)
STREAMS = ("weekly", "daily", "sessions")
WARM_UP_PERIODS = 9


@dataclass(frozen=True)
class Entry:
    """A policy of the benchmark: a name of `recloop.update.policies`, and what differs in its rules."""

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
FIXED = ("every-window", "never", "every-2nd", "every-4th", "volume", "rebuild-every-4th")
VOLUME_WINDOWS = 3
"""`volume` waits for the events of so many mean windows: a size that divides neither 2 nor 4."""


def measure_stream(stream: Any, names: list[str], seed: int, told: Callable[[str], None]) -> Json:
    """All policies on one stream, side by side, so that what else the machine does falls on all."""
    from benchmarks.policy_run import Replay, in_hindsight
    from recloop.update.efforts import effort_of

    told(f"{stream.name}: {len(stream)} windows; learning the warm-up")
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
    runs = {name: way.run for name, way in ways.items()}
    return described(stream, runs)


def policy_of(name: str, stream: Any) -> tuple[Policy, PolicyRules]:
    """A policy of `SYSTEMS`, with its rules."""
    entry = SYSTEMS[name]
    mean = sum(len(stream.events(n)[0]) for n in range(len(stream))) / len(stream)
    rules = RULES.model_copy(update={"volume": round(VOLUME_WINDOWS * mean), **entry.rules})
    if entry.name == "adaptive":
        return partial(adaptive, base=stream.base), rules
    return (_rebuild if entry.name == "rebuild" else policy_named(entry.name)), rules


def _rebuild(situation: Situation, rules: PolicyRules) -> Decision:
    waits = len(situation.pending) < rules.every
    return Decision("skip" if waits else "rebuild", "rebuild-every-4th", "")


def described(stream: Any, runs: dict[str, Any]) -> Json:
    """The JSON of one stream."""
    price = RULES.adaptive.price
    whole = runs["every-window"]
    utility = {}
    for name, run in runs.items():
        quality = [run.mean(part, 1) / whole.mean(part, 1) for part in stream.slices]
        utility[name] = sum(quality) / len(quality) - price * run.cpu_s / whole.cpu_s
    best = utility.get("oracle")
    policies: Json = {}
    for name, run in runs.items():
        policies[name] = {
            part: {"ndcg@20": run.mean(part, 1), "recall@20": run.mean(part, 0)}
            for part in stream.slices
        } | {
            "updates": run.updates,
            "cpu_s": run.cpu_s,
            "regret": None if best is None else best - utility[name],
            "share_of_cost": run.cpu_s / whole.cpu_s,
            "share_of_quality": {
                part: run.mean(part, 1) / whole.mean(part, 1) for part in stream.slices
            },
        }
    log = [
        {
            "window": stream.key(index),
            "decision": decision.kind,
            "rule": decision.rule,
            "reason": decision.reason,
            "recipe": decision.recipe,
            "rank": decision.rank,
            "cpu_s": cost,
        }
        for run in [runs.get("adaptive")]
        if run is not None
        for index, (decision, cost) in enumerate(zip(run.decisions, run.costs, strict=True))
    ]
    return {"windows": len(stream), "policies": policies, "adaptive": log}


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
    from recloop.behavior.dataset import dataset_file, load_dataset
    from recloop.settings import Settings

    found: list[Any] = []
    if {"weekly", "daily"} & set(names):
        settings = Settings(dataset=dataset)
        spec, toml = load_dataset(settings), dataset_file(settings)
        log = EventLog.load(keep_dataset(toml, data, datetime.now(UTC), folder / "data"))
        days = spec.window.warm_up * DAYS[spec.window.length]
        short = "retail" if spec.name == "online_retail" else spec.name
        for name, length in (("weekly", "week"), ("daily", "day")):
            if name in names:
                protocol = Protocol(log, length, max(1, days // DAYS[length]))  # type: ignore[arg-type]
                found.append(Retail(protocol, f"{short}-{name}"))
    if sessions is not None and "sessions" in names:
        found.append(SessionStream(sessions, sessions.resolve().name, WARM_UP_PERIODS))
    if not found:
        raise BadInput("there is no stream to run; `--streams sessions` needs `--sessions FOLDER`.")
    return found


def draw(content: Json, path: Path) -> Path:
    """The page: quality against cost, one picture per stream and slice, and the tables."""
    panels: list[Panel] = []
    for name, stream in content["streams"].items():
        rows = []
        for part in ("a", "b"):
            points = {
                policy: (entry["cpu_s"], entry[part]["ndcg@20"])
                for policy, entry in stream["policies"].items()
            }
            fixed = [policy for policy in points if policy in FIXED]
            title = f"{name}: NDCG@20 ({part}) against cost; the fixed policies' front is joined"
            axes = ("CPU seconds of learning", "NDCG@20")
            panels.append(Points(title, axes, points, front(points, fixed)))
        for policy, entry in stream["policies"].items():
            regret = entry["regret"]
            rows.append([
                policy,
                *(f"{entry[part][metric]:.4f}" for part in "ab" for metric in ("ndcg@20", "recall@20")),
                str(entry["updates"]),
                f"{entry['cpu_s']:.1f}",
                f"{entry['share_of_cost']:.0%}",
                "–" if regret is None else f"{regret:+.4f}",
            ])  # fmt: skip
        header = ["policy", "(a) NDCG", "(a) recall", "(b) NDCG", "(b) recall", "updates", "CPU s",
                  "of every-window", "regret"]  # fmt: skip
        panels.append(Table(name, header, rows))
    note = "Quality is the champion's on each window before it learns from it; one thread, no GPU."
    return write_chart(path, "When to update", panels, [note])


def front(points: dict[str, tuple[float, float]], names: list[str]) -> list[str]:
    """Of these, the ones that none of them beats in both cost and quality."""
    return [
        name
        for name in names
        if not any(
            points[other][0] <= points[name][0]
            and points[other][1] >= points[name][1]
            and points[other] != points[name]
            for other in names
        )
    ]


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
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Replay streams under policies: quality, updates, cost, regret."""
    from recloop.cli.output import fail, say

    one_thread()
    out = out or default_path("policy")
    try:
        names = list(SYSTEMS) if systems is None else _chosen(systems, tuple(SYSTEMS), "systems")
        asked = streams(_chosen(only, STREAMS, "only"), dataset, data, sessions, out.parent)
        content: Json = {
            "streams": {s.name: measure_stream(s, names, seed, say) for s in asked},
            "settings": {
                "price": RULES.adaptive.price,
                "threads": 1,
                "versions": versions("numpy", "tensorflow", "river"),
            },
            "seeds": [seed],
        }
    except RecloopError as error:
        fail(error)
        raise typer.Exit(1) from error
    say(f"written: {write_json(out, content)} and {draw(content, out.with_suffix('.html'))}")


def _chosen(text: str, known: tuple[str, ...], option: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise BadInput(f"`--{option}` should be some of {', '.join(known)}. Received: {text!r}.")
    return names


if __name__ == "__main__":
    typer.run(bench)
