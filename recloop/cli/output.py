"""Tables, progress and messages on the terminal. JSON for machines goes to standard output alone."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

# What reaches the terminal is text: item names, ids, rules and paths of strangers steer nothing.
#
# A terminal obeys what it is sent: `ESC ]0;` renames its window, `ESC ]8;;` makes a link, some
# sequences answer into the shell, and a right-to-left override turns `gpj.exe` round. All of
# recloop's output, error messages, logs and tracebacks included, goes through here, where such
# characters are shown as `\x1b` and the like. JSON is not touched: `json.dumps` writes them as
# escapes by itself.

STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but for tab and newline, DEL, C1
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f"  # direction, invisible letters, tags
    "\ud800-\udfff]"  # bytes of a file's name that are no text, which cannot be printed
)
LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


def escaped(text: str) -> str:
    """`text` with everything that would steer a terminal written as an escape, such as `\\x1b`."""
    return STEERING.sub(_name, text)


def _name(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


class Screen(Console):
    """A Rich console that escapes. Markup is off: "[holdout]" is no style.

    Strings are escaped before they are laid out, so that columns keep their widths; whatever else
    holds text, when it is rendered.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape a string, then make it a `Text`."""
        return super().render_str(escaped(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Escape what is about to be written. Rich's own control segments are kept."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text), segment.style)


class EscapedLog(logging.Formatter):
    """Escapes the finished line, its traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return escaped(super().format(record))


def guard() -> None:
    """Let this process's logs and tracebacks be escaped, too, and print what its encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    for handler in logging.getLogger().handlers:
        handler.setFormatter(EscapedLog(LOG_FORMAT))
    sys.excepthook = _tell


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(escaped("".join(traceback.format_exception(kind, error, trace))))


PIPED_WIDTH = 150
"""Columns of a table that goes to a file or a pipe, where Rich would take 80."""
console = Screen(width=None if sys.stdout.isatty() else PIPED_WIDTH)
messages = Screen(stderr=True, width=None if sys.stderr.isatty() else PIPED_WIDTH)
Json = dict[str, Any]
CHAMPION, CHALLENGER, KINDS = "champion", "challenger", "of each kind"
COLUMNS = {
    0: ("window", "decision"),
    52: ("window", "decision", "gate", "release"),
    84: ("window", "events", "quarant.", "decision", "gate", "release"),
    130: (
        "window", "events", "quarant.", "decision", "gate", "release", CHAMPION, CHALLENGER, "seconds",
    ),
    150: (
        "window", "events", KINDS, "quarant.", "decision", "gate", "release", CHAMPION, CHALLENGER,
        "seconds",
    ),
}  # fmt: skip
"""Columns of the table of windows, by the terminal's least width."""
SHOWN = 2
"""Of a model's metrics, the first: those that the gate goes by. All are in the JSON and the reports."""


def fail(error: Exception) -> None:
    """Print an error as one message, with the name of its kind."""
    messages.print(Text.assemble((type(error).__name__, "bold red"), f": {escaped(str(error))}"))


def say(text: str) -> None:
    """A line for people, on standard error."""
    messages.print(text, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, default=str))


SECONDS = 30.0
"""Between two lines of progress where there is no terminal."""


class _Told(Progress):
    """Where there is no terminal, a line from time to time."""

    def __init__(self, *columns: ProgressColumn, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._told = time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:  # type: ignore[override]
        super().update(task_id, **changes)
        (task,) = (one for one in self.tasks if one.id == task_id)
        if messages.is_terminal or not task.total or time.monotonic() - self._told < SECONDS:
            return
        self._told = time.monotonic()
        say(f"{task.description}: {task.completed:,.0f} of {task.total:,.0f}")


def progress_bar(lines: bool = True) -> Progress:
    """A progress bar on standard error, gone when done.

    Args:
        lines: whether, where there is no terminal, a line says so from time to time.
    """
    return (_Told if lines else Progress)(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=messages,
        transient=True,
    )


def windows_table(windows: list[Json], title: str = "Windows", width: int | None = None) -> Table:
    """One row per window: what came in, what was decided, how it went; fewer columns where the
    terminal is narrow.

    Args:
        width: columns of characters; None: the terminal's.
    """
    width = width or console.width
    kept = max((least for least in COLUMNS if least <= width), default=0)
    kinds = [*dict.fromkeys(kind for row in windows for kind in row["kinds"])]
    names = [name for name in COLUMNS[kept] if name != KINDS or kinds]
    table = Table(title=title, header_style="bold")
    judged = next((list(row["challenger"]) for row in windows if row["challenger"]), [])[:SHOWN]
    for name in names:
        measured = name in (CHAMPION, CHALLENGER) and judged
        told = f"{name}\n{' / '.join(judged)}" if measured else name
        told = f"{name}\n{' / '.join(kinds)}" if name == KINDS else told
        table.add_column(told, no_wrap=kept > 0)
    for row in windows:
        gate, late = row["gate"], sum(part["events"] for part in row["late"])
        cells = {
            "window": row["window"],
            "events": f"{row['events']:,}" + (f" ({late:,} late)" if late else ""),
            KINDS: " / ".join(f"{row['kinds'].get(kind, 0):,}" for kind in kinds),
            "quarant.": f"{row['quarantined']:,}",
            "decision": row["decision"] + (" (pending)" if row["pending"] else ""),
            "gate": "–" if gate is None else gate["answer"],
            "release": str(row["release"] or "–"),
            CHAMPION: _metrics(row["champion"]),
            CHALLENGER: _metrics(row["challenger"]),
            "seconds": f"{sum(row['seconds'].values()):.1f}" if row["seconds"] else "–",
        }
        table.add_row(*(cells[name] for name in names))
    return table


def releases_table(status: Json) -> Table:
    """One row per release: what made it, from which, what it has learnt, whether it reigns."""
    names = ("release", "parent", "update", "about window", "windows", "champion from", "")
    table = Table(*names, title="Releases", header_style="bold")
    reigning = (status["champion"] or {}).get("version")
    for row in status["releases"]:
        gone = "files thinned" if row["thinned"] else ""
        table.add_row(
            str(row["version"]),
            str(row["parent"] or "from scratch"),
            f"{row['update_id']}, {row['decision']}",
            row["target"],
            str(row["windows"]),
            row["champion_from"],
            "champion" if row["version"] == reigning else gone,
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
    """One sentence per maintenance, rebuild in vain and rollback, who accepted or approved what, the
    latest shadow rebuild and publication."""
    rebuilds = status.get("refused_rebuilds", [])
    lines = [f"maintenance, {row['state']}: {row['reason']}" for row in status["maintained"]]
    lines += [f"rebuild, {row['state']}: {row['reason']}" for row in rebuilds]
    lines += [
        f"rolled back {row['from']} → {row['to']} at {row['at']}: {row['reason']}"
        for row in status.get("rollbacks", [])
    ]
    for row in status["windows"]:
        if word := row.get("acceptance"):
            rules = ", ".join(word["rules"])
            lines.append(
                f"{row['window']}: accepted by {word['by']} although it breaks {rules}: {word['reason']}"
            )
    for row in [*status["windows"], *status["maintained"], *rebuilds]:
        if row.get("approval"):
            what = row.get("window") or f"update {row['update_id']}"
            said = row["approval"]
            why = f": {said['why']}" if said.get("why") else ""
            lines.append(f"{what}: {said['answer']} by {said['by']}{why}")
    lines += [f"shadow rebuild: {shadow['summary']}" for shadow in status["shadows"][-1:]]
    return lines + [f"at {at[:16]} {told}" for at, told in status.get("published", ())][-1:]


def lines_table(lines: Json) -> Table:
    """What became of each line of input."""
    columns = ("what became of it", Column("lines", justify="right"))
    table = Table(*columns, title="Every line accounted for", header_style="bold")
    table.add_row("accepted", f"{lines['accepted']:,}")
    table.add_row("duplicate", f"{lines['duplicates']:,}")
    for rule, count in sorted(lines["quarantined"].items(), key=lambda pair: -pair[1]):
        table.add_row(f"quarantined: {rule}", f"{count:,}")
    table.add_row("pending (windows not yet processed)", f"{lines['pending']:,}")
    table.add_row(Text("total", "bold"), Text(f"{lines['total']:,}", "bold"))
    return table


def systems_table(summary: Json) -> Table:
    """The demonstration's systems side by side: means over users, then weeks."""
    names = ("(a) recall@20", "(a) NDCG@20", "(b) recall@20", "(b) NDCG@20")
    table = Table("", *(Column(name, justify="right") for name in names), header_style="bold")
    table.title = "Each week ranked before anything learnt from it (mean over users and weeks)"
    for name, found in summary.items():
        if isinstance(found, dict) and "all_pairs" in found:
            every = found["all_pairs"]
            values = (every["recall@20"], every["ndcg@20"], found["recall@20"], found["ndcg@20"])
            shown = ("–" if value is None else f"{value:.4f}" for value in values)
            table.add_row(name.replace("_", " "), *shown)
    table.caption = "(a) all purchases; (b) only pairs of user and item never seen before"
    return table


def recommendations_table(answers: list[Json]) -> Table:
    """Recommendations side by side, one column each."""
    titles = (a.get("title") or f"{a['user_id']}, release {a['release']}" for a in answers)
    table = Table(*titles, header_style="bold")
    for rank in range(max((len(a["items"]) for a in answers), default=0)):
        table.add_row(
            *(_named(a["items"][rank]) if rank < len(a["items"]) else "" for a in answers)
        )
    return table


def _named(item: Json) -> str:
    """An item's name and id; its id alone where it has no name of its own."""
    name, item_id = item["name"], item["item_id"]
    return item_id if name in (None, "", item_id) else f"{name} ({item_id})"


def _metrics(metrics: Json | None) -> str:
    return " / ".join(f"{value:.4f}" for value in [*metrics.values()][:SHOWN]) if metrics else "–"


def profile_table(found: Json) -> Table:
    """What validation has learnt, a row for each rule."""
    table = Table(title="what is usual", header_style="bold")
    for name in ("rule", "last", "usual", "next from", "to", "windows", "refused"):
        table.add_column(name)
    for row in found["rules"]:
        ends = ["–" if row[end] is None else f"{row[end]:.4g}" for end in ("low", "high")]
        cells = [f"{row['last']:.4g}", f"{row['usual']:.4g}", *ends, str(row["windows"])]
        table.add_row(row["rule"], *cells, str(row["refused"] or "–"))
    return table


def fleet_table(rows: list[Json]) -> Table:
    """One row per recommender (`stages/fleet_status.py`)."""
    names = ("recommender", "dataset", "family", "champion", "learnt", "waiting", "refused")
    table = Table(*names, title="Recommenders", header_style="bold")
    for row in rows:
        champion = str(row["champion"] or "none yet")
        known = [row["dataset"] or "", row["family"] or "", champion, str(row["learnt"])]
        waiting = row["error"] or ", ".join(row["waiting"]) or "none"
        table.add_row(row["recommender"], *known, waiting, ", ".join(row["refused"]) or "none")
    return table
