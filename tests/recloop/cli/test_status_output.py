"""What `recloop status` shows: windows newest last, releases, rollbacks, refused rebuilds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from recloop.cli import loop, output, pinning
from recloop.cli.output import recommendations_table, windows_table
from recloop.database.connection import transaction
from recloop.ledger import releases, updates
from recloop.main import app
from recloop.settings import Settings
from recloop.stages.status import read_status
from tests.recloop.ledger.builders import accept, feature, judge, plan, promote, train, window

WINDOWS = 25


@pytest.fixture
def lived(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """25 windows in two releases, and a rebuild refused after that; the commands run here."""
    with transaction(settings.database_url) as cursor:
        feature(cursor, *range(WINDOWS))
        promote(cursor, WINDOWS - 2, "rebuild")
        promote(cursor, WINDOWS - 1)
        vain = plan(cursor, WINDOWS - 1, "rebuild").model_copy(update={"decided_by": "person"})
        lease = updates.begin_update(cursor, vain, "run")
        train(cursor, lease, vain)
        judge(cursor, lease, vain, passed=False)

    @contextmanager
    def here(keep: bool = False) -> Iterator[Settings]:
        yield settings

    for module in (loop, pinning):
        monkeypatch.setattr(module, "session", here)
    return settings


def told(*arguments: str) -> str:
    return said("status", *arguments)


def said(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return " ".join(done.stdout.split())


def test_the_newest_windows_are_last_and_the_earlier_are_counted(lived: Settings) -> None:
    shown = told()
    assert "┃ window" in shown
    assert "week" not in shown
    assert [shown.find(window(n).key) >= 0 for n in (4, 5, 24)] == [False, True, True]
    assert shown.index(window(5).key) < shown.index(window(24).key)
    assert "5 earlier windows: `recloop status --last 25`" in shown
    assert window(0).key in told("--last", "25")
    assert window(23).key not in told("--last", "1").split("not yet learnt")[0]


def test_a_refused_rebuild_leaves_the_row_of_a_learnt_window(lived: Settings) -> None:
    found = read_status(lived)
    newest = found["windows"][-1]
    assert (newest["decision"], newest["outcome"], newest["release"]) == (
        "increment",
        "promoted",
        2,
    )
    assert [row["update_id"] for row in found["refused_rebuilds"]] == [3]
    assert "rebuild, rejected: test" in told()


def test_a_rollback_is_told_with_its_versions_and_its_reason(lived: Settings) -> None:
    with transaction(lived.database_url) as cursor:
        releases.roll_back(cursor, None, "ticket 4711: worse")
    (rollback,) = read_status(lived)["rollbacks"]
    assert {**rollback, "at": ""} == {"from": 2, "to": 1, "reason": "ticket 4711: worse", "at": ""}
    shown = told()
    assert "rolled back 2 → 1 at " in shown
    assert "ticket 4711: worse" in shown
    newest = read_status(lived)["windows"][-1]
    assert (newest["pending"], newest["release"]) == (True, None)


def test_releases_say_where_they_come_from_and_who_reigns(lived: Settings) -> None:
    shown = told("--releases")
    assert f"│ 1 │ from scratch │ 1, rebuild │ {window(23).key} │ 24 │" in shown
    assert f"│ 2 │ 1 │ 2, increment │ {window(24).key} │ 25 │" in shown
    assert shown.count("champion") == 2, "the column's name, and the one that reigns"


@pytest.mark.parametrize("width", [40, 60, 84, 100, 130, 200])
def test_a_narrow_terminal_shows_fewer_columns_and_cuts_none(lived: Settings, width: int) -> None:
    rows = read_status(lived)["windows"][-3:]
    rows[0] |= {"decision": "increment", "pending": True, "seconds": {"train": 12.25, "plan": 1.0}}
    rows[0] |= {side: dict.fromkeys("abcdefg", 0.5) for side in ("champion", "challenger")}
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(windows_table(rows, width=width))
    drawn = captured.get()
    assert max(map(len, drawn.splitlines())) <= width
    assert "…" not in drawn
    assert "increment (pending)" in drawn
    assert ("release" in drawn) == (width > 40)
    assert ("13.2" in drawn) == ("a / b" in drawn) == (width >= 130)
    assert "0.5000 / 0.5000 / 0.5000" not in drawn, "two metrics of seven"


def test_events_of_each_kind_are_told_where_there_are_several(lived: Settings) -> None:
    with transaction(lived.database_url) as cursor:
        accept(cursor, 25, 1203, click=1200, purchase=3)
        accept(cursor, 25, 1, purchase=1)  # late ones
        accept(cursor, 24, 1, purchase=1)  # of a window that was accepted before kinds were counted
    rows = read_status(lived)["windows"][-2:]
    assert [row["kinds"] for row in rows] == [{}, {"click": 1200, "purchase": 4}]
    console = Console(width=200, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(windows_table(rows, width=200))
    assert "click / purchase" in captured.get()
    assert "1,200 / 4" in captured.get()
    with console.capture() as captured:
        console.print(windows_table(rows[:1], width=200))
    assert "of each kind" not in captured.get()


def test_a_screenful_follows_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output.console, "_force_terminal", True, raising=False)
    monkeypatch.setattr(type(output.console), "is_terminal", property(lambda _: True))
    monkeypatch.setattr(type(output.console), "height", property(lambda _: 40))
    assert loop.screenful() == 26
    monkeypatch.setattr(type(output.console), "height", property(lambda _: 10))
    assert loop.screenful() == 5


def test_an_item_without_a_name_is_shown_once() -> None:
    items = [{"name": "CLOCK", "item_id": "20079"}, {"name": "17", "item_id": "17"}]
    items.append({"name": None, "item_id": "18"})
    table = recommendations_table([{"user_id": "u", "release": 1, "items": items}])
    assert list(table.columns[0].cells) == ["CLOCK (20079)", "17", "18"]


@pytest.mark.parametrize("user", ["", "  ", "\t"])
def test_nobody_is_recommended_nothing(user: str) -> None:
    done = CliRunner().invoke(app, ["recommend", "--user", user])
    assert "should be a user's id" in str(done.exception)


def test_a_pinned_champion_is_told_until_it_is_unpinned(lived: Settings) -> None:
    assert "pinned" not in told()
    assert said("pin", "--reason", "sale week", "--by", "vera").startswith("release 2 is pinned")
    shown = told()
    assert "pinned by vera since " in shown
    assert "sale week; nothing is promoted until `recloop unpin`" in shown
    assert read_status(lived)["pinned"]["reason"] == "sale week"
    assert "not pinned any more" in said("unpin", "--reason", "it is over", "--by", "ole")
    assert "pinned by" not in told()
    with transaction(lived.database_url) as cursor:
        cursor.execute("select pinned_by, reason, unpinned_by, unpinned_why from ledger.pin")
        assert cursor.fetchall() == [("vera", "sale week", "ole", "it is over")]


def test_a_report_is_written_where_one_says(lived: Settings, tmp_path: Path) -> None:
    out = tmp_path / "report.md"
    assert str(out) in said("report", "--out", str(out)).replace(" ", "")
    assert "## How fresh" in out.read_text()
    assert "report.html" in said("report")
    assert "How fresh" in (lived.own_folder / "report.html").read_text()
