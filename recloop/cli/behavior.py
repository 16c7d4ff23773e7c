"""Commands of behavior: ingest, accept, profile. `loop.py` has what follows."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.progress import Progress

from recloop.calendar import counted
from recloop.cli import output
from recloop.cli.output import console, messages, print_json, progress_bar, say
from recloop.cli.session import session
from recloop.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Json = dict[str, Any]


def ingest(
    window: Annotated[str | None, typer.Option(help="Only this window, e.g. 2011-06-06.")] = None,
    through: Annotated[str | None, typer.Option(help="All windows up to this one.")] = None,
    json: AsJson = False,
) -> None:
    """Read new behavior, validate it window by window, write features and training sets."""
    with session() as settings:
        report = ingest_with_progress(settings, window, through)
    _tell_ingested(report, f"{report['lines']:,} lines read, ", json)


def accept(
    windows: Annotated[
        list[str] | None, typer.Argument(help="Refused windows, e.g. 2024-01-07 2024-01-08.")
    ] = None,
    through: Annotated[str | None, typer.Option(help="All refused windows up to this one.")] = None,
    reason: Annotated[str, typer.Option(help="Why they are right; kept in the ledger.")] = "",
    json: AsJson = False,
) -> None:
    """Accept refused windows on your word; without any, list what waits and why."""
    from recloop.stages.ingest_stages import accept_windows, refused_windows

    with session() as settings:
        if not windows and through is None:
            waiting = refused_windows(settings)
            print_json(waiting) if json else _tell_waiting(waiting)
            return
        with progress_bar(lines=False) as bar:
            by, shown = person(), _window_bar(bar)
            report = accept_windows(settings, windows or [], through, reason, by, shown)
    _tell_ingested(report, f"{counted(len(report['accepted']))} accepted on your word, ", json)


def profile(
    toml: Annotated[
        bool, typer.Option(help="Print it as [limits.fixed] of a dataset file.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show what validation has learnt of the shop: what is usual, and what the next window may be."""
    from recloop.validation.profile import as_limits
    from recloop.validation.profile import profile as learnt

    with session() as settings:
        found = learnt(settings)
    if json:
        print_json(found)
    elif toml:
        print(as_limits(found["rules"]))
    else:
        console.print(output.profile_table(found))
        console.print(
            f"learnt from {counted(found['windows'])}; {found['refused']} of {found['judged']} judged "
            f"are refused. To hold a limit by hand, put its line of `recloop profile --toml` into "
            f"{settings.dataset_file}."
        )


def person() -> str:
    """Who is at work here: a name, or a number where the machine knows none (`docker run --user`)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _tell_ingested(report: Json, begin: str, json: bool) -> None:
    """Print what became of lines and windows; end with 3 if data was refused, 1 if a check failed."""
    if json:
        print_json(report)
    else:
        console.print(
            f"{begin}{report['events']:,} new events; "
            f"{counted(len(report['done']))} ready, {len(report['refused'])} refused."
        )
        for key in report.get("open", []):
            console.print(
                f"window {key} is not over yet, and waits until then; to judge what is there of it: "
                f"recloop ingest --window {key}"
            )
        again = report.get("again", {"lines": 0})
        if again["lines"]:
            console.print(
                f"{again['lines']:,} quarantined lines judged again, {again['accepted']:,} accepted"
            )
        for sentence in report.get("stuck", ()):
            say(sentence)
        for broken in report["quarantined"]:
            say(f"quarantined: {broken['message']}")
        for problem in [*report["refused"], *report["crashed"]]:
            say(f"{problem['window']}: {problem['message']}")
        for message in report["sources_refused"]:
            say(message)
        if len(report["refused"]) > 1:
            say(_how_to_accept([one["window"] for one in report["refused"]]))
    if report["crashed"]:
        raise typer.Exit(1)
    if report["refused"] or report["sources_refused"]:
        raise typer.Exit(3)


def _tell_waiting(waiting: list[Json]) -> None:
    for one in waiting:
        rules = "; ".join(rule["message"] for rule in one["rules"])
        console.print(f"{one['window']}, {one['lines']:,} lines: {rules}")
    keys = [one["window"] for one in waiting]
    console.print(_how_to_accept(keys) if keys else "no window waits to be accepted")


def _how_to_accept(refused: list[str]) -> str:
    return (
        f"Refused and waiting for a person: {counted(len(refused))}. What is right as it is can be "
        f'accepted, one by its date or all:\n  recloop accept --through {refused[-1]} --reason "…"'
    )


def _window_bar(bar: Progress) -> Callable[[str, int, int], None]:
    """What shows the windows' progress; where there is no terminal, a line per window."""
    task = bar.add_task("windows", total=None, visible=False)

    def told(key: str, done: int, total: int) -> None:
        bar.update(task, description=f"window {key}", completed=done, total=total, visible=True)
        if not messages.is_terminal:
            say(f"window {key}, {done + 1} of {total}")

    return told


def ingest_with_progress(
    settings: Settings, window: str | None = None, through: str | None = None
) -> Json:
    """`ingest_windows` with two progress bars, lines, then windows; into a file, a line per window."""
    from recloop.stages.ingest_stages import ingest_windows

    with progress_bar(lines=False) as bar:
        reading = bar.add_task("reading lines", total=None)
        return ingest_windows(
            settings,
            window,
            through,
            on_lines=lambda done, total: bar.update(reading, completed=done, total=total),
            on_window=_window_bar(bar),
        )


COMMANDS = (ingest, accept, profile)
