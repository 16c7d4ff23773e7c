"""Feedback of a kind that would never become behavior is refused while its sender can still mend it."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

from fastapi.testclient import TestClient

from recloop.server.api import create_app
from recloop.server.following import State
from recloop.server.limits import Serve
from recloop.settings import Settings


def client(settings: Settings, *kinds: str) -> TestClient:
    """A server that is not started, whose release does nothing."""
    app = create_app(settings, Serve())
    serving: Any = SimpleNamespace(kinds=kinds, settings=settings)
    (name,) = app.state.follower.states
    app.state.follower.states[name] = State(serving=serving)
    return TestClient(app)


def told(kind: str) -> dict[str, str]:
    return {"request_id": str(uuid.uuid4()), "item": "i1", "kind": kind}


def test_a_kind_that_the_dataset_file_does_not_name_is_refused(settings: Settings) -> None:
    asked = client(settings, "click", "order")
    answer = asked.post("/v1/feedback", json=told("clicked"))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["value"]) == ("kind", "clicked")
    assert error["message"] == "should be one of click, order, those of [feedback]"
    assert asked.post("/v1/feedback", json=told("order")).json()["kept"]


def test_without_the_table_every_kind_is_kept(settings: Settings) -> None:
    assert client(settings).post("/v1/feedback", json=told("whatever")).status_code == 200
