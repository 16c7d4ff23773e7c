"""Tasks run as the recommender whose DAG they are in."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from recloop_airflow.runs_as import RunsAs

from recloop.settings import PROJECT, Settings


@pytest.mark.parametrize(
    ("dag_id", "name"),
    [("films.full_rebuild", "films"), ("retail.full_rebuild", "retail"), ("others", "before")],
)
def test_a_task_begins_as_the_recommender_of_its_dag(
    dag_id: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    (tmp_path / "config" / "recommenders").mkdir()
    for one in ("films", "retail", "before"):
        (tmp_path / "config" / "recommenders" / f"{one}.toml").write_text("")
    monkeypatch.setenv("RECLOOP_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("RECLOOP_RECOMMENDER", "before")
    RunsAs().on_task_instance_running("queued", SimpleNamespace(dag_id=dag_id))
    assert Settings.from_environment().recommender == name
