"""Fixtures of the feature tests: a shop's meaning, and databases in which Feast is set up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recloop.features import store
from recloop.features.meaning import Meaning
from recloop.settings import Settings


@pytest.fixture
def shop() -> Meaning:
    """Weekly windows of purchases; the description is both name and text."""
    return Meaning(name="Description", text=("Description",))


@pytest.fixture(autouse=True)
def close_stores(settings: Settings) -> Iterator[None]:
    """Forget each test's store, so that connections do not add up over the session."""
    yield
    store.forget_store(settings.database_url)
