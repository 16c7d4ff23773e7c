"""Is what is served what is learnt from? Online Retail by days, through the loop's own functions.

    python -m benchmarks.skew --begin 2011-10-03 --days 35 --serve 28

No scheduler and no training. Before each of the last days every user of the file is answered, as
`recloop serve` answers and writes down, also those who have yet to come; then the day is ingested, and
its training set is compared with what was served. The last day is served twice: as it is, and with a
week's rows of one table taken away meanwhile, which has to be found.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from benchmarks.output import default_path, write_json
from recloop.behavior.download import locate
from recloop.config.dataset import load_dataset
from recloop.config.learnable import Meaning, meaning_of
from recloop.database import embedded
from recloop.database.connection import transaction
from recloop.database.schema import migrate
from recloop.errors import RecloopError
from recloop.features.examples import read_examples
from recloop.features.skew import Skew, serving_skew
from recloop.ledger import parts
from recloop.server.impressions import Impression, Recorder
from recloop.server.people import People
from recloop.settings import PROJECT, Settings
from recloop.stages.ingest_stages import ingest_windows

Json = dict[str, Any]
PLANTED = "user_items"
DAY = timedelta(days=1)
OUT = default_path("skew")


def main(
    begin: Annotated[str, typer.Option(help="The first day that is ingested.")] = "2011-10-03",
    days: Annotated[int, typer.Option(help="How many days are ingested.")] = 35,
    serve: Annotated[
        int, typer.Option(help="Before how many of the last users are answered.")
    ] = 28,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = OUT,
) -> None:
    """Print the days one by one and what they come to."""
    from recloop.cli.output import fail

    try:
        content = run(datetime.fromisoformat(begin).replace(tzinfo=UTC), days, serve)
    except RecloopError as error:
        fail(error)
        raise typer.Exit(1) from error
    write_json(out, content)
    print(json.dumps({name: content[name] for name in ("sum", "planted")}, indent=2))
    raise typer.Exit(int(content["sum"]["differ"] > 0 or content["planted"]["differ"] == 0))


def run(begin: datetime, days: int, serve: int) -> Json:
    """Rows by day, their sum, and what became of the planted fault."""
    with _shop(begin, begin + days * DAY) as settings:
        meaning = meaning_of(settings)
        first = begin + (days - serve) * DAY
        ingest_windows(settings, through=f"{first - DAY:%Y-%m-%d}")
        rows = []
        for number in range(serve):
            key = f"{first + number * DAY:%Y-%m-%d}"
            began = time.monotonic()
            users = answer_all(settings, meaning)
            served = time.monotonic()
            ingest_windows(settings, window=key)
            found, seconds = _compared(settings, meaning, key)
            row = {"day": key, "asked": users, **_told(found)}
            row |= {"serve_s": served - began, "compare_s": seconds}
            rows.append({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
            print(rows[-1], file=sys.stderr, flush=True)
        with_users = [str(row["day"]) for row in rows if row["compared"]]
        names = ("asked", "compared", "users", "differ", "late")
        return {
            "days": rows,
            "sum": {name: sum(row[name] for row in rows) for name in names},
            "planted": _planted(settings, meaning, with_users[-1]) if with_users else {"differ": 0},
        }


def answer_all(settings: Settings, meaning: Meaning) -> int:
    """Answer every user of the file once, those who have yet to come as strangers, and write it down;
    returns how many they are."""
    assert settings.data is not None
    with settings.data.open(encoding="cp1252", newline="") as file:
        names = sorted({line["CustomerID"] for line in csv.DictReader(file)} - {""})
    recorder = Recorder(len(names) + 1)
    people = People(load_dataset(settings).model.known_family, meaning)
    with transaction(settings.database_url) as cursor:
        for name in names:
            person = people.of(cursor, name)
            url, now = settings.database_url, datetime.now(UTC)
            recorder.note(
                Impression(url, str(uuid4()), 1, now, name, (), person.moment, person.features)
            )
    recorder.flush()
    assert not recorder.lost
    return len(names)


def _compared(settings: Settings, meaning: Meaning, key: str) -> tuple[Skew, float]:
    began = time.monotonic()
    with transaction(settings.database_url) as cursor:
        if key not in parts.ready(cursor):
            return Skew(), 0.0
        events = read_examples([parts.training_set_of(cursor, key)])
        ids = load_dataset(settings).ids
        return serving_skew(cursor, events, meaning.window(key), meaning, ids), (
            time.monotonic() - began
        )


def _planted(settings: Settings, meaning: Meaning, key: str) -> Json:
    """The day's users are answered again while one table lacks the rows of the week before and later."""
    start = meaning.window(key).start
    with transaction(settings.database_url) as cursor:
        cursor.execute("delete from lineage.impression")
        cursor.execute("delete from features.built_window where ends > %s", (start,))
        cursor.execute(
            f"delete from features.{PLANTED} where event_timestamp > %s", (start - 7 * DAY,)
        )
    answer_all(settings, meaning)
    found, _ = _compared(settings, meaning, key)
    return {"day": key, "table": PLANTED, **_told(found), "feature": found.feature} | {
        "example": found.example
    }


def _told(found: Skew) -> Json:
    return {name: getattr(found, name) for name in ("compared", "users", "differ", "late")}


@contextmanager
def _shop(begin: datetime, end: datetime) -> Iterator[Settings]:
    """Online Retail in windows of a day, cut to `[begin, end)`, in a home of its own."""
    home = Path(tempfile.mkdtemp(prefix="skew-"))
    try:
        retail = Settings.from_environment()
        source = locate(
            retail, load_dataset(retail.model_copy(update={"dataset": "online_retail"}))
        )
        cut = home / "retail.csv"
        with source.open(encoding="cp1252", newline="") as lines, cut.open(
            "w", encoding="cp1252", newline=""
        ) as file:  # fmt: skip
            file.writelines(_between(lines, begin, end))
        text = (PROJECT / "config" / "datasets" / "online_retail.toml").read_text()
        text = text.replace('length = "week"', 'length = "day"', 1)
        text = re.sub(r"^start = \S+", f"start = {begin:%Y-%m-%dT00:00:00Z}", text, flags=re.M)
        dataset = home / "online_retail.toml"
        dataset.write_text(text)
        url = embedded.ensure_running(home)
        migrate(url)
        yield Settings(home=home, database_url=url, dataset=str(dataset), data=cut)
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def _between(lines: Iterable[str], begin: datetime, end: datetime) -> Iterator[str]:
    """The header, and the lines of these days."""
    for number, line in enumerate(lines):
        found = re.search(r",(\d+/\d+/\d{4}) \d+:\d\d,", line)
        when = found and datetime.strptime(found[1], "%m/%d/%Y").replace(tzinfo=UTC)
        if not number or (when and begin <= when < end):
            yield line


if __name__ == "__main__":
    typer.run(main)
