"""What was told of answers, and what they showed, comes in beside the shop's own lines: each once."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from recloop.behavior import shown, table
from recloop.behavior.arrivals import windows_with_new_lines
from recloop.behavior.shown import land_told
from recloop.config.dataset import load_dataset
from recloop.database.connection import transaction
from recloop.ledger import forgetting, parts
from recloop.settings import Settings
from recloop.stages import ingest_stages
from recloop.stages.status import count_lines
from recloop.validation import window
from recloop.validation.window import validate_window
from tests.recloop.behavior.datasets import as_toml

pytestmark = pytest.mark.slow

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 6, 1, tzinfo=UTC)
DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")
DATASET: dict[str, Any] = {
    "name": "told",
    "source": {"kind": "folder"},
    "window": {"length": "day"},
    "columns": {"at": "time", "who": "text", "what": "text", "did": "text"},
    "event": {
        "user_id": "who", "item_id": "what", "timestamp": "at", "type_column": "did",
        "learn_from": {"types": ["click", "purchase"], "shown": ["view"]},
    },
    "feedback": {"kinds": {"click": "click", "order": "purchase"}, "impressions": "view"},
}  # fmt: skip


class Shop:
    """A folder of clicks, and what a server wrote; Great Expectations is left out."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        (folder / "data").mkdir()
        self.folder = folder
        self.settings = settings.model_copy(
            update={"dataset": str(folder / "told.toml"), "data": folder / "data"}
        )
        self.declare(DATASET["feedback"])

    def declare(self, feedback: dict[str, Any] | None) -> None:
        said = {k: v for k, v in DATASET.items() if k != "feedback"}
        said |= {"feedback": feedback} if feedback else {}
        (self.folder / "told.toml").write_text(as_toml(said))

    def deliver(self, day: int, count: int = 60) -> None:
        """The shop's own file of a day: users u0 to u6 click items i0 to i10."""
        rows = ["at,who,what,did"]
        for n in range(count):
            moment = FIRST + timedelta(days=day, minutes=10 * n)
            rows.append(f"{moment:%Y-%m-%dT%H:%M:%S},u{n % 7},i{n % 11},click")
        (self.folder / "data" / f"{day}.csv").write_text("\n".join(rows) + "\n")

    def show(self, day: int, user: str, *items: str, hour: int = 9) -> str:
        """An answer of one of two recommenders; returns its id."""
        request = str(uuid.uuid4())
        with transaction(self.settings.database_url) as cursor:
            cursor.execute(
                "insert into lineage.impression "
                "(recommender, request_id, version, at, user_id, items, features) "
                "values (%s, %s, 1, %s, %s, "
                "(select array_agg(item_key) from behavior.item where item_id = any(%s)), '{}')",
                (f"shelf{len(items) % 2}", request, FIRST + timedelta(days=day, hours=hour), user,
                 list(items)),
            )  # fmt: skip
        return request

    def tell(self, day: int, request: str, item: str, kind: str, hour: int = 10) -> None:
        with transaction(self.settings.database_url) as cursor:
            cursor.execute(
                "insert into lineage.feedback (request_id, item_id, kind, at) values "
                "(%s, %s, %s, %s) on conflict do nothing",
                (request, item, kind, FIRST + timedelta(days=day, hours=hour)),
            )

    def ingest(self, day: int) -> int:
        """One window, as the DAG does it; returns how many lines were read."""
        landed, _ = ingest_stages.read(self.settings, DAYS[day])
        count_lines(self.settings)
        validate_window(self.settings, DAYS[day])
        count_lines(self.settings)
        return landed.lines

    def events(self, *types: str) -> list[tuple[str, str, str, str]]:
        """(window, user, item, type) of what came by one of the views."""
        with transaction(self.settings.database_url) as cursor:
            cursor.execute(
                "select e.window_key, user_id, item_id, event_type from behavior.event e "
                "join behavior.account using (user_key) join behavior.item using (item_key) "
                "join behavior.source_file using (file_id) "
                "where path like 'lineage.%%' and event_type = any(%s) order by 1, 2, 3, 4",
                (list(types),),
            )
            return cursor.fetchall()


@pytest.fixture
def shop(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The first day is delivered and judged, so that its items have keys."""
    monkeypatch.setattr(window, "_judge", lambda *_: [])
    monkeypatch.setattr(window, "write_validation_page", lambda *_: None)
    made = Shop(settings, tmp_path)
    made.deliver(0)
    assert made.ingest(0) == 60
    return made


def test_feedback_and_what_was_shown_become_events_of_their_window_once(shop: Shop) -> None:
    shop.deliver(1)
    one = shop.show(1, "u1", "i1", "i2", "i3")
    two = shop.show(1, " u2 ", "i4", hour=11)
    shop.show(1, "", "i5")
    shop.tell(1, one, "i2", "click")
    shop.tell(1, one, "i2", "click", hour=20)
    shop.tell(1, one, "i2", "order", hour=12)
    shop.tell(1, two, "i4", "order", hour=12)
    shop.tell(1, str(uuid.uuid4()), "i4", "order")
    assert shop.ingest(1) == 60 + 3 + 4
    day = DAYS[1]
    assert shop.events("click", "purchase") == [
        (day, "u1", "i2", "click"), (day, "u1", "i2", "purchase"), (day, "u2", "i4", "purchase"),
    ]  # fmt: skip
    assert shop.events("view") == [
        (day, "u1", "i1", "view"), (day, "u1", "i2", "view"), (day, "u1", "i3", "view"),
        (day, "u2", "i4", "view"),
    ]  # fmt: skip
    assert shop.ingest(1) == 0
    counts = count_lines(shop.settings)
    assert (counts["total"], counts["accepted"], counts["pending"]) == (127, 127, 0)


def test_each_window_takes_what_was_told_in_it_whenever_it_was_shown(shop: Shop) -> None:
    shop.deliver(1)
    shop.deliver(2)
    evening = shop.show(1, "u1", "i1", hour=23)
    shop.tell(2, evening, "i1", "order", hour=1)
    shop.ingest(1)
    shop.ingest(2)
    assert shop.events("view", "purchase") == [
        (DAYS[1], "u1", "i1", "view"), (DAYS[2], "u1", "i1", "purchase")
    ]  # fmt: skip


def test_what_comes_after_its_window_was_judged_is_late_and_wakes_the_loop(shop: Shop) -> None:
    shop.deliver(1)
    request = shop.show(1, "u1", "i1")
    shop.ingest(1)
    assert DAYS[1] not in windows_with_new_lines(shop.settings, NOW)
    shop.tell(1, request, "i1", "click")
    assert DAYS[1] in windows_with_new_lines(shop.settings, NOW)
    assert shop.ingest(1) == 1
    assert shop.events("click") == [(DAYS[1], "u1", "i1", "click")]
    assert DAYS[1] not in windows_with_new_lines(shop.settings, NOW)


def test_a_window_without_lines_of_the_shops_own_takes_nothing_yet(shop: Shop) -> None:
    shop.tell(1, shop.show(1, "u1", "i1"), "i1", "click")
    spec = load_dataset(shop.settings)
    assert land_told(shop.settings, spec, DAYS[1], NOW).lines == 0
    assert DAYS[1] not in windows_with_new_lines(shop.settings, FIRST + timedelta(days=1.5))
    shop.deliver(1)
    assert shop.ingest(1) == 62


def test_a_kill_between_two_windows_or_within_one_loses_and_doubles_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (1, 2):
        shop.deliver(day)
        shop.tell(day, shop.show(day, "u1", "i1"), "i1", "click")
    write, done = table.copy_parsed, []

    def killed(*given: Any) -> None:
        write(*given)
        done.append(given)
        if len(done) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(table, "copy_parsed", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest_stages.read(shop.settings, None)
    assert count_lines(shop.settings)["total"] == 60 * 3 + 2
    landed, _ = ingest_stages.read(shop.settings, None)
    assert landed.lines == 2
    for day in (1, 2):
        shop.ingest(day)
    assert len(shop.events("click", "view")) == 4
    assert count_lines(shop.settings)["accepted"] == 60 * 3 + 4


def test_lines_go_through_the_row_rules_and_come_back_when_a_rule_is_mended(shop: Shop) -> None:
    shop.deliver(1)
    request = shop.show(1, "u1", "i1")
    shop.tell(1, request, "x" * 600, "click")
    shop.tell(1, request, "i1", "click")
    shop.ingest(1)
    assert count_lines(shop.settings)["quarantined"] == {"overlong_item": 1}
    said = dict(DATASET) | {"ids": {"longest": 700}}
    (shop.folder / "told.toml").write_text(as_toml(said))
    shop.ingest(1)
    assert count_lines(shop.settings)["quarantined"] == {}
    assert [row[2] for row in shop.events("click")] == ["i1", "x" * 600]


def test_a_kind_that_the_file_does_not_name_is_no_click_and_no_purchase(shop: Shop) -> None:
    shop.declare({"kinds": {"click": "click"}})
    shop.deliver(1)
    request = shop.show(1, "u1", "i1", "i2")
    for kind in ("click", "clicked", "purchase"):
        shop.tell(1, request, "i1", kind)
    assert shop.ingest(1) == 63
    assert [row[3] for row in shop.events("click", "purchase", shown.UNMAPPED)] == [
        "click", "unmapped", "unmapped"
    ]  # fmt: skip
    assert shop.events("view") == []


def test_without_the_table_nothing_comes_back_and_what_came_stays(shop: Shop) -> None:
    shop.deliver(1)
    shop.tell(1, shop.show(1, "u1", "i1"), "i1", "click")
    shop.ingest(1)
    shop.deliver(2)
    shop.declare(None)
    shop.tell(2, shop.show(2, "u1", "i1"), "i1", "click")
    assert shop.ingest(2) == 60
    assert len(shop.events("click", "view")) == 2


def test_lines_that_wait_are_read_again_when_the_kinds_are_mended(shop: Shop) -> None:
    shop.declare({"kinds": {"click": "click"}})
    shop.deliver(1)
    shop.tell(1, shop.show(1, "u1", "i1"), "i1", "order")
    ingest_stages.read(shop.settings, DAYS[1])
    shop.declare({"kinds": {"click": "click", "order": "purchase"}})
    assert shop.ingest(1) == 1
    assert shop.events("purchase", shown.UNMAPPED) == [(DAYS[1], "u1", "i1", "purchase")]
    assert count_lines(shop.settings)["total"] == 121


def test_the_shops_own_lines_stay_as_they_were_read(shop: Shop) -> None:
    before = load_dataset(shop.settings).reading
    shop.declare(None)
    assert load_dataset(shop.settings).reading == before


def test_a_click_through_family_learns_what_was_shown_and_not_clicked(
    settings: Settings, tmp_path: Path
) -> None:
    """Through the whole of ingestion, Great Expectations and Feast included."""
    shop = Shop(settings, tmp_path)
    said = dict(DATASET) | {"model": {"family": "click_through"}}
    (tmp_path / "told.toml").write_text(as_toml(said))
    shop.deliver(0)
    ingest_stages.ingest_windows(settings=shop.settings, window=DAYS[0])
    shop.deliver(1, count=1)
    request = shop.show(1, "u5", "i1", "i2", "i3")
    shop.tell(1, request, "i2", "click")
    done = ingest_stages.ingest_windows(settings=shop.settings, window=DAYS[1])
    assert (done["done"], done["lines"]) == ([DAYS[1]], 5)
    with transaction(settings.database_url) as cursor:
        made = parts.training_set_of(cursor, DAYS[1])
        cursor.execute("select item_key, item_id from behavior.item")
        names = dict(cursor.fetchall())
    rows = pq.read_table(Path(made.uri) / "interactions.parquet").to_pylist()
    labels = sorted((names[row["item_key"]], row["label"]) for row in rows)
    # u0 clicked i0 in the shop's own file; u5 was shown three and clicked one
    assert labels == [("i0", 1.0), ("i1", 0.0), ("i2", 1.0), ("i3", 0.0)]


def test_forgetting_what_was_read_neither_loses_nor_doubles_an_event(shop: Shop) -> None:
    """Day 1 is closed, day 2 is read and not judged: its lines wait, and so do its answers."""
    for day in (1, 2):
        shop.deliver(day)
        shop.tell(day, shop.show(day, "u1", "i1"), "i1", "click")
    late = shop.show(1, "u2", "i2", hour=20)
    shop.tell(2, late, "i2", "order", hour=1)
    shop.ingest(1)
    ingest_stages.read(shop.settings, DAYS[2])
    with transaction(shop.settings.database_url) as cursor:
        cursor.execute("select set_config('recloop.recommender', 'shelf1', true)")
        cursor.execute(
            "update ledger.window set state = 'featured' where window_key <= %s", (DAYS[1],)
        )
        done = forgetting.forget(cursor, NOW, 0, None)
    assert (done.looked, done.impressions, done.feedback) == (3, 1, 1)
    assert ingest_stages.read(shop.settings, None)[0].lines == 0
    shop.ingest(2)
    assert shop.events("view", "click", "purchase") == [
        (DAYS[1], "u1", "i1", "click"), (DAYS[1], "u1", "i1", "view"),
        (DAYS[1], "u2", "i2", "view"), (DAYS[2], "u1", "i1", "click"),
        (DAYS[2], "u1", "i1", "view"), (DAYS[2], "u2", "i2", "purchase"),
    ]  # fmt: skip
    counts = count_lines(shop.settings)
    assert (counts["accepted"], counts["pending"]) == (60 * 3 + 6, 0)
