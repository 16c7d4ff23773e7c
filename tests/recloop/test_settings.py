"""Settings: what a path means, and which file a dataset's name is."""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.config.dataset import load_dataset
from recloop.config.rules import read_schedule
from recloop.errors import BadInput
from recloop.settings import PROJECT, Settings

SHOP = (PROJECT / "config/datasets/online_retail.toml").read_text()


def from_environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    monkeypatch.setattr("os.environ", {f"RECLOOP_{name}": v for name, v in variables.items()})
    return Settings.from_environment()


def test_a_relative_dataset_is_the_same_file_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.toml").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    settings = from_environment(monkeypatch, DATASET="shop.toml", DATA="events.csv")
    assert Settings(dataset="./shop.toml") == Settings(dataset="shop.toml")
    (tmp_path / "airflow").mkdir()
    monkeypatch.chdir(tmp_path / "airflow")
    child = from_environment(
        monkeypatch,
        **{k.removeprefix("RECLOOP_"): v for k, v in settings.environment().items()},
    )
    assert child == settings
    assert settings.dataset_file == tmp_path / "shop.toml"
    assert settings.data == tmp_path / "events.csv"
    # What the DAG files read of it, and what the stages do.
    assert read_schedule(child).window.length == "week"
    assert load_dataset(child).name == "online_retail"


@pytest.mark.parametrize("name", ["HOME", "DATA", "CONFIG", "DATASET"])
def test_a_path_of_nobodys_home_is_told_by_its_setting(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with pytest.raises(BadInput, match=rf"RECLOOP_{name} = '~nobody-here/x.toml' cannot be used"):
        from_environment(monkeypatch, **{name: "~nobody-here/x.toml"})


@pytest.mark.parametrize("name", ["nowhere", "nowhere.toml", "/no/such/shop.toml", ".toml", ""])
def test_no_such_dataset_is_told_alike_by_all_who_ask(name: str) -> None:
    told = set()
    for ask in (read_schedule, load_dataset, lambda settings: settings.dataset_file):
        with pytest.raises(BadInput, match=r"there is no file .*movielens, online_retail") as error:
            ask(Settings(dataset=name))
        told.add(str(error.value))
    assert len(told) == 1


def test_a_name_is_looked_for_in_the_config_folder(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "shop.toml").write_text(SHOP)
    settings = Settings(dataset="shop", config=tmp_path)
    assert settings.dataset == "shop"
    assert settings.dataset_file == tmp_path / "datasets" / "shop.toml"
