"""Learn from all behavior, judge by what the shop lives on: is that better than purchases alone?

    python -m benchmarks.behaviors --data ../data

A marketplace's clicks, collects, carts and purchases, by day, go through recloop's own loop three times:
learnt from with weights, all alike, and from purchases alone. Each day is scored by its purchases
before anything learns from it; differences are paired by user and day. Days that validation refuses are
counted.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.loop import recloop_in
from benchmarks.output import default_path, write_json
from recloop.errors import BadInput, RecloopError
from recloop.evaluation.differences import paired_difference

Json = dict[str, Any]
Days = dict[str, dict[str, np.ndarray]]
"""Day → the arrays that were kept of it."""
KINDS = {"1": "click", "2": "collect", "3": "cart", "4": "purchase"}
WAYS = {
    "all, weighted": "weights = { click = 0.1, collect = 0.2, cart = 0.3, purchase = 1.0 }",
    "all alike": 'types = ["click", "collect", "cart", "purchase"]',
    "purchases alone": 'types = ["purchase"]',
}
DATASET = """
name = "marketplace"
[source]
kind = "file"
[window]
length = "day"
[period]
start = 2019-06-09T16:00:00Z
end = 2019-06-19T16:00:00Z
[columns]
user = "text"
item = "text"
kind = "text"
day = "time"
text = "text"
[event]
user_id = "user"
item_id = "item"
type_column = "kind"
timestamp = "day"
timestamp_format = "%Y%m%d"
timezone = "Asia/Shanghai"
[event.learn_from]
{learn_from}
[event.goal]
types = ["purchase"]
[item_attributes]
text = ["text"]
"""
DAYS = [f"2019-06-{day:02}" for day in range(9, 19)]
"""Keys of the windows: a day of the shop begins the evening before, UTC."""
METRICS = ("all_pairs_ndcg@20", "ndcg@20")
OUT = default_path("behaviors")


def main(
    data: Annotated[Path, typer.Option(help="Folder that holds marketplace/.")],
    folder: Annotated[Path, typer.Option(help="For the homes; emptied.")] = Path("var/behaviors"),
    warm_up: Annotated[int, typer.Option(help="Days that are learnt at once.")] = 4,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = OUT,
) -> None:
    """Run the three ways and print how they compare."""
    from recloop.cli.output import fail

    try:
        content = compare(data / "marketplace", folder.resolve(), warm_up)
        write_json(out, content)
        print(json.dumps(content, indent=2))
    except RecloopError as error:
        fail(error)
        raise typer.Exit(1) from error


def compare(data: Path, folder: Path, warm_up: int) -> Json:
    """Means by way, and weighted minus the others, paired."""
    if not (data / "events.tsv").exists():
        raise BadInput(f"{data} has no events.tsv; give --data the folder that holds marketplace/.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _write_lines(data, folder / "lines.csv")
    found: dict[str, Days] = {}
    content: Json = {"ways": {}, "paired": {}}
    for number, (name, learn_from) in enumerate(WAYS.items()):
        home = folder / str(number)
        home.mkdir()
        (home / "dataset.toml").write_text(DATASET.format(learn_from=learn_from))
        refused, found[name] = _run(home, folder / "lines.csv", warm_up)
        content["ways"][name] = {"refused": refused} | {
            metric: _mean([day[f"champion/{metric}"] for day in found[name].values()])
            for metric in METRICS
        }
        print(name, content["ways"][name], file=sys.stderr)
    first, *others = found
    for other in others:
        for metric in METRICS:
            content["paired"][f"{first} minus {other}: {metric}"] = _paired(
                found[first], found[other], metric
            )
    return content


def _run(home: Path, lines: Path, warm_up: int) -> tuple[int, Days]:
    """How many days validation refused, and the scores of each day that was tested."""
    more: Json = {"RECLOOP_DATA": str(lines)}
    recloop_in(home, "ingest", "--through", DAYS[-1], may_fail=True, **more)
    for day in DAYS[warm_up - 1 :]:
        recloop_in(
            home, "update", "--window", day, "--policy", "every-window", may_fail=True, **more
        )
    status = json.loads(recloop_in(home, "status", "--json", **more))
    recloop_in(home, "down", **more)
    rows = [row for row in status["windows"] if row["window"] in DAYS]
    days: Days = {}
    for row in rows:
        if path := (row["prequential"] or {}).get("scores"):
            with np.load(path) as arrays:
                days[row["window"]] = {name: arrays[name] for name in arrays.files}
    return sum(row["state"] == "refused" for row in rows), days


def _paired(ours: Days, theirs: Days, metric: str) -> list[float]:
    """Mean difference and its interval: users of the same day, who stand in the same order of keys."""
    rows = []
    for day in sorted(set(ours) & set(theirs)):
        one, other = ours[day], theirs[day]
        users, here, there = np.intersect1d(
            one["user_keys"], other["user_keys"], return_indices=True
        )
        key = f"champion/{metric}"
        rows.append((users, one[key][here], other[key][there]))
    owners, left, right = (np.concatenate(column) for column in zip(*rows, strict=True))
    found = paired_difference(left, right, owners)
    return [round(one, 5) for one in (found.mean, found.low(), found.high())]


def _mean(days: list[np.ndarray]) -> float:
    return round(float(np.mean([np.nanmean(day) for day in days])), 5)


def _write_lines(data: Path, path: Path) -> None:
    texts = {}
    for line in (data / "items.tsv").read_text().splitlines():
        item, *facts = line.split("\t")
        texts[item] = " ".join(f"{name}{fact}" for name, fact in zip("tcb", facts, strict=False))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "kind", "day", "text"])
        for line in (data / "events.tsv").read_text().splitlines():
            user, item, kind, day = line.split("\t")
            if kind in KINDS:
                writer.writerow([user, item, KINDS[kind], day, texts.get(item, "")])


if __name__ == "__main__":
    typer.run(main)
