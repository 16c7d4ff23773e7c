"""How often the gate is wrong: planted challengers on real streams, by held-out users.

    python -m benchmarks.gate --streams retail,ml_1m,marketplace --data ../data

`gate_rows` has the challengers. Each is put before recloop's gate, with its shipped rules, many times:
users are drawn with replacement from all windows of the stream; where the gate defers, as many are
drawn again, and both are judged together, as the next window would. At last, retail runs twice, with the
gate and with everything promoted (`gate_stream`).
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.events import EventLog
from benchmarks.gate_rows import Rows, collect
from benchmarks.output import Json, default_path, versions, write_json
from benchmarks.retail_protocol import Protocol, run
from benchmarks.retail_streams import keep_stream
from recloop.contracts import GateReport
from recloop.errors import RecloopError
from recloop.settings import PROJECT

CHALLENGERS = (
    "equal",
    "better 2%",
    "worse 1%",
    "worse 2%",
    "worse 5%",
    "no new items",
    "no new users",
    "from a bot",
    "popularity",
)
USERS = (30, 100, 300, 1000, 3000)
OUT = default_path("gate")
WINDOWS = 5
"""After so many windows without an answer a trial ends."""


def main(
    streams: Annotated[str, typer.Option(help="Comma-separated.")] = "retail,ml_1m,marketplace",
    data: Annotated[Path, typer.Option(help="Folder that holds marketplace/.")] = Path("."),
    trials: Annotated[int, typer.Option(min=20)] = 400,
    whole: Annotated[bool, typer.Option(help="Run retail with and without the gate, too.")] = True,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = OUT,
) -> None:
    """Measure, print and write the tables."""
    from recloop.cli.output import fail

    try:
        content = measure_all(streams.split(","), data, trials, whole, out)
        print("\n".join(table(content)))
    except RecloopError as error:
        fail(error)
        raise typer.Exit(1) from error


def measure_all(streams: list[str], data: Path, trials: int, whole: bool, out: Path) -> Json:
    """All tables; written anew after each stream."""
    content: Json = {"settings": {"trials": trials, "users": USERS} | versions("tensorflow")}
    content["streams"] = {}
    for name in streams:
        protocol = read(name, data)
        print(f"{name}: training", file=sys.stderr)
        rows = collect(protocol)
        content["streams"][name] = {
            "rows": len(rows.windows),
            "gaps": {one: rows.gap(one) for one in CHALLENGERS},
            "answers": {
                one: {str(users): trial(rows, one, users, trials) for users in USERS}
                for one in CHALLENGERS
            },
        }
        write_json(out, content)
        if whole and name == "retail":
            content["whole"] = compared(protocol)
            write_json(out, content)
    return content


def read(name: str, data: Path) -> Protocol:
    """A stream as the weekly protocol reads it.

    Raises:
        BadInput: there is no such stream.
    """
    from datetime import UTC, datetime

    from benchmarks.reading import read_dataset

    cache = PROJECT / "var" / "cache"
    if name == "retail":
        dataset = PROJECT / "config" / "datasets" / "online_retail.toml"
        return Protocol(read_dataset(dataset, None, datetime.now(UTC), cache))
    path, cut = keep_stream(name, data, cache)
    return Protocol(EventLog.load(path), cut.length, cut.warm_up, cut.windows)


def trial(rows: Rows, name: str, users: int, trials: int) -> Json:
    """How often a challenger is promoted (in the first window, within three, ever), refused (within
    three, ever) and neither, and after how many windows on average."""
    from benchmarks.gate_verdict import decide

    chance = np.random.default_rng(users)
    champion, challenger = rows.values["champion"], rows.values[name]
    said: Counter[str] = Counter()
    needed = []
    for _ in range(trials):
        earlier: list[GateReport] = []
        for window in range(1, WINDOWS + 1):
            drawn = chance.integers(0, len(champion), users)
            answer, report, _ = decide(
                champion[drawn], challenger[drawn], rows.new_users[drawn], tuple(earlier)
            )
            if answer != "defer":
                said[f"{answer} in {window}"] += 1
                needed.append(window)
                break
            earlier.append(report)
        else:
            said["defer"] += 1
            needed.append(WINDOWS)

    def share(answer: str, windows: int) -> float:
        return sum(said[f"{answer} in {n}"] for n in range(1, windows + 1)) / trials

    return {
        "promoted at once": share("promote", 1),
        "promoted in three": share("promote", 3),
        "promoted": share("promote", WINDOWS),
        "refused in three": share("refuse", 3),
        "refused": share("refuse", WINDOWS),
        "undecided": said["defer"] / trials,
        "windows": float(np.mean(needed)),
    }


def compared(protocol: Protocol) -> Json:
    """The stream with the gate and with everything promoted: quality, and the gate's answers."""
    from benchmarks.gate_stream import Gated

    found: Json = {}
    for always in (True, False):
        system = Gated(0, protocol, always)
        result = run(system, protocol)
        name = "always promoted" if always else "with the gate"
        found[name] = {part: list(result.rows[part].means()) for part in ("a", "b")}
        found[name]["answers"] = system.answers
    return found


def table(content: Json) -> list[str]:
    """The tables as lines of text."""
    lines = []
    for name, stream in content["streams"].items():
        lines.append(
            f"{name}, {stream['rows']:,} users and windows; promoted / refused / undecided"
        )
        head = "".join(f"{f'{users:,} users':>20}" for users in USERS)
        lines.append(f"{'challenger':14}{'truly':>8}{head}")
        for one, by_users in stream["answers"].items():
            cells = "".join(
                f"{r['promoted']:>7.1%}{r['refused']:>7.1%}{r['undecided']:>6.0%}"
                for r in by_users.values()
            )
            lines.append(f"{one:14}{stream['gaps'][one]:>+8.1%}{cells}")
        better = stream["answers"]["better 2%"]["300"]
        lines.append(
            f"better 2%, 300 users: {better['promoted in three']:.1%} promoted within three windows"
        )
    for name, one in content.get("whole", {}).items():
        counts = Counter(answer for answer, _ in one["answers"])
        lines.append(
            f"retail, {name}: (a) NDCG {one['a'][1]:.4f}, (b) {one['b'][1]:.4f} {dict(counts)}"
        )
    return lines


if __name__ == "__main__":
    typer.run(main)
