"""A recommender that comes later builds what ingestion made for another one: the same bytes as if it had
been there from the first window on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recloop.config.recommenders import settings_of
from recloop.dashboard.pages import index_page
from recloop.database.connection import asked, column, transaction
from recloop.features import featuring
from recloop.features.store import forget_store
from recloop.ledger import parts, releases
from recloop.settings import Settings
from recloop.stages import update_stages
from recloop.stages.fleet_status import read_fleet
from recloop.stages.ingest_stages import ingest_windows
from tests.conftest import copy_database
from tests.integration.family_shop import MODELS, deliver, key
from tests.integration.family_shop import settings_of as shop_of
from tests.recloop.behavior.datasets import as_toml

pytestmark = pytest.mark.slow
WEEKS = [key(0), key(1), key(2)]


def with_recommenders(base: Settings, *names: str) -> list[Settings]:
    """Files of the home page, which needs features, and of the product page, which needs none."""
    own = {"home_page": {}, "product_page": {"model": MODELS["sessions"]}}
    folder = base.config / "recommenders"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.toml").write_text(as_toml(own[name]))
    return [settings_of(base, name) for name in names]


def hashes(settings: Settings) -> dict[str, str]:
    with transaction(settings.database_url) as cursor:
        return {part: parts.training_set_of(cursor, part).sha256 for part in parts.ready(cursor)}


@pytest.fixture
def fresh(server_url: str) -> Iterator[Callable[[], str]]:
    """Makes databases whose ledger is empty, too: this folder's own is not."""
    made: list[str] = []

    def make() -> str:
        made.append(copy_database(server_url))
        return made[-1]

    yield make
    for url in made:
        forget_store(url)


def test_who_comes_later_has_what_would_have_been_there(
    fresh: Callable[[], str], tmp_path: Path
) -> None:
    first = shop_of(fresh(), tmp_path / "first", {})
    (home,) = with_recommenders(first, "home_page")
    deliver(first, 0, 1, 2)
    assert ingest_windows(home)["done"] == WEEKS

    later = shop_of(fresh(), tmp_path / "later", {})
    (product,) = with_recommenders(later, "product_page")
    deliver(later, 0, 1, 2)
    ingest_windows(product)
    assert asked(product.database_url, column, "select window_key from features.built_window") == []
    assert sorted(hashes(product)) == WEEKS

    (other,) = with_recommenders(later, "home_page")
    assert asked(other.database_url, releases.undecided) == []
    assert update_stages.undecided(other) == WEEKS, "somebody has to wake it"
    told: list[tuple[int, int]] = []
    assert featuring.catch_up(other, lambda done, of: told.append((done, of))) == 3
    assert told == [(0, 3), (1, 3), (2, 3)]
    assert hashes(other) == hashes(home)
    assert hashes(other) != hashes(product)
    assert featuring.catch_up(other) == 0
    assert asked(other.database_url, releases.undecided) == WEEKS

    rows = {row["recommender"]: row for row in read_fleet(later)}
    assert {
        name: (row["family"], row["champion"], row["waiting"]) for name, row in rows.items()
    } == {
        "home_page": ("retrieve_and_rank", None, WEEKS),
        "product_page": ("sessions", None, WEEKS),
    }
    (later.config / "recommenders" / "torn.toml").write_text("datasets = 1")
    page = index_page(later, datetime(2011, 7, 1, tzinfo=UTC))
    assert '<a href="home_page/">home_page</a>' in page
    assert "torn.toml: unknown key `datasets`" in page.replace("&#39;", "'")


def test_late_events_are_waited_for_before_what_comes_after_them(
    fresh: Callable[[], str], tmp_path: Path
) -> None:
    base = shop_of(fresh(), tmp_path / "home", {})
    home, product = with_recommenders(base, "home_page", "product_page")
    deliver(base, 0, 1)
    ingest_windows(home)
    with transaction(product.database_url) as cursor:
        cursor.execute(
            "update ledger.window set state = 'validated' where window_key = %s", (key(0),)
        )
    assert featuring.catch_up(product) == 1
    assert list(hashes(product)) == [key(1)], "sessions ask no features"
    with transaction(product.database_url) as cursor:
        cursor.execute(
            "update ledger.window set state = 'featured' where window_key = %s", (key(0),)
        )
    assert featuring.catch_up(product) == 1
    assert sorted(hashes(product)) == [key(0), key(1)]
