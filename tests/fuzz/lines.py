"""Lines: in each one field, or the form of the line, is odd. A hundred are tried beside good ones.

Each must have the fate that its field asks for, whatever the others are: a broken line costs that line
and no other. A batch that as a whole fails is cut in two until the line is found.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from recloop.errors import RecloopError
from tests.fuzz import values, world
from tests.fuzz.books import faults_of, read_books
from tests.fuzz.cases import Outcome, chance, of_error, raw_error

GOOD = 150
THEMES = {
    "user": ("user",),
    "item": ("item",),
    "at": ("timestamp", "period"),
    "price": ("number", "price", "value"),
    "quantity": ("number", "value", "price"),
}
"""What the name of the rule has in it under which such a line may be quarantined."""
ALWAYS = ("undecodable_text", "unexpected_characters", "malformed_line", "overlong", "unprintable")
MALFORMED = 2
"""Lines of a batch that may be malformed: a file that has more of them is refused as a whole."""
AGAIN = 40
"""Ingests that looking for the line of a fault may take."""


@dataclass(frozen=True)
class Odd:
    """One odd line, as bytes, and what must become of it."""

    number: int
    raw: bytes
    field: str
    verdict: values.Verdict
    becomes: Any = None
    twice: bool = False
    """Whether the same line comes once more, which makes one of the two a duplicate."""
    malformed: bool = False


def odd_line(seed: int, number: int) -> Odd:
    """The line of that number."""
    dice = chance(seed, "line", number)
    moment = world.MONDAY + timedelta(seconds=dice.randrange(7 * 86_400))
    line = world.good_line(dice, moment) | {"user": f"w{number}"}
    field = dice.choice(("user", "user", "item", "at", "at", "price", "quantity", "raw", "twice"))
    if field == "twice":
        return Odd(number, raw_of(line), "twice", "must", None, twice=True)
    if field == "raw":
        return _raw(number, line, dice.randrange(7))
    text = values.field(dice, field, line[field])
    line[field] = text.text
    return Odd(number, raw_of(line), field, text.verdict, text.becomes)


def raw_of(line: world.Line) -> bytes:
    """The line as a program that knows CSV writes it."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_MINIMAL).writerow(line.values())
    text = buffer.getvalue()
    if "\r" in text:  # Python's writer does not quote it before 3.13
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(line.values())
        text = buffer.getvalue()
    return text.encode("utf-8", "surrogatepass")


def _raw(number: int, line: world.Line, form: int) -> Odd:
    """Lines whose form is odd."""
    good = raw_of(line).rstrip(b"\n")
    if form == 0:
        return Odd(number, good + b",more\n", "raw", "must not", malformed=True)
    if form == 1:
        return Odd(number, good.rpartition(b",")[0] + b"\n", "raw", "must not", malformed=True)
    if form == 2:
        return Odd(number, b"w\xff\xfe" + good[1:] + b"\n", "raw", "must not")
    if form == 3:
        return Odd(number, good.replace(b"Title", b"T\xe9\x00tle") + b"\n", "raw", "must not")
    if form == 4:
        return Odd(number, good.replace(b"Title", b"T" * 20_000) + b"\n", "raw", "may")
    if form == 5:
        return Odd(
            number, good.replace(b"Title", b'"Title', 1) + b"\n", "raw", "may", malformed=True
        )
    return Odd(number, good + b"\r\n", "raw", "must")


def file_of(seed: int, odd: Sequence[Odd]) -> tuple[bytes, dict[int, Odd]]:
    """A file of good and odd lines, mixed; and which line (1 = first) is which odd one."""
    dice = chance(seed, "line file", odd[0].number if odd else 0)
    rows: list[tuple[bytes, Odd | None]] = [
        (raw_of(line), None) for line in world.good_lines(dice, max(GOOD, len(odd) + 20))
    ]
    for one in odd:
        rows.insert(dice.randint(0, len(rows)), (one.raw, one))
        if one.twice:
            rows.append((one.raw, None))
    header = (",".join(world.COLUMNS) + "\n").encode()
    return header + b"".join(raw for raw, _ in rows), {
        n: one for n, (_, one) in enumerate(rows, 1) if one
    }


class Lines:
    """See the module."""

    name, share, batch = "line", 0.5, 100

    def __init__(self, where: world.World) -> None:
        self._world = where
        self._left = AGAIN

    def tried(self, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
        odd, malformed = [], 0
        for number in numbers:
            one = odd_line(seed, number)
            malformed += one.malformed
            if one.malformed and malformed > MALFORMED:
                one = Odd(number, *_plain(seed, number))
            odd.append(one)
        self._left = AGAIN
        yield from self._together(seed, odd)

    def _together(self, seed: int, odd: list[Odd]) -> Iterator[Outcome]:
        """Ingests them in one file; in halves, if that fails."""
        raw, places = file_of(seed, odd)
        path = self._world.place() / "shop.csv"
        path.write_bytes(raw)
        problem = self._ingested(path)
        if problem:
            if len(odd) == 1 or self._left <= 0:
                for one in odd:
                    yield Outcome(self.name, one.number, "fault", problem, repr(one.raw[:300]))
                return
            half = len(odd) // 2
            for part in (odd[:half], odd[half:]):
                self._left -= 1
                yield from self._together(seed, part)
            return
        yield from self._judged(places)

    def _ingested(self, path: Path) -> str:
        """What went wrong; empty, if all of it was done and the books add up."""
        from recloop.stages.ingest_stages import ingest_windows

        settings = self._world.settings(world.toml(), path)
        try:
            report = ingest_windows(settings)
        except RecloopError as error:
            return of_error(error) or f"the whole file is refused: {type(error).__name__}: {error}"
        except Exception as error:
            return raw_error(error)
        if report["refused"]:
            return f"the window is refused: {report['refused'][0]['message'][:600]}"
        return "; ".join(faults_of(settings.database_url)[:3])

    def _judged(self, places: dict[int, Odd]) -> Iterator[Outcome]:
        books = read_books(self._world.database_url)
        accepted = {place[1]: event for place, event in books.events.items()}
        quarantined = {place[1]: rule for place, rule in books.quarantined.items()}
        for place, one in places.items():
            event, rule = accepted.get(place), quarantined.get(place)
            problem = verdict_on(one, event, rule)
            fate = "fault" if problem else "accepted" if event else "quarantined"
            yield Outcome(
                self.name, one.number, fate, problem, repr(one.raw[:300]) if problem else ""
            )  # type: ignore[arg-type]


def _plain(seed: int, number: int) -> tuple[bytes, str, values.Verdict]:
    dice = chance(seed, "line", number)
    return raw_of(world.good_line(dice, world.MONDAY) | {"user": f"w{number}"}), "plain", "must"


def verdict_on(one: Odd, event: dict[str, Any] | None, rule: str | None) -> str:
    """What is wrong with the fate of an odd line; empty if nothing is."""
    if one.twice:  # which of the two is kept does not matter
        return "" if rule is None else f"a line that comes twice is quarantined as {rule}"
    if event is None and rule is None:
        return "the line has no fate"
    if event is not None and one.verdict == "must not":
        return f"accepted, as {_stored(one, event)!r}, though its {one.field} is unfit"
    if event is None and one.verdict == "must":
        return f"quarantined as {rule}, though nothing is wrong with its {one.field}"
    if event is None and one.field in THEMES:
        blamed = str(rule)
        if not any(theme in blamed for theme in (*THEMES[one.field], *ALWAYS)):
            return f"quarantined as {rule}, though what is odd is its {one.field}"
    if event is not None and one.becomes is not None and _stored(one, event) != one.becomes:
        return f"its {one.field} became {_stored(one, event)!r}, not {one.becomes!r}"
    return ""


def _stored(one: Odd, event: dict[str, Any]) -> Any:
    names = {"user": "user_id", "item": "item_id", "at": "event_timestamp", "quantity": "value"}
    return event.get(names.get(one.field, one.field))
