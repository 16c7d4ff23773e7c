"""The prepared loop, copied: each test has a ledger of its own, and reads the same artefacts."""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.settings import Settings
from tests.conftest import LOOP_TEMPLATE, copy_database


@pytest.fixture
def prepared(loop_home: Settings, tmp_path: Path) -> Settings:
    """A champion and four waiting windows, in a database and a home of this test's own."""
    url = copy_database(loop_home.database_url, LOOP_TEMPLATE)
    return loop_home.model_copy(update={"home": tmp_path, "database_url": url})
