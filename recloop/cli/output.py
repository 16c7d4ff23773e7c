"""Tables, progress and messages on the terminal. JSON for machines goes to standard output alone."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from recloop.cli.terminal import Screen, escaped

PIPED_WIDTH = 150
"""Columns of a table that goes to a file or a pipe, where Rich would take 80."""
console = Screen(width=None if sys.stdout.isatty() else PIPED_WIDTH)
messages = Screen(stderr=True, width=None if sys.stderr.isatty() else PIPED_WIDTH)
Json = dict[str, Any]


def fail(error: Exception) -> None:
    """Print an error as one message, with the name of its kind."""
    messages.print(Text.assemble((type(error).__name__, "bold red"), f": {escaped(str(error))}"))


def say(text: str) -> None:
    """A line for people, on standard error."""
    messages.print(text, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, default=str))


def progress_bar() -> Progress:
    """A progress bar on standard error, gone when done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=messages,
        transient=True,
    )


def windows_table(windows: list[Json], title: str = "Windows") -> Table:
    """One row per window: what came in, what was decided, how it went."""
    table = Table(title=title, header_style="bold", expand=False)
    for name in ("week", "events", "quarant.", "decision", "gate", "release"):
        table.add_column(name, no_wrap=True)
    table.add_column("champion\nr@20 / ndcg", no_wrap=True)
    table.add_column("challenger\nr@20 / ndcg", no_wrap=True)
    table.add_column("seconds per stage")
    for row in windows:
        gate = row["gate"]
        table.add_row(
            row["window"],
            f"{row['events']:,}" + _of_them_late(row),
            f"{row['quarantined']:,}",
            row["decision"] + (" (pending)" if row["pending"] else ""),
            "–" if gate is None else ("passed" if gate["passed"] else "refused"),
            str(row["release"] or "–"),
            _metrics(row["champion"]),
            _metrics(row["challenger"]),
            " ".join(f"{stage} {seconds:.1f}" for stage, seconds in row["seconds"].items()),
        )
    return table


def late_lines(windows: list[Json]) -> list[str]:
    """One sentence per late part: what became of events that came after their window was learnt."""
    told = {
        "accepted": "accepted; `recloop ingest` writes their features",
        "pending": "pending; the next window's update learns from them",
    }
    return [
        f"{part['part']}: {part['events']:,} late events, "
        + told.get(part["state"], f"learnt in release {part['release']}")
        for row in windows
        for part in row["late"]
    ]


def upkeep_lines(status: Json) -> list[str]:
    """One sentence per maintenance, who accepted or approved what, and the latest shadow rebuild."""
    lines = [f"maintenance, {row['state']}: {row['reason']}" for row in status["maintained"]]
    for row in status["windows"]:
        if word := row.get("acceptance"):
            rules = ", ".join(word["rules"])
            lines.append(
                f"{row['window']}: accepted by {word['by']} although it breaks {rules}: {word['reason']}"
            )
    for row in [*status["windows"], *status["maintained"]]:
        if row.get("approval"):
            what = row.get("window") or f"update {row['update_id']}"
            said = row["approval"]
            why = f": {said['why']}" if said.get("why") else ""
            lines.append(f"{what}: {said['answer']} by {said['by']}{why}")
    lines += [f"shadow rebuild: {shadow['summary']}" for shadow in status["shadows"][-1:]]
    return lines


def _of_them_late(row: Json) -> str:
    late = sum(part["events"] for part in row["late"])
    return f" ({late:,} late)" if late else ""


def lines_table(lines: Json) -> Table:
    """What became of each line of input."""
    table = Table(title="Every line accounted for", header_style="bold")
    table.add_column("what became of it")
    table.add_column("lines", justify="right")
    table.add_row("accepted", f"{lines['accepted']:,}")
    table.add_row("duplicate", f"{lines['duplicates']:,}")
    for rule, count in sorted(lines["quarantined"].items(), key=lambda pair: -pair[1]):
        table.add_row(f"quarantined: {rule}", f"{count:,}")
    table.add_row("pending (windows not yet processed)", f"{lines['pending']:,}")
    table.add_row(Text("total", "bold"), Text(f"{lines['total']:,}", "bold"))
    return table


def systems_table(summary: Json) -> Table:
    """The demonstration's systems side by side: means over users, then weeks."""
    table = Table(
        title="Each week ranked before anything learnt from it (mean over users and weeks)",
        header_style="bold",
    )
    table.add_column("")
    for name in ("(a) recall@20", "(a) NDCG@20", "(b) recall@20", "(b) NDCG@20"):
        table.add_column(name, justify="right")
    for name, found in summary.items():
        if isinstance(found, dict) and "all_pairs" in found:
            every = found["all_pairs"]
            values = (every["recall@20"], every["ndcg@20"], found["recall@20"], found["ndcg@20"])
            table.add_row(name.replace("_", " "), *(f"{value:.4f}" for value in values))
    table.caption = "(a) all purchases; (b) only pairs of user and item never seen before"
    return table


def recommendations_table(answers: list[Json]) -> Table:
    """Recommendations side by side, one column each."""
    table = Table(header_style="bold", expand=False)
    for answer in answers:
        table.add_column(answer.get("title") or f"{answer['user_id']}, release {answer['release']}")
    for rank in range(max((len(a["items"]) for a in answers), default=0)):
        table.add_row(
            *(
                f"{a['items'][rank]['name']} ({a['items'][rank]['item_id']})"
                if rank < len(a["items"])
                else ""
                for a in answers
            )
        )
    return table


def _metrics(metrics: Json | None) -> str:
    return "–" if not metrics else f"{metrics['recall@20']:.4f} / {metrics['ndcg@20']:.4f}"
