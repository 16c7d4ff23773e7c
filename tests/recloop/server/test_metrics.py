"""What Prometheus is told: true numbers, and labels that strangers cannot multiply."""

from __future__ import annotations

import re

from fastapi.testclient import TestClient

from recloop.server.serve_file import Serve
from tests.recloop.server.conftest import Asking

SERVE = Serve.model_validate({"poll_seconds": 3600, "impressions": {"waiting": 3}})


def told(client: TestClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    split = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in split}


def test_requests_seconds_releases_and_impressions(asking: Asking) -> None:
    with asking(SERVE) as client:
        client.app.state.recorder._stopping.set()  # type: ignore[attr-defined]
        client.app.state.recorder._thread.join()  # type: ignore[attr-defined]
        for _ in range(4):
            client.post("/v1/recommend", json={})
        client.post("/v1/recommend", json={"count": 0})
        client.post("/v1/similar", json={"item": "20003"})
        found = told(client)
    assert found['recloop_requests_total{path="/v1/recommend",status="200"}'] == 4
    assert found['recloop_requests_total{path="/v1/recommend",status="422"}'] == 1
    assert found['recloop_answer_seconds_count{asked="recommend"}'] == 4
    assert 0 < found['recloop_answer_seconds_sum{asked="recommend"}'] < 60
    assert found['recloop_release{recommender="default"}'] == 3
    assert found['recloop_refused_release{recommender="default"}'] == 0
    assert found['recloop_database_away{recommender="default"}'] == 0
    assert found["recloop_impressions_waiting"] == 3
    assert found["recloop_impressions_lost_total"] == 1
    assert found["recloop_impressions_written_total"] == 0


def test_labels_do_not_grow_with_what_strangers_send(asking: Asking) -> None:
    with asking(SERVE) as client:
        for n in range(20):
            client.get(f"/v1/{n}")
            client.request(f"BREW{n}", "/v1/recommend")
            client.post("/v1/recommend", json={"recommender": f"r{n}"})
        names = told(client)
    lines = [name for name in names if name.startswith("recloop_requests_total")]
    assert {re.sub(r'.*path="([^"]*)".*', r"\1", line) for line in lines} == {
        "other", "/v1/recommend",
    }  # fmt: skip
    assert len(lines) == 3
