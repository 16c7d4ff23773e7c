"""The REST client against a server that answers as Airflow does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from recloop.errors import BadInput, ServiceAway
from recloop.runtime.airflow_client import AirflowClient
from tests.asked_airflow import AskedAirflow


class Fake(BaseHTTPRequestHandler):
    """Plays `script`: `{(method, path): [(status, body), …]}`, the last answer repeated."""

    script: dict[tuple[str, str], list[tuple[int, Any]]]
    seen: list[tuple[str, str, Any, str | None]]

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.seen.append((self.command, self.path, body, self.headers.get("Authorization")))
        answers = self.script.get((self.command, self.path.partition("?")[0]), [(404, {})])
        status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def fake() -> Iterator[tuple[AskedAirflow, type[Fake]]]:
    handler = type(
        "Script",
        (Fake,),
        {"seen": [], "script": {("POST", "/auth/token"): [(201, {"access_token": "t"})]}},
    )
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield AskedAirflow(f"http://127.0.0.1:{server.server_port}"), handler
    server.shutdown()
    server.server_close()


def test_trigger_logs_in_once_and_sends_what_airflow_requires(fake: Any) -> None:
    client, handler = fake
    runs = "/api/v2/dags/incremental_update/dagRuns"
    handler.script["POST", runs] = [(200, {"dag_run_id": "r1"})]
    assert client.trigger("incremental_update", {"plan": "skip"}) == "r1"
    client.trigger("incremental_update", partition_key="2011-06-06")
    assert [s[1] for s in handler.seen].count("/auth/token") == 1
    assert handler.seen[1][2:] == ({"logical_date": None, "conf": {"plan": "skip"}}, "Bearer t")
    assert handler.seen[2][2]["partition_key"] == "2011-06-06"


def test_a_refused_parameter_is_bad_input(fake: Any) -> None:
    client, handler = fake
    handler.script["POST", "/api/v2/dags/d/dagRuns"] = [(400, {"detail": "epochs: 0 is less"})]
    with pytest.raises(BadInput, match="epochs: 0 is less"):
        client.trigger("d")


def test_an_expired_token_is_renewed(fake: Any) -> None:
    client, handler = fake
    handler.script["GET", "/api/v2/dags"] = [(200, {"dags": []}), (401, {}), (200, {"dags": []})]
    assert client.dag_ids() == client.dag_ids() == []
    assert [s[1] for s in handler.seen].count("/auth/token") == 2


def test_a_pool_that_exists_is_left_alone(fake: Any) -> None:
    client, handler = fake
    handler.script["POST", "/api/v2/pools"] = [(409, {"detail": "exists"})]
    client.ensure_pool("gpu", 1, "training")


def test_a_backfill_waits_until_the_last_one_is_closed(fake: Any) -> None:
    client, handler = fake
    busy = (409, {"detail": "There is already a running backfill for dag d"})
    handler.script["POST", "/api/v2/backfills"] = [busy, (200, {"id": 5})]
    handler.script["GET", "/api/v2/dags/d/dagRuns"] = [(200, {"dag_runs": []})]
    assert client.backfill("d", "2011-05-30", "2011-06-06") == 5


def test_a_backfill_does_not_wait_for_one_at_work(fake: Any) -> None:
    client, handler = fake
    busy = (409, {"detail": "There is already a running backfill for dag d"})
    handler.script["POST", "/api/v2/backfills"] = [busy]
    active = {"dag_runs": [{"run_type": "backfill", "state": "queued"}]}
    handler.script["GET", "/api/v2/dags/d/dagRuns"] = [(200, active)]
    with pytest.raises(BadInput, match="already a running backfill"):
        client.backfill("d", "2011-05-30", "2011-06-06")


def test_silence_is_service_away() -> None:
    with pytest.raises(ServiceAway, match="recloop up"):
        AirflowClient("http://127.0.0.1:9").dag_ids()


def test_waiting_has_an_end(fake: Any) -> None:
    client, _ = fake
    with pytest.raises(ServiceAway, match=r"waited 0 s in vain for a miracle"):
        client.wait_until(lambda: False, 0.2, "a miracle", every=0.05)


def test_a_file_is_read_again_by_its_token(fake: Any) -> None:
    client, handler = fake
    handler.script["GET", "/api/v2/dags/d"] = [(200, {"file_token": "abc"})]
    handler.script["PUT", "/api/v2/parseDagFile/abc"] = [(201, {})]
    client.read_again("d")
    assert handler.seen[-1][:2] == ("PUT", "/api/v2/parseDagFile/abc")


def test_links_are_given_by_name(fake: Any) -> None:
    client, handler = fake
    path = "/api/v2/dags/d/dagRuns/r/taskInstances/t/links"
    handler.script["GET", path] = [(200, {"extra_links": {"Gate report": "/recloop/gate/1"}})]
    assert client.links("d", "r", "t") == {"Gate report": "/recloop/gate/1"}


def test_a_proxy_is_passed_by(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nothing listens
    monkeypatch.delenv("no_proxy", raising=False)
    client, handler = fake
    handler.script["GET", "/api/v2/dags"] = [(200, {"dags": []})]
    assert client.dag_ids() == []
