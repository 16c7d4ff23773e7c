"""Three made-up shops that share a shelf: a coordinator with a champion, and two silos."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from recloop.settings import Settings
from recloop.stages.ingest_stages import ingest_windows
from tests.conftest import copy_database
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import WEEKS, shop_week, write

SECRET = "99001"
"""An item that only the silo `south` sells."""
NAMES = ("north", "south")


def user_of(shop: str, customer: str) -> str:
    """A user's id, which no number or hash looks like."""
    return f"{shop}-user-{customer}"


def make_shop(server_url: str, folder: Path, name: str, weeks: list[str]) -> Settings:
    """A shop with its own database, home and customers; `weeks` are ingested."""
    lines = [line for week in weeks for line in shop_week(week, seed=7)]
    for line in lines:
        line["CustomerID"] = user_of(name, line["CustomerID"])
        if name == "south" and line["StockCode"] == "20079":
            line["StockCode"] = SECRET
    data = write(folder / "shop.csv", lines)
    settings = customised(
        Settings(home=folder / "home", data=data, database_url=copy_database(server_url)),
        "online_retail",
        folder,
        rules={"user_pattern": r"^[a-z]+-user-\d{5}$"},
        period={"start": None, "end": None},
    )
    gate = settings.config / "gate.toml"
    # Made-up shops are small: whether a challenger is better is not what these tests ask.
    margins = re.compile(r"^(\w*margin) = \S+", re.MULTILINE)
    gate.write_text(margins.sub(r"\1 = 100.0", gate.read_text()))
    report = ingest_windows(settings)
    assert (report["done"], report["refused"]) == (weeks, []), report
    return settings


@pytest.fixture(scope="module")
def shops(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Settings]:
    """`coordinator` has a champion of two weeks and a third that waits; silos have two weeks."""
    from recloop.cli.loop import run_update

    folder = tmp_path_factory.mktemp("silos")
    made = {
        "coordinator": make_shop(server_url, folder / "coordinator", "centre", WEEKS[:2]),
        **{name: make_shop(server_url, folder / name, name, WEEKS[:2]) for name in NAMES},
    }
    done = run_update(made["coordinator"], None, "rebuild")
    assert done["outcome"] == "promoted", done["gate"]
    return made


@pytest.fixture
def said() -> Callable[[Path], bytes]:
    """All bytes of a folder's files, names included."""

    def read(folder: Path) -> bytes:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return b"\n".join(
            str(f.relative_to(folder)).encode() + b"\n" + f.read_bytes() for f in files
        )

    return read
