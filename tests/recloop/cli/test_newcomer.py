"""From a file that nobody has described to recommendations, with one command."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recloop.cli import newcomer
from recloop.database.connection import asked, first
from recloop.main import app
from recloop.project.project_file import read_settings
from recloop.settings import Settings

pytestmark = pytest.mark.slow


def sales(path: Path, days: int = 42) -> Path:
    """A shop in two halves: who buys of one half seldom buys of the other."""
    chance = random.Random(5)
    rows = []
    for day in range(days):
        for minute in range(60):
            user = chance.randrange(80)
            item = 2 * chance.randrange(20) + (user % 2 if chance.random() < 0.9 else 0)
            at = datetime(2023, 1, 2, 10, minute) + timedelta(days=day)
            rows.append(f"c{user};art{item};{at:%d.%m.%Y %H:%M}")
    path.write_text("\n".join(["Kunde;Artikel;Datum", *rows]) + "\n")
    return path


def test_try_goes_from_a_file_to_recommendations_and_goes_on_where_it_was(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def here(given: Settings) -> Iterator[Settings]:
        given.home.mkdir(parents=True, exist_ok=True)
        yield given.model_copy(update={"database_url": settings.database_url})

    monkeypatch.setattr(newcomer, "session", here)
    monkeypatch.chdir(tmp_path)
    data = sales(tmp_path / "verkauf.csv")
    done = CliRunner().invoke(app, ["try", str(data), "--k", "5"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "a guess" in done.output
    assert "2,520 events; 0 windows refused" in done.output
    assert "release 1 is champion" in done.output
    assert done.output.count("art") >= 15
    assert "RECLOOP_DATASET=" in done.output
    again = CliRunner().invoke(app, ["try", str(data)])
    assert again.exit_code == 0, (again.output, again.exception)
    releases = asked(settings.database_url, first, "select count(*) from ledger.release")
    assert releases == 1


def test_try_in_a_project_keeps_its_recommender_there_and_another_file_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CliRunner().invoke(app, ["init", str(tmp_path / "shop")])
    assert done.exit_code == 0, done.output
    assert "is a recloop project" in done.output
    assert "then recloop try events.csv" in done.output
    shop = tmp_path / "shop"
    monkeypatch.chdir(shop)
    data = sales(tmp_path / "verkauf.csv", days=2)
    assert newcomer.project_for(data) == shop
    newcomer.settle(shop, shop / "config" / "datasets" / "verkauf.toml", data)
    assert read_settings(shop) == {"dataset": "verkauf", "data": str(data)}
    assert newcomer.project_for(data) == shop  # again, and it goes on there
    before = (shop / "recloop.toml").read_text()
    newcomer.settle(shop, shop / "config" / "datasets" / "verkauf.toml", data)
    assert (shop / "recloop.toml").read_text() == before
    assert newcomer.project_for(sales(tmp_path / "other.csv", days=2)) is None
    monkeypatch.chdir(tmp_path)
    assert newcomer.project_for(data) is None


def test_init_names_what_was_edited(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    (tmp_path / "config" / "gate.toml").write_text("# mine\n")
    again = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert again.exit_code == 0
    assert "edited, and left so: config/gate.toml; this version's: " in again.output
