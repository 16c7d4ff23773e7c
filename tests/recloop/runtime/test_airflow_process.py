"""Starting Airflow where somebody else is faster."""

from __future__ import annotations

from typing import Any

import pytest

from recloop.errors import ServiceAway
from recloop.runtime import airflow_process
from recloop.runtime.process_sessions import log_file
from recloop.settings import Settings

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
