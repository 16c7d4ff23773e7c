"""Feedback of a kind that would never become behavior is refused while its sender can still mend it."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from recloop.config.dataset import load_dataset
from recloop.server import desk
from recloop.server.api import create_app
from recloop.server.serve_file import Serve
from recloop.settings import Settings


def told(kind: str) -> dict[str, str]:
    return {"request_id": str(uuid.uuid4()), "item": "i1", "kind": kind}


@pytest.fixture
def asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A server that is not started, on a dataset whose [feedback] names two kinds."""
    feedback = SimpleNamespace(kinds={"click": "click", "order": "purchase"})
    spec = SimpleNamespace(feedback=feedback, ids=load_dataset(settings).ids)
    monkeypatch.setattr(desk, "load_dataset", lambda _: spec)
    return TestClient(create_app(settings, Serve()))


def test_a_kind_that_the_dataset_file_does_not_name_is_refused(asked: TestClient) -> None:
    answer = asked.post("/v1/feedback", json=told("clicked"))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["value"]) == ("kind", "clicked")
    assert error["message"] == "should be one of click, order: the kinds of [feedback]"
    assert asked.post("/v1/feedback", json=told("order")).json()["kept"]


def test_without_the_table_every_kind_is_kept(settings: Settings) -> None:
    app = create_app(settings, Serve())
    assert TestClient(app).post("/v1/feedback", json=told("whatever")).status_code == 200
