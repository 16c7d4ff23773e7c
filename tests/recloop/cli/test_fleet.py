"""The command line where there are several recommenders: all at a glance, one by its name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from recloop.config.recommenders import settings_of
from recloop.database.connection import transaction
from recloop.settings import PROJECT, Settings
from tests.recloop.cli.test_command_line import recloop
from tests.recloop.ledger.builders import feature, promote, window


@pytest.fixture
def several(settings: Settings, tmp_path: Path) -> Settings:
    """Two on one dataset, and one on another whose database nobody has made yet."""
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    folder = tmp_path / "config" / "recommenders"
    folder.mkdir()
    (folder / "home_page.toml").write_text("")
    (folder / "product_page.toml").write_text('[model]\nfamily = "sessions"')
    (folder / "films.toml").write_text('dataset = "movielens"')
    base = settings.model_copy(update={"config": tmp_path / "config"})
    with transaction(settings_of(base, "home_page").database_url) as cursor:
        feature(cursor, 0, 1)
        promote(cursor, 0, "rebuild")
    return base


def test_status_shows_all_and_each_by_its_name(several: Settings) -> None:
    rows = {
        row["recommender"]: row for row in json.loads(recloop(several, "status", "--json").stdout)
    }
    assert sorted(rows) == ["films", "home_page", "product_page"]
    assert (rows["home_page"]["champion"], rows["home_page"]["waiting"]) == (1, [window(1).key])
    assert rows["product_page"]["waiting"] == [window(0).key, window(1).key]
    assert (rows["films"]["dataset"], rows["films"]["error"]) == ("movielens", None)
    assert "home_page" in recloop(several, "status").stdout
    one = json.loads(recloop(several, "--recommender", "home_page", "status", "--json").stdout)
    assert one["champion"]["version"] == 1
    other = recloop(several, "status", "--json", RECLOOP_RECOMMENDER="product_page").stdout
    assert json.loads(other)["champion"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["update"], "there are several recommenders: films, home_page, product_page"),
        (["--recommender", "books", "update"], "there is no recommender 'books'"),
        (["recommend", "--user", "1"], "recloop --recommender films"),
    ],
)
def test_a_command_about_one_has_to_be_told_which(
    several: Settings, arguments: list[str], said: str
) -> None:
    done = recloop(several, *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_the_doctor_looks_at_each_and_at_what_is_broken(several: Settings) -> None:
    (several.config / "recommenders" / "home_page.toml").rename(several.config / "aside.toml")
    lost = {one["name"]: one for one in json.loads(recloop(several, "doctor", "--json").stdout)}
    assert "what home_page has learnt, and no file" in lost["lineages"]["detail"]
    (several.config / "aside.toml").rename(several.config / "recommenders" / "home_page.toml")
    (several.config / "recommenders" / "torn.toml").write_text("[gate]\nrules = 3\n[upd")
    (several.config / "recommenders" / "odd.toml").write_text("[gate]\nerrors = 3")
    found = {one["name"]: one for one in json.loads(recloop(several, "doctor", "--json").stdout)}
    assert found["home_page: champion"]["detail"].startswith("release 1")
    assert found["lineages"]["state"] == "ok"
    assert "sessions" in found["product_page: family"]["detail"]
    assert "is not valid TOML" in found["recommender torn"]["detail"]
    assert found["odd: rule files"]["state"] == "failed"
    assert "odd.toml [gate]: `errors` = 3" in found["odd: rule files"]["detail"]
    assert {one["state"] for name, one in found.items() if name.startswith("films")} <= {
        "ok", "warning",
    }  # fmt: skip
