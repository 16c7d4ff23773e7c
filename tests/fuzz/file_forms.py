"""Whole files: forms, encodings, types of columns, damage, and lines of `values.py` among good ones.

Belongs here: making them. Keep out: ingesting them (see `files.py`).
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fuzz import values, world
from tests.fuzz.cases import chance


@dataclass
class Made:
    """A file, or some, and what is known of it.

    Attributes:
        dataset: the dataset file that goes with it.
        files: name → content.
        clean: whether every line of it must be accepted.
        lines: how many lines it has; None: nobody knows.
        undated: whether most lines are of no plausible time, so that the file must be refused.
        users: ids of all users that it may make; empty: any.
        told: how it was made.
    """

    dataset: str
    files: dict[bytes, bytes] = field(default_factory=dict)
    clean: bool = True
    lines: int | None = None
    undated: bool = False
    users: frozenset[str] = frozenset()
    told: str = ""


def made_file(seed: int, number: int) -> Made:
    """The file of that number."""
    dice = chance(seed, "file", number)
    days = dice.choice((1, 1, 1, 2))
    lines = world.good_lines(dice, dice.choice((30, 60, 60, 120)), days)
    odd = 0 if dice.random() < 0.35 else dice.choice((1, 2, 3, len(lines) // 2))
    for _ in range(odd):
        at = dice.choice(("user", "item", "at", "price", "quantity"))
        line = dice.choice(lines)
        line[at] = values.field(dice, at, line[at]).text
    made = dice.choices(FORMS, [form.weight for form in FORMS])[0].make(dice, lines, days)
    made.clean = made.clean and not odd
    made.told += f"; {odd} odd lines" if odd else ""
    if dice.random() < 0.25:
        _damage(dice, made)
    return made


@dataclass(frozen=True)
class Form:
    make: Callable[[random.Random, list[world.Line], int], Made]
    weight: float


def _window(dice: random.Random) -> str:
    return dice.choice(("day", "week"))


def _csv(dice: random.Random, lines: list[world.Line], days: int) -> Made:
    del days
    delimiter = dice.choice((",", ",", ";", "\t", "|"))
    encoding = dice.choice(("utf-8", "utf-8", "utf-8-sig", "cp1252", "utf-16", "latin-1"))
    end = dice.choice(("\n", "\n", "\r\n", "\r"))
    header = dice.random() < 0.8
    order = list(world.COLUMNS)
    if header and dice.random() < 0.3:
        dice.shuffle(order)
    bare = any("\r" in value for line in lines for value in line.values())  # else never quoted
    quoting = csv.QUOTE_ALL if bare else dice.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=quoting)
    if header:
        writer.writerow(order)
    writer.writerows([line[name] for name in order] for line in lines)
    clean = end != "\r"
    source = f'encoding = "{encoding.replace("-sig", "")}"\ndelimiter = {json.dumps(delimiter)}'
    source += "" if header else "\nheader = false"
    content = buffer.getvalue().encode(encoding, "replace")
    told = f"CSV, {encoding}, {delimiter!r}, {end!r}, {'with' if header else 'without'} header"
    name = b"shop.csv"
    if dice.random() < 0.15:
        content, name, told = gzip.compress(content), b"shop.csv.gz", told + ", gzip"
        clean = False  # refused with a word, or read
    dataset = world.toml(source=source, length=_window(dice))
    return Made(dataset, {name: content}, clean, len(lines) if clean else None, told=told)


def _unix(dice: random.Random, lines: list[world.Line], days: int) -> Made:
    del days
    unit = dice.choice(("unix", "unix_ms"))
    undated = False
    for line in lines:
        try:
            seconds = datetime.fromisoformat(line["at"]).timestamp()
        except ValueError:
            continue
        line["at"] = str(int(seconds * (1000 if unit == "unix_ms" else 1)))
    if dice.random() < 0.2:  # the other unit: dates nowhere
        unit, undated = ("unix" if unit == "unix_ms" else "unix_ms"), True
    dataset = world.toml(event=f'timestamp_format = "{unit}"', length=_window(dice))
    files = {b"shop.csv": _text(lines)}
    return Made(dataset, files, not undated, len(lines), undated, told=f"CSV, {unit}")


def _local(dice: random.Random, lines: list[world.Line], days: int) -> Made:
    """Times of a zone, in a form of strptime."""
    del days
    zone, form = (
        dice.choice(("UTC", "Asia/Kolkata", "America/New_York")),
        dice.choice(
            ("%d/%m/%Y %H:%M:%S", "%Y%m%d%H%M%S", "%b %d %Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%S%z")
        ),
    )
    for line in lines:
        with contextlib.suppress(ValueError):
            line["at"] = datetime.fromisoformat(line["at"]).strftime(form)
    event = f'timestamp_format = "{form}"\ntimezone = "{zone}"'
    dataset = world.toml(event=event, period=LIVE, length=_window(dice))
    return Made(dataset, {b"shop.csv": _text(lines)}, True, len(lines), told=f"CSV, {form}, {zone}")


LIVE = "end = 2024-02-01T00:00:00Z"


def _folder(dice: random.Random, lines: list[world.Line], days: int) -> Made:
    del days
    parts = [lines[n::3] for n in range(3)]
    names = dice.sample(
        [b"a.csv", b"b c.csv", "é.csv".encode(), b"\xff.csv", b"x'y.csv", b"{z}.csv"], 3
    )
    files = dict(zip(names, map(_text, parts), strict=True))
    if dice.random() < 0.3:
        files[b".hidden.csv"] = b"junk"
        files[b"note.txt"] = b"junk"
    return Made(
        world.toml("folder", length=_window(dice)), files, True, len(lines), told=f"folder, {names}"
    )


def _parquet(dice: random.Random, lines: list[world.Line], days: int) -> Made:
    import pyarrow as pa
    import pyarrow.parquet as pq

    del days
    columns: dict[str, Any] = {name: [line[name] for line in lines] for name in world.COLUMNS}
    told, clean, users = [], True, frozenset[str]()
    if dice.random() < 0.5:  # ids of a warehouse: numbers, with gaps
        first = dice.choice((1, 10**6, 2**53 + 1, 1_700_000_000_000_000_001))
        width = pa.uint64() if dice.random() < 0.3 else pa.int64()
        columns["user"] = pa.array([first + n % 20 for n in range(len(lines))], width)
        users = frozenset(str(first + n) for n in range(20))
        told.append(f"{width} ids from {first}")
        if dice.random() < 0.5:
            gaps = columns["user"].to_pylist()
            gaps[dice.randrange(len(gaps))], clean = None, False
            columns["user"] = pa.array(gaps, width)
            told.append("one null")
    if dice.random() < 0.5:
        with contextlib.suppress(ValueError):
            moments = [datetime.fromisoformat(text) for text in columns["at"]]
            unit, zone = (
                dice.choice(("s", "ms", "us", "ns")),
                dice.choice((None, "UTC", "Asia/Tokyo")),
            )
            if zone is None:
                moments = [moment.replace(tzinfo=None) for moment in moments]
            columns["at"] = pa.array(moments, pa.timestamp(unit, zone))
            told.append(str(columns["at"].type))
    if dice.random() < 0.5:
        with contextlib.suppress(ValueError):
            columns["price"] = [float(text) for text in columns["price"]]
            columns["quantity"] = [int(text) for text in columns["quantity"]]
            told.append("numbers")
    if dice.random() < 0.3:
        name, column, kind = _strange(dice, lines)
        columns[name], clean = column, False
        users = frozenset() if name == "user" else users
        told.append(f"{name}: {kind}")
    buffer = io.BytesIO()
    try:
        table = pa.table(columns)
    except (pa.ArrowException, UnicodeEncodeError):
        return _csv(dice, lines, 1)
    pq.write_table(table, buffer, compression=dice.choice(("snappy", "zstd", "none")))
    dataset = world.toml(form="parquet", length=_window(dice))
    files = {b"shop.parquet": buffer.getvalue()}
    return Made(dataset, files, clean, len(lines), users=users, told=f"Parquet, {told}")


def _strange(dice: random.Random, lines: list[world.Line]) -> tuple[str, Any, str]:
    """A column of a type that a line of text has not."""
    import decimal

    import pyarrow as pa

    count = len(lines)
    far = [datetime(9999, 12, 31), datetime(1, 1, 1)]
    columns: tuple[tuple[str, Any], ...] = (
        ("user", pa.array([["a", "b"]] * count)),
        ("item", pa.array([{"id": n} for n in range(count)])),
        ("user", pa.array([f"u{n % 9}" for n in range(count)]).dictionary_encode()),
        ("price", pa.array([decimal.Decimal("2.50")] * count)),
        ("quantity", pa.array([n % 2 == 0 for n in range(count)])),
        ("title", pa.array([b"\xff\xfe"] * count, pa.binary())),
        ("user", pa.array([float(n % 7) for n in range(count)])),
        ("price", pa.array([float("nan"), float("inf")] + [2.0] * (count - 2))),
        ("title", pa.array(["a\0b"] + ["Title"] * (count - 1))),
        ("at", pa.array(far + [datetime(2024, 1, 1, 9)] * (count - 2))),
        ("item", pa.nulls(count)),
        ("price", pa.array([timedelta(seconds=3)] * count)),
        ("user", pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * count)),
    )
    column = dice.choice(columns)
    return column[0], column[1], str(column[1].type)


def _json_lines(dice: random.Random, lines: list[world.Line], days: int) -> Made:
    """Refused with a word, or read where the dataset file can say so."""
    del days
    text = "".join(json.dumps(line) + "\n" for line in lines)
    name = dice.choice((b"shop.csv", b"shop.jsonl", b"shop.json"))
    content = json.dumps(lines) if dice.random() < 0.3 else text
    return Made(world.toml(), {name: content.encode()}, False, told="JSON")


def _nothing(dice: random.Random, lines: list[world.Line], days: int) -> Made:
    del days
    header, text = _text([]), _text(lines)
    content = dice.choice(
        (
            b"", b"\n", b"\r\n", b"\xef\xbb\xbf", b"\0" * 1000, header, header * 3, b"x" * 100_000,
            b"PK\x03\x04" + b"\0" * 100, b"<html><body>502</body></html>", b"\x1f\x8b\x08\x00",
            b"PAR1", b"PAR1\0\0\0\0PAR1",
            b"a,b\n1,2\n", text.replace(b"user", b"item", 1), text.replace(b"quantity", b"quantity,", 1),
            bytes(dice.randrange(256) for _ in range(2000)), b'"' * 999, b"\n" * 5000,
        )
    )  # fmt: skip
    form = dice.choice(("csv", "csv", "parquet"))
    return Made(
        world.toml(form=form), {b"shop." + form.encode(): content}, False, told="no such file"
    )


FORMS = (
    Form(_csv, 5),
    Form(_unix, 1.5),
    Form(_local, 1),
    Form(_folder, 1.5),
    Form(_parquet, 4),
    Form(_json_lines, 0.5),
    Form(_nothing, 1.5),
)


def _text(lines: list[world.Line]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(world.COLUMNS)
    writer.writerows(line.values() for line in lines)
    return buffer.getvalue().encode("utf-8", "replace")


def _damage(dice: random.Random, made: Made) -> None:
    """What happens to files on their way."""
    name = dice.choice(sorted(made.files))
    raw = bytearray(made.files[name])
    if not raw:
        return
    form = dice.randrange(5)
    if form == 0:
        raw = raw[: dice.randrange(len(raw))]
    elif form == 1:
        for _ in range(dice.choice((1, 1, 5, 50))):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
    elif form == 2:
        raw = raw + raw[dice.randrange(len(raw)) :]
    elif form == 3:
        at = dice.randrange(len(raw))
        raw[at:at] = bytes(dice.choice((0, 13, 34, 255)) for _ in range(dice.choice((1, 3))))
    else:
        at = dice.randrange(len(raw))
        del raw[at : at + dice.choice((1, 10, 500))]
    made.files[name] = bytes(raw)
    made.clean, made.lines, made.undated, made.users = False, None, False, frozenset()
    made.told += f"; damaged ({form})"
