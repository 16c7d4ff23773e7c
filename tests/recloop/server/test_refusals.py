"""What is not answered: each refusal names field, value and remedy, and none is a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from recloop.errors import BadInput
from recloop.server import api
from recloop.server.refusals import LONGEST, Refused
from recloop.settings import Settings
from tests.recloop.server.conftest import Asking

JSON = {"content-type": "application/json"}


@pytest.fixture
def client(asking: Asking) -> Iterator[TestClient]:
    with asking(body_bytes=100_000) as opened:
        yield opened


def refused(client: TestClient, text: str | bytes, path: str = "recommend") -> tuple[int, Any]:
    answer = client.post(f"/v1/{path}", content=text, headers=JSON)
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, json.loads(answer.text, parse_constant=pytest.fail)["errors"]


def test_field_value_and_remedy(client: TestClient) -> None:
    for text, field, value, message in (
        ('{"count": 0}', "count", 0, "greater than or equal to 1"),
        ('{"usr": "1"}', "usr", "1", "/openapi.json says which there are"),
        ('{"session": ["a", 3]}', "session.1", 3, "valid string"),
        ('{"filter": {"price": {}}}', "filter.price", {}, "give one of equals, in, below, above"),
        ('{"filter": {"price": {"below": NaN}}}', "filter.price.below", "nan", "finite"),
        ("3", "", 3, "object"),
        ("[]", "", [], "object"),
    ):
        status, (error,) = refused(client, text)
        assert (status, error["field"], error["value"]) == (422, field, value)
        assert message in error["message"]


def test_several_mistakes_are_told_at_once(client: TestClient) -> None:
    status, errors = refused(client, '{"count": 0, "usr": "1"}')
    assert (status, {one["field"] for one in errors}) == (422, {"count", "usr"})


def test_a_filter_that_says_an_attribute_that_no_item_has(client: TestClient) -> None:
    for path, more in (("recommend", ""), ("similar", '"item": "20003", ')):
        text = "{" + more + '"filter": {"colour": {"equals": "red"}}}'
        status, (error,) = refused(client, text, path)
        assert (status, error["field"]) == (422, "filter.colour")
        assert "there are Description, item_id, name" in error["message"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"user": "\\ud800"}',
        b'{"user": "\xff"}',
        '{"user": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"count": ' + "9" * 5000 + "}",
        "\0",
    ],
)
def test_no_json(text: str | bytes, client: TestClient) -> None:
    status, (error,) = refused(client, text)
    assert status == 400 or (status, error["field"]) == (422, "count")
    assert error["message"]


def test_long_values_are_cut(client: TestClient) -> None:
    _, (error,) = refused(client, json.dumps({"user": "x" * 1000}))
    assert len(error["value"]) == LONGEST + 1
    assert error["value"].startswith('"xxx')
    _, (error,) = refused(client, json.dumps({"count": ["y" * 1000]}))
    assert len(error["value"]) == LONGEST + 1


def test_a_body_is_cut_by_what_it_says_and_by_what_it_is(client: TestClient) -> None:
    long = json.dumps({"user": "x" * 100_000}).encode()
    status, (error,) = refused(client, long)
    assert (status, error["value"]) == (413, len(long))
    assert error["message"] == "the body should be of at most 100,000 bytes"
    read: list[int] = []

    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            read.append(1)
            yield b'"' + b"x" * 10_000

    answer = client.post("/v1/recommend", content=pieces(), headers=JSON)
    assert "content-length" not in answer.request.headers
    assert answer.status_code == 413
    assert "at most 100,000 bytes" in answer.text


def test_methods_and_paths_that_are_none(client: TestClient) -> None:
    for method, path, status in (
        ("GET", "/v1/recommend", 405),
        ("HEAD", "/health/live", 405),
        ("OPTIONS", "/v1/recommend", 405),
        ("BREW", "/v1/recommend", 405),
        ("DELETE", "/v1/releases", 405),
        ("GET", "/v1/nothing", 404),
        ("POST", "/", 404),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status, (method, path)
        if method != "HEAD":
            assert answer.json()["errors"][0]["message"]
        if status == 405:
            assert answer.headers["allow"] in ("POST", "GET")


def test_a_crash_is_told_as_one_and_keeps_its_secrets(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recloop.server.serving import Serving

    def crash(*_: object) -> None:
        raise ZeroDivisionError("password=secret")

    monkeypatch.setattr(Serving, "answer", crash)
    answer = client.post("/v1/recommend", json={})
    assert answer.status_code == 500
    assert "ZeroDivisionError" in answer.text
    assert "secret" not in answer.text


def test_an_answer_that_takes_too_long_is_given_up(
    asking: Asking, shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    from recloop.server.desk import Desk

    with asking(seconds=0.05) as client:
        monkeypatch.setattr(Desk, "_person", lambda *_: time.sleep(0.4))
        answer = client.post("/v1/recommend", json={})
        assert answer.status_code == 503
        assert "no answer within 0.05 s" in answer.text


def test_requests_beyond_the_rate_are_told_when_to_come_back(asking: Asking) -> None:
    with asking(burst=2, requests_per_second=0.5) as client:
        answers = [client.post("/v1/recommend", json={}) for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 429]
        assert answers[2].headers["retry-after"] == "2"
        assert "come back in" in answers[2].json()["errors"][0]["message"]


def test_the_field_of_a_message_is_the_one_that_it_names() -> None:
    error = Refused.of_input(BadInput("`filter.a-b` is no attribute"))
    assert error.errors[0]["field"] == "filter.a-b"
    assert Refused.of_input(BadInput("nothing named")).errors[0]["field"] == ""
    assert set(api.WHY) >= {400, 401, 403, 404, 408, 413, 415, 422, 429, 503}
