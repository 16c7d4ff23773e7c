"""Fixtures shared by all tests: one embedded PostgreSQL a session, one fresh database a test."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from recloop.database import embedded
from recloop.database.connection import transaction
from recloop.database.schema import migrate
from recloop.settings import Settings


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """URL of an embedded server of this session's own, with a migrated template database."""
    home = Path(tempfile.mkdtemp(prefix="recloop-test-"))
    try:
        url = embedded.ensure_running(home)
        migrate(url)
        yield url
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def copy_database(server_url: str, template: str = embedded.DATABASE) -> str:
    """A new database made from `template`; returns its URL."""
    import psycopg2

    name = f"test_{uuid.uuid4().hex[:12]}"
    admin = embedded.with_database(server_url, "postgres")
    connection = psycopg2.connect(admin.replace("postgresql+psycopg2", "postgresql", 1))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(f'create database "{name}" template "{template}"')
    finally:
        connection.close()
    return embedded.with_database(server_url, name)


@pytest.fixture
def database_url(server_url: str) -> str:
    """A fresh, migrated database."""
    return copy_database(server_url)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings on a fresh home and a fresh database."""
    return Settings(home=tmp_path, database_url=database_url)


@pytest.fixture
def cursor(database_url: str) -> Iterator[object]:
    """A cursor in one transaction on a fresh database."""
    with transaction(database_url) as opened:
        yield opened
