"""Starting Airflow where somebody else is faster."""

from __future__ import annotations

from typing import Any

import pytest

from recloop.database.connection import transaction
from recloop.errors import BadInput, ServiceAway
from recloop.runtime import airflow_process
from recloop.runtime.process_sessions import log_file
from recloop.settings import Settings
from tests.conftest import copy_database

TAKEN = "[error    ] [Errno 98] error while attempting to bind on address: address already in use"


@pytest.fixture
def tried(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ports at which a start was tried; the first is taken by then."""
    ports: list[int] = []
    log_file(settings, "api-server").parent.mkdir(parents=True)
    log_file(settings, "api-server").write_text(f"Running the API server\n{TAKEN}\n")

    def start(settings: Settings, state: Any, timeout: float) -> str:
        ports.append(state["port"])
        if len(ports) == 1:
            raise airflow_process._ended(settings, state, "api-server")
        return "a client"

    monkeypatch.setattr(airflow_process, "_start", start)
    return ports


def test_a_port_that_another_up_took_meanwhile_is_left_to_it(
    settings: Settings, tried: list[int]
) -> None:
    assert airflow_process.start(settings) == "a client"
    first, second = tried
    assert first != second


def test_a_port_that_was_asked_for_and_is_taken_is_told_in_one_sentence(
    settings: Settings, tried: list[int]
) -> None:
    asked = airflow_process.free_port()
    with pytest.raises(ServiceAway, match=f"port {asked} is taken; give another"):
        airflow_process.start(settings, asked)
    assert tried == [asked]


class Dags:
    """Stands in for the client."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.calls: dict[str, bool] = {}

    def dag_ids(self) -> list[str]:
        return list(self.names)

    def pause(self, dag_id: str, paused: bool) -> None:
        if dag_id == "breaks":
            raise ServiceAway("gone")
        self.calls[dag_id] = paused


def test_dags_are_woken_once_and_stay_as_people_left_them(settings: Settings) -> None:
    settings.airflow_home.mkdir(parents=True)

    def woken(*names: str) -> dict[str, bool]:
        client: Any = Dags(*names)
        airflow_process.wake_once(settings, client, ("b",))
        return dict(client.calls)

    with pytest.raises(ServiceAway):
        woken("a", "breaks")  # nothing is noted before all are awake
    assert woken("a", "b") == {"a": False, "b": True}
    assert woken("a", "b", "c") == {"c": False}
    assert woken("a", "b", "c") == {}


def test_an_airflow_that_this_home_did_not_make_is_left_alone(
    settings: Settings, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = copy_database(server_url, name="somebodys_airflow")
    with transaction(theirs) as cursor:
        cursor.execute("create table alembic_version (x text)")
    monkeypatch.setattr(airflow_process, "with_database", lambda *_: theirs)
    monkeypatch.setattr(airflow_process, "AIRFLOW", "somebodys_airflow")
    with pytest.raises(BadInput, match="did not make"):
        airflow_process._refuse_anothers_airflow(settings)
    settings.airflow_home.mkdir(parents=True, exist_ok=True)
    airflow_process._note(settings).write_text("[]")  # of an earlier version of this home's
    airflow_process._refuse_anothers_airflow(settings)
