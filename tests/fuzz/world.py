"""The shop that is fuzzed: its dataset file, its good lines, and a database that is emptied between.

A database of its own for each input would cost Feast's set-up each time; rows are deleted instead, but
for what says that Feast is set up.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from recloop.database.connection import transaction
from recloop.settings import PROJECT, Settings

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
SUNDAY_NIGHT = MONDAY + timedelta(days=7)
COLUMNS = ("user", "item", "title", "at", "price", "quantity")
USERS, ITEMS = 20, 12
SHOP = """
name = "fuzzed"
[source]
kind = "{kind}"
format = "{format}"
{source}
[window]
length = "{length}"
[period]
{period}
[columns]
user = "text"
item = "text"
title = "text"
at = "time"
price = "number"
quantity = "number"
[event]
id = ["*"]
user_id = "user"
item_id = "item"
timestamp = "at"
{event}
value = "quantity"
price = "price"
type = "purchase"
[item_attributes]
name = "title"
text = ["title"]
{more}
"""
PERIOD = "start = 2024-01-01T00:00:00Z\nend = 2024-01-08T00:00:00Z"
LENIENT = """
[limits.rows]
share = 1.0
[limits.rows.shares]
missing_user = 1.0
"""
"""Shares refuse whole windows; here each line is asked about by itself."""
Line = dict[str, str]


def toml(
    kind: str = "file",
    form: str = "csv",
    source: str = "",
    length: str = "week",
    period: str = PERIOD,
    event: str = "",
    more: str = LENIENT,
) -> str:
    """A dataset file of the shop."""
    return SHOP.format(
        kind=kind, format=form, source=source, length=length, period=period, event=event, more=more
    )


def price_of(item: int) -> float:
    """The usual price of an item."""
    return 1 + item * 0.5


def good_line(dice: random.Random, moment: datetime) -> Line:
    """A line that nothing is wrong with."""
    item = dice.randrange(ITEMS)
    return {
        "user": f"u{dice.randrange(USERS)}",
        "item": f"i{item}",
        "title": f"Title {item}",
        "at": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "price": f"{price_of(item):.2f}",
        "quantity": str(dice.randint(1, 9)),
    }


def good_lines(dice: random.Random, count: int, days: int = 7) -> list[Line]:
    """Lines of the week's first days, in the order of time, no two alike."""
    step = timedelta(days=days) / count
    return [
        good_line(dice, MONDAY + n * step + timedelta(seconds=dice.randrange(30)))
        for n in range(count)
    ]


@dataclass(frozen=True)
class World:
    """A database that answers, and a folder for everything else."""

    database_url: str
    folder: Path

    def settings(self, dataset: str, data: Path | None = None) -> Settings:
        """The shop with this dataset file, in an empty home; the database is emptied."""
        self.empty()
        path = self.folder / "shop.toml"
        path.write_text(dataset, encoding="utf-8")
        return Settings(
            home=self.folder / "home",
            database_url=self.database_url,
            dataset=str(path),
            data=data,
            config=PROJECT / "config",
        )

    def place(self) -> Path:
        """A new folder for input."""
        place = self.folder / "input"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return place

    def empty(self) -> None:
        """No row in the database but what says that Feast is set up, nothing in the home."""
        shutil.rmtree(self.folder / "home", ignore_errors=True)
        with transaction(self.database_url) as cursor:
            cursor.execute("set local session_replication_role = replica")  # in any order
            cursor.execute(
                "select format('delete from %I.%I', schemaname, tablename) from pg_tables "
                "where schemaname in ('behavior', 'ledger', 'lineage', 'feast_online') "
                "or (schemaname = 'features' and tablename <> 'applied')"
            )
            cursor.execute("; ".join(statement for (statement,) in cursor.fetchall()))
