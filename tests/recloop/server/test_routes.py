"""A body's route: who asks comes before what is asked."""

from __future__ import annotations

import asyncio
import json

import pytest

from recloop.server import routes
from recloop.server.keys import make_key
from recloop.settings import Settings
from tests.recloop.server.conftest import Asking


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_a_page_of_another_site_cannot_post(kind: str, asking: Asking) -> None:
    """Browsers send these without asking the server first."""
    with asking() as client:
        answer = client.post("/v1/recommend", content="{}", headers={"content-type": kind})
        assert answer.status_code == 415
        (error,) = answer.json()["errors"]
        assert (error["value"], error["message"]) == (kind, "should be application/json")
        kind = "Application/JSON; charset=utf-8"
        answer = client.post("/v1/recommend", content="{}", headers={"content-type": kind})
        assert answer.status_code == 200


def test_nothing_is_read_of_one_without_a_key(shop: Settings, asking: Asking) -> None:
    make_key(shop, "shop", ("recommend",))
    with asking() as client:
        app = client.app
        sent: list[dict[str, object]] = []

        async def never() -> dict[str, object]:
            raise AssertionError("a byte was read")

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/v1/recommend", "raw_path": b"/v1/recommend",
            "query_string": b"", "headers": [(b"content-type", b"application/json")],
            "http_version": "1.1", "scheme": "http", "server": ("a", 1), "client": ("b", 2),
        }  # fmt: skip
        asyncio.run(app(scope, never, send))  # type: ignore[arg-type]
        assert sent[0]["status"] == 401


def test_a_body_that_does_not_come_is_not_waited_for(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "PATIENCE", 0.05)
    with asking() as client:
        sent: list[dict[str, object]] = []

        async def slow() -> dict[str, object]:
            await asyncio.sleep(30)
            return {}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/v1/feedback", "raw_path": b"/v1/feedback",
            "query_string": b"", "headers": [(b"content-type", b"application/json")],
            "http_version": "1.1", "scheme": "http", "server": ("a", 1), "client": ("b", 2),
        }  # fmt: skip
        asyncio.run(client.app(scope, slow, send))  # type: ignore[arg-type]
        assert sent[0]["status"] == 408
        body = sent[1]["body"]
        assert isinstance(body, bytes)
        assert "within 0.05 s" in json.loads(body)["errors"][0]["message"]


def test_the_last_of_two_alike_fields_counts(asking: Asking) -> None:
    with asking() as client:
        text = '{"count": 3, "count": 2}'
        answer = client.post(
            "/v1/recommend", content=text, headers={"content-type": "application/json"}
        )
        assert len(answer.json()["items"]) == 2
