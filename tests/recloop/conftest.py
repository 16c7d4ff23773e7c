"""Fixtures of these tests: the shop's weeks on disk, and reading the database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recloop.database import connection
from recloop.database.connection import transaction
from recloop.settings import Settings
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import WEEKS, shop_week, write

Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def query(database_url: str) -> Query:
    """Runs one statement on the test's database; returns its rows."""

    def run(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with transaction(database_url) as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def shop_file(tmp_path: Path) -> Path:
    """The first two weeks of the shop in one CSV."""
    return write(tmp_path / "shop.csv", shop_week(WEEKS[0]) + shop_week(WEEKS[1]))


@pytest.fixture
def folder_settings(settings: Settings, tmp_path: Path) -> Settings:
    """The shop as a folder in which files keep arriving; the folder is empty."""
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    changed = customised(settings, "online_retail", tmp_path, source={"kind": "folder"})
    return changed.model_copy(update={"data": incoming})


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each transaction that is begun from now on."""
    begun: list[str] = []
    take = connection._kept.take

    def counted(url: str) -> Any:
        begun.append(url)
        return take(url)

    monkeypatch.setattr(connection._kept, "take", counted)
    return begun
