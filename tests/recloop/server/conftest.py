"""A small shop that has lived through three releases, and its HTTP server, asked without a network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from recloop.addresses import database_name
from recloop.database.connection import transaction
from recloop.ledger import releases
from recloop.server import connections
from recloop.server.api import create_app
from recloop.server.serve_file import Serve
from recloop.settings import Settings
from tests.conftest import copy_database
from tests.integration import shop_life
from tests.recloop.behavior.shop import WEEKS

RELEASES = 3
Asking = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture(scope="session")
def lived(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three releases, of which the last is champion."""
    from recloop.features.store import forget_store

    url = copy_database(server_url)
    settings = shop_life.settings_of(url, tmp_path_factory.mktemp("lived"))
    for week in WEEKS[:3]:
        shop_life.deliver(settings, week, shop_life.on_time(week))
    assert shop_life.update(settings, "rebuild")["outcome"] == "promoted"
    for week in WEEKS[3:5]:
        shop_life.deliver(settings, week, shop_life.on_time(week))
        assert shop_life.update(settings)["outcome"] == "promoted"
    forget_store(url)
    return settings


@pytest.fixture
def shop(lived: Settings, server_url: str, tmp_path: Path) -> Iterator[Settings]:
    """The same in a database, a home and with files of releases of this test's own."""
    url = copy_database(server_url, database_name(lived.database_url))
    settings = lived.model_copy(update={"database_url": url, "home": tmp_path})
    with transaction(url) as cursor:
        for release in releases.all_releases(cursor):
            own = tmp_path / "releases" / str(release["version"])
            cursor.execute(
                "select uri from ledger.release where version = %s", (release["version"],)
            )
            shutil.copytree(cursor.fetchone()[0], own)  # type: ignore[index]
            cursor.execute(
                "update ledger.release set uri = %s where version = %s",
                (str(own), release["version"]),
            )
    yield settings
    connections._away.clear()
    connections._threads.__dict__.clear()


@pytest.fixture
def asking(shop: Settings) -> Asking:
    """A client of a server of the shop: `with asking() as client`. It follows the ledger when the
    test says `client.app.state.follower.look()`, and at the beginning."""

    @contextmanager
    def opened(serve: Serve | None = None, **limits: Any) -> Iterator[TestClient]:
        serve = serve or Serve.model_validate({"limits": limits, "poll_seconds": 3600})
        with TestClient(create_app(shop, serve), raise_server_exceptions=False) as client:
            yield client

    return opened


def reign(settings: Settings, version: int) -> None:
    """Make a release the champion, in the ledger alone."""
    with transaction(settings.database_url) as cursor:
        releases.roll_back(cursor, version, "a test")


def folder_of(settings: Settings, version: int) -> Path:
    """Where the files of a release are."""
    return settings.home / "releases" / str(version)


def ledger_of(settings: Settings, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a question to the database."""
    with transaction(settings.database_url) as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall())
