"""`benchmarks.serving`, short, against a real server: swaps and a damaged release: none mixes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import serving, serving_swaps
from benchmarks.serving_home import UNLIMITED, command, running, start_load, taken
from benchmarks.serving_load import Plan
from recloop.errors import BadInput
from recloop.settings import Settings
from tests.recloop.server.conftest import ledger_of

pytestmark = pytest.mark.slow
RATE = 40.0


def test_nothing_fails_and_no_answer_mixes_releases(shop: Settings) -> None:
    (shop.config / "serve.toml").write_text(UNLIMITED)
    users = [row[0] for row in ledger_of(shop, "select user_id from behavior.account limit 20")]
    with running(shop) as server:
        found = serving_swaps.run(shop, server, users, requests=400, swaps=5, rate=RATE)
        assert server.cpu_seconds() > 0
        assert server.health()["ready"]
    assert found["requests"] >= 400
    assert (found["failed"], found["mixed"], found["refused"]) == (0, 0, 1)
    assert found["releases_seen"] == [1, 2, 3]
    assert found["swaps_seen"] >= 4
    notes = ledger_of(shop, "select version, state from ledger.served order by at")
    assert [note for note in notes if note[1] == "refused"] == [(2, "refused")]
    assert len(notes) >= 6


def test_an_answer_of_another_release_or_of_none_is_told_as_mixed(shop: Settings) -> None:
    """A right answer, one with the number of another release, one of none, one cut in the middle."""
    from recloop.release.recommend import recommend

    user = str(ledger_of(shop, "select user_id from behavior.account limit 1")[0][0])

    def told(version: int, says: int) -> str:
        items = recommend(shop, user, version=version).items
        rows = [{"item": one.item_id, "score": one.score} for one in items]
        body = json.dumps({"request_id": "x" * 36, "release": says, "items": rows})
        return "0 " + body[len('{"request_id": "') + 36 :]

    answers = [told(3, 3), told(2, 3), told(1, 7), told(2, 2), told(3, 3)[:50]]
    load = {
        "answers": answers,
        "answer": [0, 1, 2, 3, 4, 3],
        "status": [200] * 6,
        "seconds": [0.001] * 6,
        "due": [0.0, 0.1, 0.2, 9.0, 9.1, 9.2],
    }
    found = serving_swaps.report(shop, load, [user], [1, 2, 3])
    assert found["mixed"] == 3


def test_the_load_counts_what_waits_for_a_connection(shop: Settings) -> None:
    (shop.config / "serve.toml").write_text(UNLIMITED)
    with running(shop) as server:
        for plan, requests in (
            (Plan(server.port, "/health/live", [], 60, rate=200.0, connections=2), 60),
            (Plan(server.port, "/v1/recommend", ['{"user": "1"}', "{"], 40, connections=3), 40),
        ):
            load = taken(start_load(plan, shop.home), shop.home)
            assert len(load["seconds"]) == requests
            assert min(load["seconds"]) > 0
            numbers = serving.numbers(load, 0.5)
            assert numbers["per_core_second"] == pytest.approx(requests / 0.5)
            assert numbers["p50"] == pytest.approx(np.median(load["seconds"]) * 1e3)
        assert sorted(load["status"]) == [200] * 20 + [400] * 20
        assert numbers["failed"] == 20
        due = sorted(load["due"])
        assert due[-1] > due[0]


def test_steps_and_servers() -> None:
    assert serving_swaps.steps([1, 2, 3], 6) == [1, 2, 3, 1, 2, 3]
    assert serving_swaps.steps(list(range(1, 10)), 5) == [1, 2, 3, 4, 2]
    assert command("granian", 7)[1:3] == ["-m", "granian"]
    with pytest.raises(BadInput, match="of uvicorn, granian"):
        command("apache", 7)
