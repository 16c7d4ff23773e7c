"""A new champion is published, unless the next one is about to come or a run is queued."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException
from recloop_airflow.waking import WakePublication

from recloop.stages import bookkeeping, update_stages


def woken(monkeypatch: pytest.MonkeyPatch, waiting: list[str], queued: int) -> list[Any]:
    started: list[Any] = []
    monkeypatch.setattr(bookkeeping, "current_settings", lambda name: name)
    monkeypatch.setattr(update_stages, "undecided", lambda name: waiting if name == "home" else [])
    monkeypatch.setattr(
        TriggerDagRunOperator, "execute", lambda self, _: started.append(self.trigger_dag_id)
    )
    task = WakePublication(
        task_id="publish", recommender="home", trigger_dag_id="home.publish_recommendations"
    )
    counted = SimpleNamespace(get_dr_count=lambda dag_id, states: queued)
    task.execute({"ti": counted, "params": {}})
    return started


def test_a_run_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert woken(monkeypatch, [], 0) == ["home.publish_recommendations"]


@pytest.mark.parametrize(
    ("waiting", "queued", "why"),
    [(["2011-06-06"], 0, "window 2011-06-06 waits"), ([], 1, "queued already")],
)
def test_none_is_needed(
    monkeypatch: pytest.MonkeyPatch, waiting: list[str], queued: int, why: str
) -> None:
    with pytest.raises(AirflowSkipException, match=why):
        woken(monkeypatch, waiting, queued)
