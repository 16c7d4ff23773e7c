"""Lines that a setting, or the clock, had put into the quarantine come back when it is mended."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recloop.behavior.landing import land
from recloop.database.connection import transaction
from recloop.settings import Settings
from recloop.stages import ingest_stages
from recloop.stages.status import count_lines
from recloop.validation import window
from recloop.validation.again import Again, judge_again
from recloop.validation.window import validate_window
from tests.recloop.behavior.datasets import as_toml

pytestmark = pytest.mark.slow

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 6, 1, tzinfo=UTC)
DATASET: dict[str, Any] = {
    "name": "mended",
    "source": {"kind": "folder"},
    "window": {"length": "day", "zone": "UTC"},
    "period": {"start": FIRST, "end": FIRST + timedelta(days=10)},
    "columns": {"ts": "time", "user": "text", "item": "text", "price": "number", "note": "text"},
    "event": {"user_id": "user", "item_id": "item", "timestamp": "ts", "price": "price"},
}
Line = dict[str, str]


class Shop:
    """A folder of files, its dataset file, clock and database; Great Expectations is left out."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.folder, self.now = folder, NOW
        (folder / "data").mkdir()
        self.settings = settings.model_copy(
            update={"dataset": str(folder / "mended.toml"), "data": folder / "data"}
        )
        self.declare()

    def declare(self, **sections: dict[str, Any]) -> None:
        """Write the dataset file anew, the sections merged into `DATASET`."""
        merged = {k: {**v, **sections.get(k, {})} if isinstance(v, dict) else v
                  for k, v in DATASET.items()}  # fmt: skip
        merged |= {k: v for k, v in sections.items() if k not in DATASET}
        (self.folder / "mended.toml").write_text(as_toml(merged))

    def deliver(self, name: str, lines: list[Line]) -> None:
        rows = [",".join(DATASET["columns"]), *(",".join(line.values()) for line in lines)]
        (self.folder / "data" / name).write_text("\n".join(rows) + "\n")

    def ingest(self) -> tuple[Again, int]:
        """What was judged again, and how many of these lines were accepted."""
        land(self.settings, as_of=self.now)
        again = judge_again(self.settings, self.now)
        self.check()
        keys = self.rows("select window_key from ledger.window order by 1")
        accepted = sum(validate_window(self.settings, key).returned for (key,) in keys)
        self.check()
        assert self.rows("select * from behavior.returned") == []
        return again, accepted

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with transaction(self.settings.database_url) as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def quarantined(self) -> dict[str, int]:
        return dict(self.rows("select rule, count(*) from behavior.quarantine group by 1"))

    def events(self) -> int:
        return int(self.rows("select count(*) from behavior.event")[0][0])

    def check(self) -> None:
        """The books add up, and each line and each event is in one place."""
        count_lines(self.settings)
        places = "event", "quarantine", "landing"
        lines = " union all ".join(f"select file_id, line_no from behavior.{t}" for t in places)
        assert not self.rows(
            f"select 1 from ({lines}) l group by file_id, line_no having count(*) > 1"
        )
        assert not self.rows("select 1 from behavior.event group by event_id having count(*) > 1")
        assert not self.rows(
            "select window_key from ledger.window w where quarantined <> (select coalesce("
            "jsonb_object_agg(rule, n), '{}') from (select rule, count(*) as n from "
            "behavior.quarantine q where q.window_key = w.window_key group by 1) counted) "
            "or accepted <> (select count(*) from behavior.event e where e.window_key = w.window_key) "
            "or lines <> accepted + duplicates + (select count(*) from behavior.quarantine q "
            "where q.window_key = w.window_key)"
        )


@pytest.fixture
def shop(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(window, "_judge", lambda *_: [])
    monkeypatch.setattr(window, "write_validation_page", lambda *_: None)
    return Shop(settings, tmp_path)


def lines(
    count: int = 60, day: int = 0, days: int = 2, form: str = "%Y-%m-%dT%H:%M:%S"
) -> list[Line]:
    """So many lines, spread evenly over `days` days from the `day`-th on."""
    found = []
    for n in range(count):
        moment = FIRST + timedelta(days=day) + n * timedelta(days=days) / count
        time = str(int(moment.timestamp() * 1000)) if form == "ms" else moment.strftime(form)
        found.append({"ts": time, "user": f"u{n % 7}", "item": f"i{n % 11}", "price": f"{n % 5 + 1}.5",
                      "note": f"{day} {n}"})  # fmt: skip
    return found


def test_times_in_another_unit_come_back_when_the_unit_is_mended(shop: Shop) -> None:
    shop.declare(event={"timestamp_format": "unix"})
    shop.deliver("a.csv", lines(form="ms"))
    assert shop.ingest() == (Again(), 0)
    shop.declare(event={"timestamp_format": "unix_ms"})
    shop.ingest()
    assert (shop.events(), shop.quarantined()) == (60, {})


def test_lines_of_the_future_come_back_when_their_time_has_come(shop: Shop) -> None:
    shop.now = FIRST + timedelta(days=1)
    shop.deliver("a.csv", lines())
    shop.ingest()
    assert (shop.events(), shop.quarantined()) == (31, {"future_timestamp": 29})
    shop.now = FIRST + timedelta(days=1, hours=12)
    assert shop.ingest() == (Again(15), 15)
    assert shop.quarantined() == {"future_timestamp": 14}
    (shop.folder / "data" / "a.csv").unlink()  # what the quarantine keeps is enough
    shop.now = NOW
    assert shop.ingest() == (Again(14), 14)
    assert (shop.events(), shop.quarantined()) == (60, {})
    assert shop.ingest() == (Again(), 0)


MENDED: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "a period": ({"period": {"end": FIRST + timedelta(days=1)}}, "outside_period", {}),
    "a user's pattern": ({"rules": {"user_pattern": "^u[0-3]$"}}, "malformed_user", {}),
    "a price's bound": ({"rules": {"price_between": [2.0, 9.0]}}, "price_out_of_range", {}),
    "who is nobody": ({"ids": {"nobody": ["u1"]}}, "missing_user", {}),
    "how numbers are written": ({"source": {"numbers": "1234,5"}}, "unparseable_number", {}),
    "a column's type": (
        {"columns": {"price": "text", "note": "number"}, "event": {"price": "note"}},
        "unparseable_number",
        {},
    ),
}


@pytest.mark.parametrize("what", MENDED)
def test_what_a_setting_had_quarantined_comes_back_and_is_told(shop: Shop, what: str) -> None:
    wrong, rule, right = MENDED[what]
    shop.declare(**wrong)
    shop.deliver("a.csv", lines())
    shop.deliver("b.csv", lines(20, day=1, days=1))
    shop.ingest()
    broken = shop.quarantined()[rule]
    assert broken > 0
    assert shop.events() == 80 - broken
    shop.declare(**right)
    assert shop.ingest() == (Again(broken), broken)
    assert (shop.events(), shop.quarantined()) == (80, {})
    assert shop.ingest() == (Again(), 0)


def test_the_look_of_every_hour_finds_what_was_mended(shop: Shop) -> None:
    shop.declare(rules={"user_pattern": "^u[0-3]$"})
    shop.deliver("a.csv", lines())
    shop.ingest()
    shop.declare()
    assert ingest_stages.arrivals(shop.settings) == []
    assert ingest_stages.judge_again(shop.settings) == Again(24)
    assert ingest_stages.arrivals(shop.settings) == ["2024-01-01", "2024-01-02"]


def test_a_rule_that_still_catches_a_line_keeps_it_under_its_own_name(shop: Shop) -> None:
    shop.declare(rules={"user_pattern": "^u[0-3]$"})
    shop.deliver("a.csv", lines())
    shop.ingest()
    assert shop.quarantined() == {"malformed_user": 24}  # u4, u5, u6: 8 each
    shop.declare(rules={"user_pattern": "^u[0-4]$", "item_pattern": "^i[0-4]$"})
    again, accepted = shop.ingest()
    assert again == Again(24)
    # of 24, by n % 7 in 4..6 and n % 11: written out
    kept = [n for n in range(60) if n % 7 > 3]
    users = [n for n in kept if n % 7 > 4]
    items = [n for n in kept if n % 7 == 4 and n % 11 > 4]
    assert shop.quarantined() == {"malformed_user": len(users), "non_product_item": len(items)}
    assert accepted == len(kept) - len(users) - len(items)


def test_lines_that_wait_are_read_again_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.declare(
        event={"timestamp_format": "%Y-%d-%m"}, period={"end": datetime(2025, 1, 1, tzinfo=UTC)}
    )
    shop.now = datetime(2025, 1, 1, tzinfo=UTC)
    shop.deliver("a.csv", lines(days=5, form="%Y-%m-%d"))  # dated to the first of five months
    land(shop.settings, as_of=shop.now)
    assert len(shop.rows("select 1 from ledger.window where state = 'landed'")) > 5
    shop.declare(event={"timestamp_format": "%Y-%m-%d"})
    shop.ingest()
    assert shop.events() == 60
    found = shop.rows("select window_key, accepted from ledger.window order by 1")
    assert found == [(f"2024-01-0{n}", 12) for n in range(1, 6)]


def test_what_cannot_be_read_again_says_so_until_the_file_is_back(shop: Shop) -> None:
    shop.declare(columns={"price": "text", "note": "number"}, event={"price": "note"})
    shop.deliver("a.csv", lines())
    shop.ingest()
    assert shop.quarantined() == {"unparseable_number": 60}
    file = shop.folder / "data" / "a.csv"
    content = file.read_bytes()
    file.unlink()
    shop.declare()
    for _ in range(2):
        again, _ = shop.ingest()
        assert again.lines == 0
        assert "60 lines of a.csv were read under other settings" in again.stuck[0]
        assert "put it back" in again.stuck[0]
    file.write_bytes(content)
    assert shop.ingest() == (Again(60), 60)


def test_numbers_that_would_be_those_of_other_lines_are_left_alone(shop: Shop) -> None:
    shop.declare(rules={"user_pattern": "^u[0-3]$"})
    shop.deliver("a.csv", lines())
    shop.ingest()
    shop.declare(source={"header": False})
    again, accepted = shop.ingest()
    assert (again.lines, accepted, shop.events()) == (0, 0, 36)
    assert "a.csv has 61 lines" in again.stuck[0]


def test_more_lines_than_may_be_late_come_back_since_they_were_never_late(shop: Shop) -> None:
    shop.declare(rules={"user_pattern": "^u0$"})
    shop.deliver("a.csv", lines(400, days=1))
    shop.ingest()
    events = shop.events()
    assert events < 60
    shop.declare()
    assert shop.ingest() == (Again(400 - events), 400 - events)


def test_what_comes_back_to_a_window_that_was_learnt_is_a_late_part(shop: Shop) -> None:
    shop.declare(rules={"user_pattern": "^u[0-3]$"})
    shop.deliver("a.csv", lines(days=1))
    shop.ingest()
    with transaction(shop.settings.database_url) as cursor:
        cursor.execute("update ledger.part set taught_at = now()")
    shop.declare()
    shop.ingest()
    parts = shop.rows("select part_key, accepted from ledger.part order by 1")
    assert parts == [("2024-01-01", 36), ("2024-01-01+1", 24)]


def test_a_changed_zone_doubles_nothing_when_the_file_grows(shop: Shop) -> None:
    shop.declare(event={"timezone": "Asia/Tokyo"}, period={"start": FIRST - timedelta(days=1)})
    shop.deliver("a.csv", lines())
    shop.ingest()
    shop.declare()
    shop.deliver("a.csv", [*lines(), *lines(20, day=3)])
    shop.ingest()
    assert shop.events() == 80


CHOICES: list[Callable[[random.Random], dict[str, Any]]] = [
    lambda _: {},
    lambda r: {"rules": {"user_pattern": f"^u[0-{r.randrange(7)}]$"}},
    lambda r: {"rules": {"item_pattern": f"^i{r.randrange(10)}?"}},
    lambda r: {"rules": {"price_between": [1.0, 1.0 + r.randrange(1, 6)]}},
    lambda r: {"period": {"end": FIRST + timedelta(days=r.randrange(1, 6))}},
    lambda _: {"event": {"timestamp_format": "%Y-%m-%d"}},
    lambda _: {"event": {"timezone": "America/New_York"}},
    lambda _: {"columns": {"price": "text", "note": "number"}, "event": {"price": "note"}},
    lambda r: {"ids": {"nobody": [f"u{r.randrange(7)}"]}},
]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_set_and_mended_no_line_is_lost_or_doubled(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    delivered: dict[str, list[Line]] = {}
    for step in range(8):
        choices = chance.sample(CHOICES, 2)
        sections: dict[str, dict[str, Any]] = {}
        for choose in choices:
            for section, values in choose(chance).items():
                sections[section] = sections.get(section, {}) | values
        shop.declare(**sections)
        shop.now = FIRST + timedelta(days=chance.randrange(1, 8))
        name = f"{chance.randrange(3)}.csv"
        delivered.setdefault(name, [])
        delivered[name] = delivered[name] + lines(chance.randrange(1, 20), day=step)
        shop.deliver(name, delivered[name])
        shop.ingest()
    shop.declare()
    shop.now = NOW
    shop.ingest()
    assert (shop.events(), shop.quarantined()) == (sum(map(len, delivered.values())), {})
