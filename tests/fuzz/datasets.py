"""Dataset files. What cannot be used must be refused when the file is read: whatever is accepted has to
read a line, judge it in PostgreSQL, and tell Airflow when its windows are due.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from recloop.database.connection import transaction
from recloop.errors import BadData, RecloopError
from tests.fuzz import world
from tests.fuzz.cases import Outcome, chance, of_error, raw_error
from tests.fuzz.toml_text import written
from tests.fuzz.values import listed

Change = tuple[str, str, Any]
"""Section, key, value; no section: of the file itself."""


def of(section: str, key: str, *values: Any) -> tuple[Change, ...]:
    """The key with each of the values."""
    return tuple((section, key, value) for value in values)


GOOD: tuple[Change, ...] = (
    *of("source", "encoding", *listed("utf-8 cp1252 latin-1 utf-16 ascii shift_jis UTF8")),
    *of("source", "delimiter", ";", "\t", "|", "::"),
    *of("source", "header", False),
    *of("window", "length", "day", "week"),
    *of("window", "warm_up", 3),
    *of("event", "timestamp_format", *listed("iso unix unix_ms %d/%m/%Y %Y-%m-%dT%H:%M:%S%z")),
    *of("event", "timezone", *listed("UTC Europe/London Asia/Kolkata America/St_Johns")),
    *of("event", "ordered", True),
    *of("event", "type", "view"),
    *of("event", "id", ["user", "item", "at"]),
    *of("rules", "user_pattern", "^u[0-9]+$", r"^\w{1,30}$", "^(a|u).*$", "[^ ]+"),
    *of("rules", "price_between", [0.01, 1e6]),
    *of("rules", "positive_price", True),
    *of("limits.rows", "share", 0.5),
    *of("limits.fixed", "lines_per_day", [0.1, 1e9]),
)
BAD: tuple[Change, ...] = (
    *of("source", "encoding", "zip", "rot13", "hex", "base64", "nope", "", "idna", "punycode", 3),
    *of("source", "delimiter", "", "\n", '"', "\r", 1),
    *of("source", "kind", "stream", 1, ""),
    *of("source", "format", "xlsx", "", True),
    *of("source", "table", "x; drop table y"),
    *of("source", "kindd", "file"),
    *of("window", "length", "month", "", 7, "Day ", "hour?"),
    *of("window", "warm_up", 0, -1, 1.5, "two"),
    *of("window", "colour", "red"),
    *of(
        "event", "timestamp_format", "%Y-%m-%d %Z", *listed("%Q %Z % %H:%M YYYY-MM-DD %Y%Y"), "", 5
    ),
    *of("event", "timezone", "Mars/Olympus", "", "../etc/passwd", 3, "Europe/"),
    *of("event", "user_id", "nowhere", 3),
    *of("event", "item_id", "nowhere", ["item"]),
    *of("event", "timestamp", "nowhere", True),
    *of("event", "price", "nowhere", "user"),
    *of("event", "value", "nowhere", "title"),
    *of("event", "type_column", "nowhere"),
    *of("event", "id", ["nowhere"], "user"),
    *of("rules", "user_pattern", *listed(r"( [ * (?P<n>a) a++ (?<=a)b(?P=x) \ a{1,99999} (?i"), 3),
    *of("rules", "price_between", [1.0], "1-5"),
    *of("rules", "price_betwen", [0.0, 1.0]),
    *of("period", "start", "soon", 3, "2024-13-01"),
    *of("columns", "price", "decimal"),
    *of("columns", "extra", ""),
    *of("limits.rows", "shares", 3),
    *of("limits.rows", "nothing", 1.0),
    *of("limits.window", "nothing", 1.0),
    *of("limits.window", "volume_ratio", [0.1, 9.0]),
    *of("limits.fixed", "lines_per_day", ["a", "b"], [5.0, 1.0]),
    *of("", "nam", "shop"),
    *of("", "name", 3),
    *of("", "columns", "user, item"),
    *of("", "event", [1, 2]),
)
MAY: tuple[Change, ...] = (
    *of("source", "encoding", "utf-7", "utf_8_sig"),
    *of("source", "pattern", "/etc/*", "../*", "**", "[", ""),
    *of("source", "path", "\0", "x" * 5000),
    *of("event", "timestamp_format", "%s", "%d.%m.%y", "%I:%M %p %d %b %Y", "%j %Y"),
    *of("event", "type", "", "\x1b[2J"),
    *of(
        "event", "learn_from", {"types": []}, {"types": ["purchase"], "minimum_value": float("nan")}
    ),
    *of(
        "rules",
        "user_pattern",
        "(?i)^U",
        "^a*?$",
        r"\bu",
        "(" * 40 + "u" + ")" * 40,
        "a{2",
        "(?=u)u",
    ),
    *of("rules", "price_between", [5.0, 1.0], [float("-inf"), float("inf")]),
    *of("window", "warm_up", 10**18),
    *of("limits.rows", "share", -1.0, 5.0),
    *of("limits.window", "trailing_windows", -3, 10**12),
    *of("limits.windows", "share", 1.0),
    *of("item_attributes", "text", [], ["price"]),
    *of("", "name", "", "x" * 5000, "a\x1b[2Jb", "../x"),
)


def document(dice: random.Random) -> tuple[dict[str, Any], bool | None, list[Change]]:
    """A dataset file, whether it can be used (None: nobody knows), and how it was changed."""
    made = tomllib.loads(world.toml())
    changes: list[Change] = []
    fine: bool | None = True
    for _ in range(dice.randint(0, 3)):
        draw = dice.random()
        choice = GOOD if draw < 0.5 else BAD if draw < 0.85 else MAY
        section, key, value = dice.choice(choice)
        if any(change[:2] == (section, key) for change in changes):
            continue
        changes.append((section, key, value))
        if choice is BAD:
            fine = False
        elif choice is MAY and fine:
            fine = None
        where = made
        for part in section.split(".") if section else ():
            where = where.setdefault(part, {})
            if not isinstance(where, dict):
                return made, False, changes
        where[key] = value
    return made, fine, changes


class Datasets:
    """See the module."""

    name, share, batch = "dataset", 0.12, 250

    def __init__(self, where: world.World) -> None:
        self._world = where

    def tried(self, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
        for number in numbers:
            dice = chance(seed, self.name, number)
            made, fine, changes = document(dice)
            raw, intact = written(made, dice, 0.1)
            fate, problem = "accepted", ""
            try:
                self._use(raw, number)
            except RecloopError as error:
                fate, problem = "refused", of_error(error)
                if intact and fine and not problem:
                    problem = f"refused, though nothing is wrong with it: {error}"
            except Exception as error:
                problem = raw_error(error)
            if fate == "accepted" and intact and fine is False and not problem:
                problem = "accepted, though a value of it cannot be used"
            fate = "fault" if problem else fate
            shown = f"the shop's dataset file with {changes}" if intact else repr(raw[-300:])
            yield Outcome(self.name, number, fate, problem, shown)  # type: ignore[arg-type]

    def _use(self, raw: bytes, number: int) -> None:
        """Reads the file as the stages, the limits and the DAG files do; a sixth of them read lines."""
        from recloop.behavior.landing import land
        from recloop.config.dataset import load_dataset
        from recloop.config.limits import load_limits
        from recloop.config.rules import read_schedule
        from recloop.settings import Settings

        path = self._world.folder / "fuzzed.toml"
        path.write_bytes(raw)
        place = self._world.place()
        lines = world.good_lines(random.Random(number), 20)
        settings = Settings(
            home=self._world.folder / "home",
            database_url=self._world.database_url,
            dataset=str(path),
            data=place / "shop.csv",
        )
        spec = load_dataset(settings)
        load_limits(settings, spec)
        read_schedule(settings)
        patterns = (spec.rules.user_pattern, spec.rules.item_pattern, spec.rules.text_pattern)
        with transaction(self._world.database_url) as cursor:
            for pattern in filter(None, patterns):
                cursor.execute("select 'u1' ~ %s", (pattern,))
        if number % 6:
            return
        if spec.source.kind == "folder":
            settings = settings.model_copy(update={"data": place})
        text = spec.source.delimiter.join(world.COLUMNS) + "\n"
        text += "".join(spec.source.delimiter.join(line.values()) + "\n" for line in lines)
        (place / "shop.csv").write_bytes(text.encode(spec.source.encoding, "replace"))
        self._world.empty()
        with suppress(BadData):  # the lines are not written in every way that a file may ask for
            land(settings)
