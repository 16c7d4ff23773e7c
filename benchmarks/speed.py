"""`make bench-speed`: throughput and scaling, each a ratio within one run.

    python -m benchmarks.speed [--out FILE] [--repeats N] [--only PART,…] [--scale X]

Writes the JSON, with `ratios` {name: {ours, theirs, ratio, unit}}, and a page with its chart beside
it. All on CPU, in one process with one thread: CPU seconds of several threads count their waiting.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.chart import Bars, Table, write_chart
from benchmarks.cost import one_thread
from benchmarks.output import Json, default_path, versions, write_json
from benchmarks.speed_data import ML1M_EVENTS, make_ratings
from benchmarks.speed_timing import Ratio

PARTS = ("tutorial", "keras", "rows", "checkpoints", "ranking")
WANTED = {
    "tutorial TFRS without training metrics": 20.0,
    "tuned Keras, batch 512": 2.0,
    "tuned Keras, batch 1024": 2.0,
    "Keras Adam, 1,000,000 rows": 80.0,
    "FactorizedTopK, 6,040 x 3,706": 15.0,
}
"""Ratios that should at least be reached; how cost grows with rows should stay within 1.2."""


def main(arguments: list[str] | None = None) -> int:
    """Measures, writes, prints; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--out", type=Path, default=default_path("speed"))
    parser.add_argument("--repeats", type=int, default=5, help="the median of so many")
    parser.add_argument("--only", "--systems", default=",".join(PARTS), help="parts, by commas")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the sizes, for a trial")
    options = parser.parse_args(arguments)
    parts = list(dict.fromkeys(options.only.split(",")))
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        parser.error(f"--only takes {', '.join(PARTS)}. Received: {', '.join(unknown)}.")
    one_thread()
    ratios: dict[str, Ratio] = {}
    report: Json = {
        "ratios": {},
        "settings": {
            "repeats": options.repeats,
            "scale": options.scale,
            "threads": 1,
            "versions": versions("tensorflow", "tensorflow-recommenders", "tf-keras", "numpy"),
        },
    }
    for part, found, extra in measure(parts, options.repeats, options.scale):
        ratios |= found
        parts = [name for name in parts if name != part]
        report["ratios"] = {name: ratio.to_json() for name, ratio in ratios.items()}
        report["settings"] |= extra
        report["unfinished"] = parts
        path = write_json(options.out, report)
        page = write_report(path.with_suffix(".html"), ratios)
        for name, ratio in found.items():
            print(
                f"{ratio.ratio:9.2f}  {name}  ({ratio.ours:.4g} : {ratio.theirs:.4g} {ratio.unit})",
                flush=True,
            )
    print(f"{path}\n{page}")
    return 0


def measure(
    parts: list[str], repeats: int, scale: float
) -> Iterator[tuple[str, dict[str, Ratio], dict[str, Any]]]:
    """Each part, its ratios by name, and what else is worth keeping. Imports TensorFlow."""
    from benchmarks import speed_ranking, speed_scaling, speed_throughput

    def scaled(size: int) -> int:
        return max(64, round(size * scale))

    ratings = make_ratings(scaled(ML1M_EVENTS))
    rows = (
        scaled(speed_scaling.ROWS[0]),
        scaled(speed_scaling.ROWS[1]),
        scaled(speed_scaling.ROWS[2]),
    )
    if "tutorial" in parts:
        yield "tutorial", speed_throughput.against_tutorial(ratings, repeats), {}
    if "keras" in parts:
        yield "keras", speed_throughput.against_keras(ratings, repeats), {}
    if "rows" in parts:
        yield "rows", speed_scaling.over_rows(repeats, rows), {}
    if "checkpoints" in parts:
        yield "checkpoints", speed_scaling.checkpoints(repeats, rows[-1]), {}
    if "ranking" in parts:
        found, rates = speed_ranking.against_factorized_top_k(
            repeats, scaled(speed_ranking.ML1M_USERS), scaled(speed_ranking.ML1M_ITEMS)
        )
        yield "ranking", found, {"hit rates": rates}


def write_report(path: Path, ratios: dict[str, Ratio]) -> Path:
    """The page: how many times better ours is, and the numbers behind it."""
    grows = {name: ratio for name, ratio in ratios.items() if " cost times " in name}
    better = {name: ratio.ratio for name, ratio in ratios.items() if name not in grows}
    rows = [
        [
            name,
            f"{ratio.ours:.4g}",
            f"{ratio.theirs:.4g}",
            ratio.unit,
            f"{ratio.ratio:.2f}",
            f"≥ {WANTED[name]:g}" if name in WANTED else "≤ 1.2" if name in grows else "",
        ]
        for name, ratio in ratios.items()
    ]
    return write_chart(
        path,
        "Speed",
        [
            Bars("Times better than", better),
            Bars("What larger tables cost", {name: r.ratio for name, r in grows.items()}),
            Table("In numbers", ["", "ours", "theirs", "unit", "ratio", "wanted"], rows),
        ],
        ["Medians of CPU seconds, interleaved, one process, one thread, no GPU."],
    )


if __name__ == "__main__":
    raise SystemExit(main())
