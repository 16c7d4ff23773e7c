"""Late events through the real stages, on a small made-up shop: learnt once, by the next increment; and
a replay from empty that leaves the same ledger and the same weights.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from recloop.database.connection import transaction
from recloop.errors import LedgerConflict
from recloop.ledger import parts, releases, updates
from recloop.settings import Settings
from recloop.stages import update_stages
from recloop.stages.status import read_status
from recloop.training.candidate import hash_folder
from tests.conftest import copy_database
from tests.integration import shop_life
from tests.integration.shop_life import LATE_WEEKS, late
from tests.recloop.behavior.shop import FORMAT, WEEKS, Line

LATE_PARTS = [f"{week}+1" for week in LATE_WEEKS]


@dataclass
class Lived:
    settings: Settings
    answers: list[dict[str, Any]]


def moment(line: Line) -> datetime:
    return datetime.strptime(line["InvoiceDate"], FORMAT).replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def lived(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    home = tmp_path_factory.mktemp("shop")
    settings = shop_life.settings_of(copy_database(server_url), home / "a")
    return Lived(settings, shop_life.live(settings))


@pytest.fixture
def later(lived: Lived, tmp_path: Path) -> Settings:
    """The shop after its life, for a test that changes it."""
    name = lived.settings.database_url.partition("?")[0].rsplit("/", 1)[1]
    return shop_life.copied(
        lived.settings, tmp_path / "b", copy_database(lived.settings.database_url, name)
    )


def test_late_lines_do_not_start_an_update_and_are_covered_by_the_next(lived: Lived) -> None:
    _, week, alone, following = lived.answers
    assert week["outcome"] == "promoted"
    assert alone["outcome"] == "none"
    assert alone["plan"]["reason"] == (
        f"no window waits for a decision; {', '.join(LATE_PARTS)} wait for the next window"
    )
    assert following["outcome"] == "promoted"
    assert following["plan"]["target"] == WEEKS[4]
    assert following["plan"]["windows"] == [*LATE_PARTS, WEEKS[4]]
    assert following["release"]["windows"] == sorted([*WEEKS, *LATE_PARTS])


def test_a_late_parts_examples_are_exactly_its_events(lived: Lived) -> None:
    with transaction(lived.settings.database_url) as cursor:
        for week, key in zip(LATE_WEEKS, LATE_PARTS, strict=True):
            made = parts.training_set_of(cursor, key)
            times = pq.read_table(Path(made.uri) / "interactions.parquet")["event_timestamp"]
            assert sorted(times.to_pylist()) == sorted(map(moment, late(week)))
            whole = parts.training_set_of(cursor, week)
            assert made.interactions + whole.interactions == len(shop_life.shop_week(week))


def test_the_increment_saw_the_late_events_once(lived: Lived) -> None:
    """With the new week's events before the held-out slice. Its examples are users' days."""
    with transaction(lived.settings.database_url) as cursor:
        update_id = lived.answers[-1]["release"]["update_id"]
        candidate = updates.candidate_of(cursor, update_id)
    before = [line for line in shop_life.on_time(WEEKS[4]) if moment(line) < candidate.holdout_from]
    asked = [
        {(line["CustomerID"], moment(line).date()) for line in lines}
        for lines in (*map(late, LATE_WEEKS), before)
    ]
    assert candidate.examples == sum(map(len, asked))


def test_status_tells_which_release_learnt_them(lived: Lived) -> None:
    rows = {row["window"]: row["late"] for row in read_status(lived.settings)["windows"]}
    for week, key in zip(LATE_WEEKS, LATE_PARTS, strict=True):
        events = len(late(week))
        assert rows[week] == [{"part": key, "events": events, "state": "trained", "release": 3}]
    assert rows[WEEKS[0]] == []


def test_a_backfill_of_what_is_done_changes_nothing(lived: Lived) -> None:
    before = shop_life.ledger_of(lived.settings), shop_life.weights_of(lived.settings)
    shop_life.backfill(lived.settings)
    assert (shop_life.ledger_of(lived.settings), shop_life.weights_of(lived.settings)) == before


def test_what_is_trained_is_not_trained_again(later: Settings) -> None:
    assert shop_life.update(later)["outcome"] == "none"
    with transaction(later.database_url) as cursor:
        made = updates.plan_of(cursor, 3)
        again = made.model_copy(update={"parent_release": 3, "windows": tuple(LATE_PARTS)})
        lease = updates.begin_update(cursor, again, "somebody")
        cursor.execute("update ledger.update set state = 'evaluated' where update_id = 4")
        with pytest.raises(LedgerConflict, match="twice"):
            releases.promote(cursor, lease, "/r")
        cursor.connection.rollback()


def test_after_a_rollback_the_same_events_give_the_same_weights(later: Settings) -> None:
    before = shop_life.weights_of(later)
    update_stages.roll_back(2, "a test", later)
    assert read_status(later)["pending"] == [*LATE_PARTS, WEEKS[4]]
    again = shop_life.update(later)
    assert again["plan"]["windows"] == [*LATE_PARTS, WEEKS[4]]
    assert hash_folder(Path(again["release"]["uri"]) / "checkpoint") == before[-1]


def test_late_parts_alone_are_learnt_when_a_person_asks_judged_by_their_own_newest(
    later: Settings, tmp_path: Path
) -> None:
    with transaction(later.database_url) as cursor:  # as if the last week had not come
        cursor.execute("delete from ledger.training_set where part_key = %s", (WEEKS[4],))
        cursor.execute(
            "update ledger.window set state = 'validated' where window_key = %s", (WEEKS[4],)
        )
        releases.roll_back(cursor, 2, "a test")
        assert releases.pending(cursor) == LATE_PARTS
    assert shop_life.update(later, "auto")["outcome"] == "none"
    shutil.copytree(later.config, tmp_path / "config")
    gate = tmp_path / "config" / "gate.toml"
    gate.write_text(gate.read_text().replace("minimum_users = 8", "minimum_users = 61"))
    refused = shop_life.update(later.model_copy(update={"config": tmp_path / "config"}))
    assert refused["outcome"] == "none"
    assert "too few to judge by (the gate wants 61)" in refused["plan"]["reason"]

    alone = shop_life.update(later)
    assert (alone["outcome"], alone["plan"]["target"]) == ("promoted", LATE_WEEKS[-1])
    assert alone["plan"]["windows"] == LATE_PARTS
    with transaction(later.database_url) as cursor:
        candidate = updates.candidate_of(cursor, alone["release"]["update_id"])
        report = updates.gate_report_of(cursor, alone["release"]["update_id"])
    last = late(LATE_WEEKS[-1])
    newest = {line["CustomerID"] for line in last if moment(line) >= candidate.holdout_from}
    asked = [
        {(line["CustomerID"], moment(line).date()) for line in lines}
        for lines in (
            late(LATE_WEEKS[0]),
            [line for line in last if moment(line) < candidate.holdout_from],
        )
    ]
    assert candidate.examples == sum(map(len, asked))
    assert report is not None
    assert shop_life.JUDGES <= report.challenger.users <= len(newest)


def test_a_replay_from_empty_leaves_the_same_ledger_and_the_same_weights(
    lived: Lived, server_url: str, tmp_path: Path
) -> None:
    again = shop_life.settings_of(copy_database(server_url), tmp_path / "again")
    shop_life.live(again)
    assert shop_life.as_text(shop_life.ledger_of(again)) == shop_life.as_text(
        shop_life.ledger_of(lived.settings)
    )
    assert shop_life.weights_of(again) == shop_life.weights_of(lived.settings)
