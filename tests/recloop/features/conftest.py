"""Fixtures of the feature tests. One database serves them all, emptied before each test: creating a
database and setting Feast up in it take longer than most of these tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.settings import Settings
from tests.conftest import copy_database


@pytest.fixture(scope="session")
def features_database(server_url: str) -> str:
    return copy_database(server_url)


@pytest.fixture
def database_url(features_database: str) -> str:
    """A database without events and features. Feast's registry stays: its definitions are applied."""
    with transaction(features_database) as cursor:
        cursor.execute("set local session_replication_role = replica")  # in any order
        cursor.execute(
            "select format('delete from %I.%I', schemaname, tablename) from pg_tables "
            "where schemaname in ('behavior', 'feast_online') "
            "or (schemaname = 'features' and tablename <> 'applied')"
        )
        # Not `truncate`: it gives every table a new file, and thousands of them slow the shutdown.
        cursor.execute("; ".join(statement for (statement,) in cursor.fetchall()))
    return features_database


@pytest.fixture
def untouched_settings(server_url: str, tmp_path: Path) -> Settings:
    """Settings on a database of the test's own, for tests that change more than rows."""
    return Settings(home=tmp_path, database_url=copy_database(server_url))


@pytest.fixture
def shop() -> Meaning:
    """Weekly windows of purchases; the description is both name and text."""
    return Meaning(name="Description", text=("Description",))
