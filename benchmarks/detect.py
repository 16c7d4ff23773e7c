"""Which faults of a delivery validation finds, how soon, and how often it cries wolf.

    python -m benchmarks.detect --data ../data

Windows of real streams go through recloop's own validation, one after another, with no limit set by
hand. A window that is refused though nothing was planted is a false alarm; it is accepted, as a person
would. Before some windows the database is copied, and in each copy one fault is planted into that window
and the two after it. The same windows are judged by Great Expectations as it comes: expectations on row
count, nulls, distinct values, mean, median and spread, each between the least and the most of the
windows before.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import pandas as pd
import psycopg2
import typer

from benchmarks.detect_faults import FAULTS, applies
from benchmarks.detect_peer import unexpected
from benchmarks.detect_streams import STREAMS, Stream
from recloop.addresses import with_database
from recloop.behavior.landing import land
from recloop.contracts import Acceptance
from recloop.database import embedded
from recloop.errors import RecloopError, SourceRefused, WindowRefused
from recloop.settings import PROJECT, Settings
from recloop.stages.status import count_lines
from recloop.validation.window import validate_window

Json = dict[str, Any]
WINDOWS = 3
"""In how many windows a fault stays."""


@dataclass
class Shop:
    """A stream's home: its lines are delivered window by window."""

    stream: Stream
    settings: Settings
    lines: Path
    keys: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = list(self.stream.windows)

    def deliver(self, key: str, lines: pd.DataFrame) -> list[str]:
        """Deliver a window and judge it; the rules that refuse it, none if it is accepted."""
        written = lines.assign(at=lines["at"].dt.strftime("%Y-%m-%dT%H:%M:%S"))
        written.to_csv(self.lines / f"{key}.csv", index=False)
        try:
            if land(self.settings).refused:
                return ["source"]
            validate_window(self.settings, key)
        except SourceRefused:
            return ["source"]
        except WindowRefused as error:
            told = [line[2:] for line in str(error).splitlines() if line.startswith("- ")]
            return [one.split(" = ")[0] for one in told]
        return []

    def accept(self, key: str) -> None:
        """Accept a window, as a person would who finds nothing wrong with it."""
        word = Acceptance(by="bench", reason="nothing was planted", at=pd.Timestamp.now("UTC"))
        validate_window(self.settings, key, word)


@contextmanager
def opened(stream: Stream, folder: Path) -> Iterator[Shop]:
    """A home of the stream's own, with an embedded server."""
    lines = folder / "lines"
    lines.mkdir()
    (folder / "dataset.toml").write_text(stream.dataset())
    settings = Settings(
        home=folder / "home",
        data=lines,
        dataset=str(folder / "dataset.toml"),
        config=PROJECT / "config",
    )
    try:
        yield Shop(stream, embedded.resolve(settings), lines)
    finally:
        embedded.stop(settings.home)


@contextmanager
def copied(shop: Shop) -> Iterator[Shop]:
    """The shop in a copy of its database; what is delivered meanwhile is gone afterwards."""
    before = set(shop.lines.iterdir())
    admin = with_database(shop.settings.database_url, "postgres")
    connection = psycopg2.connect(admin.replace("postgresql+psycopg2", "postgresql", 1))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                (embedded.DATABASE,),
            )
            cursor.execute("drop database if exists planted with (force)")
            cursor.execute(f'create database planted template "{embedded.DATABASE}"')
        url = with_database(shop.settings.database_url, "planted")
        yield Shop(shop.stream, shop.settings.model_copy(update={"database_url": url}), shop.lines)
    finally:
        connection.close()
        for path in set(shop.lines.iterdir()) - before:
            path.unlink()


def plant(shop: Shop, place: int, name: str) -> Json:
    """Deliver `WINDOWS` windows with a fault: after how many it was found, by recloop and its peer."""
    windows, (share, fault) = shop.stream.windows, FAULTS[name]
    found: Json = {"stream": shop.stream.name, "window": shop.keys[place], "fault": name}
    found |= {"share": share, "found_after": None, "rules": [], "peer_after": None}
    history = [windows[key] for key in shop.keys[:place]]
    with copied(shop) as copy:
        for number, key in enumerate(shop.keys[place : place + WINDOWS], start=1):
            lines = fault(windows[key], windows[shop.keys[shop.keys.index(key) - 1]])
            if found["peer_after"] is None and unexpected(history, lines):
                found["peer_after"] = number
            rules = copy.deliver(key, lines)
            if rules:
                found |= {"found_after": number, "rules": rules}
                break
            history.append(lines)
    return found


def measure(stream: Stream, only: str = "") -> Json:
    """Deliver a stream, planting faults into copies of it."""
    alarms: list[Json] = []
    planted: list[Json] = []
    peer = 0
    with TemporaryDirectory() as folder, opened(stream, Path(folder)) as shop:
        for place, key in enumerate(shop.keys):
            if place in stream.planted:
                names = [name for name in FAULTS if applies(name, stream.windows[key])]
                for name in names:
                    if only in name:
                        print(f"{stream.name} {key}: {name}", file=sys.stderr)
                        planted.append(plant(shop, place, name))
            before = [stream.windows[earlier] for earlier in shop.keys[:place]]
            peer += len(before) > 2 and bool(unexpected(before, stream.windows[key]))
            rules = shop.deliver(key, stream.windows[key])
            if rules:
                print(f"{stream.name} {key}: refused by {', '.join(rules)}", file=sys.stderr)
                alarms.append({"window": key, "rules": rules})
                shop.accept(key)
        lines = count_lines(shop.settings)
    return {
        "stream": stream.name,
        "windows": len(shop.keys),
        "alarms": alarms,
        "peer_alarms": peer,
        "planted": planted,
        "lines": lines,
    }


def main(
    data: Annotated[Path, typer.Option(help="Holds diginetica/ and marketplace/.")] = Path("."),
    streams: Annotated[str, typer.Option(help="Comma-separated; all by default.")] = "",
    only: Annotated[str, typer.Option(help="Faults whose name has this in it.")] = "",
    out: Annotated[Path | None, typer.Option(help="A JSON file for the results.")] = None,
) -> None:
    """Plant faults into streams and print what was found."""
    from benchmarks.detect_report import tables
    from recloop.cli.output import fail

    results = []
    for name in streams.split(",") if streams else STREAMS:
        try:
            results.append(measure(STREAMS[name](Settings.from_environment().cache, data), only))
        except RecloopError as error:
            fail(error)
        if out is not None:
            out.write_text(json.dumps(results, indent=1, default=str))
    print(tables(results))


if __name__ == "__main__":
    typer.run(main)
