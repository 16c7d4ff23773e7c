"""Which folder is the project, and what its `recloop.toml` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.errors import BadInput
from recloop.project.laying_out import lay_out
from recloop.project.project_file import nearest, read_settings, remember
from recloop.settings import PROJECT, Settings, found_project


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    lay_out(tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})


def test_the_nearest_project_upward_counts(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = shop / "deep" / "down"
    inner.mkdir(parents=True)
    assert nearest(inner) == shop
    assert nearest(tmp_path) is None
    monkeypatch.chdir(inner)
    settings = Settings.from_environment()
    assert settings.project == shop
    assert settings.home == shop / "var"
    assert settings.config == shop / "config"
    assert settings.environment()["RECLOOP_PROJECT"] == str(shop)


def test_outside_of_a_project_a_checkout_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert found_project() == PROJECT
    assert Settings.from_environment().home == PROJECT / "var"


def test_an_installation_without_a_project_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recloop.project.laying_out.PACKED", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"no recloop project here\. Make one: `recloop init shop`"):
        Settings.from_environment()
    elsewhere = Settings(home=tmp_path / "home")  # as of `recloop try` in any folder
    assert elsewhere.config == tmp_path / "config"


def test_the_variable_goes_before_the_working_directory(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", {"RECLOOP_PROJECT": str(shop)})
    monkeypatch.chdir(PROJECT)
    assert found_project() == shop
    monkeypatch.setattr("os.environ", {"RECLOOP_PROJECT": str(shop / "dags")})
    with pytest.raises(BadInput, match="is no project: it has no dags"):
        found_project()


def test_settings_of_the_file_are_below_those_of_the_environment(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    with (shop / "recloop.toml").open("a") as file:
        file.write('dataset = "movielens"\ndata = "in/ratings.csv"\nseed = 3\npreload = false\n')
    settings = Settings.from_environment()
    assert (settings.dataset, settings.seed, settings.preload) == ("movielens", 3, False)
    assert settings.data == shop / "in" / "ratings.csv"
    monkeypatch.setattr("os.environ", {"RECLOOP_SEED": "4"})
    assert Settings.from_environment().seed == 4


def test_the_files_data_are_of_the_files_dataset(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    remember(shop, {"dataset": "events", "data": shop / "events.csv"})
    assert Settings.from_environment().data == shop / "events.csv"
    monkeypatch.setattr("os.environ", {"RECLOOP_DATASET": "online_retail"})
    other = Settings.from_environment()
    assert (other.dataset, other.data) == ("online_retail", None)
    # A child process reads the same again.
    monkeypatch.setattr("os.environ", other.environment())
    assert Settings.from_environment() == other


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('database_url = "postgresql://a:secret@b/c"', "no setting 'database_url'; known are"),
        ("seed = -1", r"recloop\.toml: seed = '-1' cannot be used"),
        ("seed = 1.5", "should be a text, a number, true or false"),
        ("seed = ", "cannot be used"),
        ("[other]\na = 1", "the file has one table"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_file(
    shop: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    monkeypatch.chdir(shop)
    with (shop / "recloop.toml").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(BadInput, match=said) as error:
        Settings.from_environment()
    assert "secret" not in str(error.value)


def test_settings_are_written_where_the_file_has_them(shop: Path) -> None:
    path = shop / "recloop.toml"
    path.write_text(path.read_text() + "seed = 3\n")
    remember(shop, {"dataset": "a", "data": shop / 'odd "name".csv'})
    assert read_settings(shop) == {
        "dataset": "a",
        "data": str(shop / 'odd "name".csv'),
        "seed": "3",
    }
    path.write_text("# nothing yet\n")
    remember(shop, {"data": Path("/elsewhere/x.csv")})
    assert read_settings(shop) == {"data": "/elsewhere/x.csv"}
