"""Deliveries: a database with accepted weeks, and one more week to deliver, clean or poisoned."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from recloop.behavior.landing import land
from recloop.config.dataset import load_dataset
from recloop.contracts import LandingReport
from recloop.database.connection import transaction
from recloop.settings import Settings
from recloop.validation.window import validate_window
from tests.conftest import copy_database
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import FORMAT, WEEKS, Line, as_text, ratings_week, shop_week, write

KINDS = ["shop in one file", "shop in a folder", "real retail"]


@dataclass
class Delivery:
    """Weeks that were accepted, and the lines of one more."""

    settings: Settings
    week: str
    clean: list[Line]
    before: list[Line]
    path: Path

    def deliver(self, content: list[Line] | bytes) -> LandingReport:
        """Put the week where the source is read, and land it."""
        if isinstance(content, list):
            content = as_text(content).encode("cp1252")
        if self.before and content:  # one file holds all weeks: the header comes once
            header, _, lines = content.partition(b"\n")
            head, _, earlier = as_text(self.before).encode("cp1252").partition(b"\n")
            content = header + b"\n" + earlier + lines if header == head else content
        self.path.write_bytes(content)
        return land(self.settings)

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with transaction(self.settings.database_url) as cursor:
            cursor.execute(statement, {"week": self.week, **values})
            return cursor.fetchall()

    def events(self) -> int:
        """Accepted events of the week."""
        return int(
            self.rows("select count(*) from behavior.event where window_key = %(week)s")[0][0]
        )

    def quarantined(self) -> dict[str, int]:
        """Lines of the last week, or of no week, by rule."""
        rows = self.rows(
            "select rule, count(*) from behavior.quarantine "
            "where window_key = %(week)s or window_key is null group by rule"
        )
        return dict(rows)


def accept_all(settings: Settings) -> None:
    """Land the source and validate every window in order."""
    land(settings)
    with transaction(settings.database_url) as cursor:
        cursor.execute("select window_key from ledger.window order by starts")
        keys = [row[0] for row in cursor.fetchall()]
    for key in keys:
        validate_window(settings, key)


@pytest.fixture(scope="session")
def templates(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Delivery]:
    """What was made so far, by kind."""
    return {}


@pytest.fixture
def delivery(
    request: pytest.FixtureRequest,
    server_url: str,
    templates: dict[str, Delivery],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> Iterator[Delivery]:
    """A delivery of the kind `request.param`, on a database of its own."""
    kind = str(request.param)
    if kind not in templates:
        folder = tmp_path_factory.mktemp("source")
        settings = Settings(home=folder, database_url=copy_database(server_url))
        if kind == "real retail":
            templates[kind] = _real(settings, folder, request.getfixturevalue("retail_csv"))
        else:
            templates[kind] = _made(kind, settings, folder)
        accept_all(templates[kind].settings)
    made = templates[kind]
    before = made.path.read_bytes() if made.path.exists() else None
    url = copy_database(server_url, made.settings.database_url.partition("?")[0].rsplit("/", 1)[1])
    yield Delivery(
        made.settings.model_copy(update={"home": tmp_path, "database_url": url}),
        made.week,
        made.clean,
        made.before,
        made.path,
    )
    if before is None:
        made.path.unlink(missing_ok=True)
    else:
        made.path.write_bytes(before)


def _made(kind: str, settings: Settings, folder: Path) -> Delivery:
    weeks = {week: shop_week(week) for week in WEEKS}
    if kind == "ratings":
        weeks = {week: ratings_week(week, n) for n, week in enumerate(WEEKS)}
        settings = settings.model_copy(update={"dataset": "movielens"})
    clean = weeks.pop(WEEKS[-1])
    if kind == "shop in a folder":
        settings = customised(settings, "online_retail", folder, source={"kind": "folder"})
        data = folder / "incoming"
        for week, lines in weeks.items():
            write(data / f"{week}.csv", lines)
        return Delivery(
            settings.model_copy(update={"data": data}), WEEKS[-1], clean, [], data / "last.csv"
        )
    before = [line for lines in weeks.values() for line in lines]
    path = write(folder / "all.csv", before)
    return Delivery(settings.model_copy(update={"data": path}), WEEKS[-1], clean, before, path)


def _real(settings: Settings, folder: Path, retail: Path, weeks: int = 14) -> Delivery:
    """The first weeks of the real file, one file each; the last is the one to deliver."""
    calendar = load_dataset(settings).calendar
    by_week: dict[str, list[Line]] = {}
    with retail.open(encoding="cp1252", newline="") as stream:
        for line in csv.DictReader(stream):
            moment = datetime.strptime(line["InvoiceDate"] + "+0000", FORMAT + "%z")
            key = calendar.at(moment).key
            if key not in by_week and len(by_week) == weeks:
                break
            by_week.setdefault(key, []).append(line)
    last = max(by_week)
    clean = by_week.pop(last)
    settings = customised(settings, "online_retail", folder, source={"kind": "folder"})
    data = folder / "incoming"
    for week, lines in by_week.items():
        write(data / f"{week}.csv", lines)
    return Delivery(
        settings.model_copy(update={"data": data}), last, clean, [], data / f"{last}.csv"
    )
