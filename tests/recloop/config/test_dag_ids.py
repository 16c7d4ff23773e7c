"""Whose a DAG is, by its id, and which there are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recloop.config import dag_ids
from recloop.config.recommenders import settings_of, usable
from recloop.settings import PROJECT, Settings
from tests.recloop.behavior.datasets import as_toml

OWN = {
    "home": {"dataset": "online_retail"},
    "after": {"dataset": "online_retail", "model": {"family": "sessions"}},
    "movielens": {"dataset": "online_retail"},
    "films": {"dataset": "movielens"},
}


@pytest.fixture
def base(tmp_path: Path) -> Settings:
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    (tmp_path / "config" / "recommenders").mkdir()
    return Settings(home=tmp_path, config=tmp_path / "config")


def write(base: Settings, *names: str) -> None:
    for name in names:
        path = base.config / "recommenders" / f"{name}.toml"
        path.write_text(as_toml(OWN.get(name, {})))


def test_one_alone_has_the_plain_names(base: Settings) -> None:
    assert dag_ids.expected(base) == set(dag_ids.DAG_IDS)
    assert {dag_ids.recommender_of(base, name) for name in dag_ids.DAG_IDS} == {"default"}
    assert dag_ids.recommender_of(base, "somebodys_own") == "default"
    assert dag_ids.dags_of_arrival(base) == {"behavior_arrival": False}
    assert dag_ids.pool_of(settings_of(base, "default")) == "gpu"


def test_each_has_its_own_and_datasets_share_theirs(base: Settings) -> None:
    write(base, *OWN)
    found = dag_ids.expected(base)
    assert len(found) == 4 * 7 + 2 * 2
    assert {"home.incremental_update", "online_retail.ingest_behavior"} <= found
    assert dag_ids.dags_of_arrival(base) == {
        "online_retail.behavior_arrival": False, "movielens.behavior_arrival": True,
    }  # fmt: skip
    assert dag_ids.pool_of(settings_of(base, "films")) == "films.gpu"


def test_a_recommender_knows_its_own_and_its_datasets(base: Settings) -> None:
    for name in dag_ids.DAG_IDS:
        assert dag_ids.dag_id(settings_of(base, "default"), name) == name
        assert dag_ids.dag_id(base, name) == name
    write(base, *OWN)
    films = settings_of(base, "films")
    assert dag_ids.dag_id(films, "ingest_behavior") == "movielens.ingest_behavior"
    assert dag_ids.dag_id(films, "full_rebuild") == "films.full_rebuild"


@pytest.mark.parametrize(
    ("dag_id", "name"),
    [
        ("home.incremental_update", "home"),
        ("movielens.incremental_update", "movielens"),
        ("movielens.ingest_behavior", "films"),  # the dataset's, not the recommender's of that name
        ("online_retail.ingest_behavior", "home"),  # "after" needs no features
        ("after.somebodys_own", "after"),
        ("somebodys_own", ""),
        ("incremental_update", ""),
        ("ingest_behavior", ""),
        ("nobody.incremental_update", ""),
    ],
)
def test_a_dag_runs_as_the_recommender_that_its_id_says(
    base: Settings, dag_id: str, name: str
) -> None:
    write(base, *OWN)
    assert dag_ids.recommender_of(base, dag_id) == name


def test_beside_the_default_its_dataset_keeps_its_plain_names(base: Settings) -> None:
    write(base, "default", "after", "films")
    found = dag_ids.expected(base)
    assert {"incremental_update", "ingest_behavior", "after.incremental_update"} <= found
    assert "online_retail.ingest_behavior" not in found
    assert "movielens.ingest_behavior" in found
    assert dag_ids.recommender_of(base, "ingest_behavior") == "default"


def test_a_broken_file_takes_its_own_dags_only(base: Settings) -> None:
    write(base, *OWN)
    (base.config / "recommenders" / "home.toml").write_text("x")
    assert "home.incremental_update" not in dag_ids.expected(base)
    assert dag_ids.recommender_of(base, "online_retail.ingest_behavior") == "movielens"
    assert [one.prefix for one in dag_ids.shared(usable(base)[0])] == ["online_retail", "movielens"]
