"""A small seeded shop in the form of Online Retail, and MovieLens-like ratings: inputs of tests.

Belongs here: clean lines and writing them as files. Keep out: poisons
(`tests/recloop/validation/poisons.py`). Customers buy mostly their favourites, every hour from 8 to
17 on every day but Saturday.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

COLUMNS = [
    "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID",
    "Country",
]  # fmt: skip
WEEKS = ["2011-01-10", "2011-01-17", "2011-01-24", "2011-01-31", "2011-02-07"]
LAST = WEEKS[-1]
HOURS = range(8, 17)
FORMAT = "%m/%d/%Y %H:%M"
Line = dict[str, str]


def shop_week(monday: str, seed: int = 7) -> list[Line]:
    """The lines of one week, in the order of time: 6 open days of 9 hours with 16 lines each."""
    shelf = random.Random(seed)
    items = [
        (f"{20_000 + n}", f"ITEM NUMBER {n}", round(shelf.uniform(0.5, 15), 2)) for n in range(80)
    ]
    favourites = {f"{12_000 + n}": shelf.sample(items, 8) for n in range(60)}
    chance = random.Random(f"{seed} {monday}")
    start = date.fromisoformat(monday)
    lines, invoice = [], 500_000 + start.toordinal() % 1000 * 500
    for day in range(7):
        if day == 5:
            continue
        for hour in HOURS:
            for _ in range(4):
                invoice += 1
                customer = chance.choice(sorted(favourites))
                moment = datetime(start.year, start.month, start.day, hour) + timedelta(
                    days=day, minutes=invoice % 15 * 4
                )
                basket = [*chance.sample(favourites[customer], 3), chance.choice(items)]
                for code, text, price in basket:
                    lines.append(
                        {
                            "InvoiceNo": str(invoice),
                            "StockCode": code,
                            "Description": text,
                            "Quantity": str(chance.randint(1, 12)),
                            "InvoiceDate": moment.strftime(FORMAT),
                            "UnitPrice": f"{price:.2f}",
                            "CustomerID": customer,
                            "Country": "United Kingdom",
                        }
                    )
    # the same basket may hold an item twice: make that one line
    unique = {tuple(line.values()): line for line in lines}
    return sorted(unique.values(), key=lambda line: datetime.strptime(line["InvoiceDate"], FORMAT))


def ratings_week(monday: str, number: int, seed: int = 7) -> list[Line]:
    """One of 6 weeks of ratings: each of 50 users rates each of 72 films once in these weeks."""
    chance = random.Random(seed)
    pairs = [(user, film) for user in range(1, 51) for film in range(1, 73)]
    chance.shuffle(pairs)
    share = len(pairs) // 6
    start = datetime.fromisoformat(monday).replace(tzinfo=UTC)
    rows = []
    for n, (user, film) in enumerate(pairs[number * share : (number + 1) * share]):
        moment = start + n * timedelta(days=7) / share
        rows.append(
            {
                "userId": str(user),
                "movieId": str(film),
                "rating": str(chance.choice([2.0, 3.0, 3.5, 4.0, 5.0])),
                "timestamp": str(int(moment.timestamp())),
            }
        )
    return rows


def as_text(lines: Sequence[Line], delimiter: str = ",", header: bool = True) -> str:
    """The lines as CSV (or joined by a longer delimiter, without quotes)."""
    names = list(lines[0]) if lines else COLUMNS
    rows = [names] * header + [[line[name] for name in names] for line in lines]
    if len(delimiter) > 1:
        return "".join(delimiter.join(row) + "\n" for row in rows)
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def write(path: Path, lines: Sequence[Line], encoding: str = "cp1252") -> Path:
    """Write the lines as a CSV with a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_text(lines).encode(encoding))
    return path
