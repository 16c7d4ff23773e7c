"""Who may call what, cell by cell of the table in `docs/serving.md`; the settings' table beside it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from recloop.server import bodies
from recloop.server.keys import SCOPES, make_key
from recloop.server.serve_file import Serve
from recloop.settings import PROJECT, Settings
from tests.recloop.server.conftest import Asking

TEXT = (PROJECT / "docs" / "serving.md").read_text()
BODIES: dict[str, dict[str, Any]] = {
    "/v1/recommend": {"user": "12000"},
    "/v1/similar": {"item": "20003"},
    "/v1/feedback": {
        "request_id": "4e6f1b9c-6a0e-4c39-9d0b-0b6f4d1f7a55", "item": "20003", "kind": "click",
    },
}  # fmt: skip


def table(title: str) -> Iterator[dict[str, str]]:
    """The rows of the table under a title, by the heads of its columns."""
    lines = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0].splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    for row in rows[2:]:
        yield dict(zip(rows[0], row, strict=True))


def status(client: TestClient, route: str, key: str | None) -> int:
    method, path = route.strip("`").split()
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    if method == "POST":
        return client.post(path, json=BODIES[path], headers=headers).status_code
    return client.get(path, headers=headers).status_code


def test_who_may_call_what(shop: Settings, asking: Asking) -> None:
    rows = list(table("Who may call what"))
    with asking() as client:
        routes = {
            f"`{method} {route.path}`"
            for route in client.app.routes  # type: ignore[attr-defined]
            for method in (getattr(route, "methods", None) or ())
            if method != "HEAD"
        }
        documented = {
            f"`{method.upper()} {path}`"
            for path, methods in client.get("/openapi.json").json()["paths"].items()
            for method in methods
        }
        assert documented | {"`GET /openapi.json`"} == {row["route"] for row in rows}
        assert routes <= documented | {"`GET /openapi.json`"}
        for row in rows:
            assert status(client, row["route"], None) == int(row["no keys made"]), row
    keys: dict[str, str | None] = {scope: make_key(shop, scope, (scope,)) for scope in SCOPES}
    keys |= {"no key": None, "wrong key": f"{keys['read']}x"}
    with asking() as client:
        for row, (column, key) in itertools.product(rows, keys.items()):
            assert status(client, row["route"], key) == int(row[column]), (row["route"], column)


def test_a_key_may_stand_in_either_header(shop: Settings, asking: Asking) -> None:
    key = make_key(shop, "shop", ("recommend",))
    with asking() as client:
        for headers, expected in (
            ({"X-API-Key": key}, 200),
            ({"Authorization": f"bearer  {key} "}, 200),
            ({"Authorization": f"Basic {key}"}, 401),
            ({"Authorization": key}, 401),
            ({"Authorization": "Bearer \u00e9"}, 401),
            ({"X-API-Key": ""}, 401),
        ):
            encoded = {name: value.encode("latin-1") for name, value in headers.items()}
            answer = client.post("/v1/recommend", json={}, headers=encoded)  # type: ignore[arg-type]
            assert answer.status_code == expected, headers
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "recloop serve-key add" in answer.text


def test_a_dropped_key_ends_in_a_running_server(shop: Settings, asking: Asking) -> None:
    from recloop.server.keys import drop_key

    key = make_key(shop, "shop", ("recommend",))
    with asking() as client:
        door = client.app.state.door  # type: ignore[attr-defined]
        assert status(client, "POST /v1/recommend", key) == 200
        drop_key(shop, "shop")
        door._read_at -= 2
        assert status(client, "POST /v1/recommend", key) == 401
        assert status(client, "POST /v1/recommend", None) == 401


def test_the_settings_are_those_of_the_file() -> None:
    said = {row["key"].strip("`"): row["default"] for row in table("Settings")}
    expected: dict[str, Any] = {}
    for name, value in Serve().model_dump().items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        expected |= {f"{name}.{key}".rstrip("."): one for key, one in inner}
    assert said == {name: json.dumps(value) for name, value in expected.items()}


@pytest.mark.parametrize("path", BODIES)
def test_examples_of_the_page_and_of_the_openapi_document_are_answered(
    path: str, asking: Asking
) -> None:
    shown = re.findall(
        rf"localhost:8085{path}[^']*'content-type: application/json'\s*\\?\s*-d '(.*?)'", TEXT
    )
    assert shown
    with asking() as client:
        described = client.get("/openapi.json").json()["components"]["schemas"]
        model = {"/v1/recommend": "Recommend", "/v1/similar": "Similar", "/v1/feedback": "Told"}[
            path
        ]
        for example in [*map(json.loads, shown), *described[model]["examples"]]:
            answer = client.post(path, json=example)
            # The shop of this test has not the items of the page's.
            assert answer.status_code == (404 if path == "/v1/similar" else 200), answer.text


def test_answers_are_what_the_document_says(asking: Asking) -> None:
    with asking() as client:
        body = {"user": "12000", "session": ["no"], "explain": True}
        bodies.Recommended.model_validate(client.post("/v1/recommend", json=body).json())
        bodies.SimilarItems.model_validate(
            client.post("/v1/similar", json={"item": "20003", "exclude": ["no"]}).json()
        )
        found = bodies.Releases.model_validate(client.get("/v1/releases").json())
        assert [(one.release, one.champion) for one in found.releases] == [
            (3, True), (2, False), (1, False),
        ]  # fmt: skip
        assert (found.answering, found.releases[2].parent) == (3, None)
        bodies.Ready.model_validate(client.get("/health/ready").json())
        assert client.get("/docs").status_code == 404  # their pages come from other hosts
