"""Requests to answers: who is known, what is degraded, what is noted; families and recommenders."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from recloop.cli.loop import run_update
from recloop.config.recommenders import recommenders, settings_of
from recloop.release.recommend import recommend
from recloop.server import connections
from recloop.server.api import create_app
from recloop.server.serve_file import Serve
from recloop.server.serving import Serving
from recloop.settings import Settings
from recloop.stages.ingest_stages import ingest_windows
from tests.integration import family_shop
from tests.recloop.server.conftest import Asking, ledger_of

NOBODY = "postgresql+psycopg2://nobody@127.0.0.1:1/none"
Json = dict[str, Any]


def ask(client: TestClient, path: str = "recommend", **body: Any) -> Json:
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def items(answer: Json) -> list[str]:
    return [row["item"] for row in answer["items"]]


def test_what_was_shown_is_noted_with_the_features_as_served(
    shop: Settings, asking: Asking
) -> None:
    with asking() as client:
        answer = ask(client, user=" 12000.0 ", count=3)
        stranger = ask(client, session=["20003"], count=2)
        client.app.state.recorder.flush()  # type: ignore[attr-defined]
    rows = ledger_of(
        shop,
        "select request_id, version, user_id, array(select item_id from unnest(items) with ordinality "
        "as one (item_key, place) join behavior.item using (item_key) order by place), features, "
        "moment from ledger.impression order by at",
    )
    assert [row[:4] for row in rows] == [
        (answer["request_id"], 3, "12000", items(answer)),
        (stranger["request_id"], 3, "", items(stranger)),
    ]
    (features, moment), (nothing, _) = (row[4:] for row in rows)
    known = ledger_of(
        shop,
        "select history from features.user_history join behavior.account using (user_key) "
        "where user_id = '12000' and event_timestamp <= %s order by event_timestamp desc limit 1",
        moment,
    )
    assert features["history"] == known[0][0]
    assert len(features["items"]) == len(features["values"]) > 0
    assert (nothing["history"], nothing["items"]) == ([], [])


def test_one_answer_is_computed_at_a_time_while_others_wait_for_the_database(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    computing, most, waiting = [], [], threading.Barrier(4)
    answer, person = Serving.answer, Serving.person

    def counted(self: Serving, *given: Any) -> Any:
        computing.append(1)
        most.append(len(computing))
        time.sleep(0.02)
        try:
            return answer(self, *given)
        finally:
            computing.pop()

    def met(self: Serving, *given: Any) -> Any:
        waiting.wait(10)  # is passed only if four are here at once
        return person(self, *given)

    with asking() as client:
        monkeypatch.setattr(Serving, "answer", counted)
        monkeypatch.setattr(Serving, "person", met)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: ask(client, user=f"{12500 + n}"), range(4)))
    assert most == [1, 1, 1, 1]


def test_impressions_may_be_switched_off(shop: Settings, asking: Asking) -> None:
    with asking(Serve.model_validate({"impressions": {"kept": False}})) as client:
        ask(client, user="12000")
    assert ledger_of(shop, "select count(*) from ledger.impression") == [(0,)]


@pytest.mark.parametrize("strange", ["a\0b", "\x7f\x1b[2J", "'; drop table x --", "\\N", "x" * 512])
def test_whatever_the_ids_there_is_an_answer_and_all_is_noted(
    strange: str, shop: Settings, asking: Asking
) -> None:
    with asking() as client:
        answer = ask(client, user=strange, session=[strange], exclude=[strange])
        assert (answer["answered_from"], answer["ignored"]) == ("popularity", [strange])
        ask(client, user="12000")
        told = {"request_id": answer["request_id"], "item": strange, "kind": "click"}
        ask(client, "feedback", **told)
        recorder = client.app.state.recorder  # type: ignore[attr-defined]
        recorder.flush()
        assert (recorder.written, recorder.lost) == (3, 0)
    assert ledger_of(shop, "select count(*) from ledger.impression") == [(2,)]
    assert ledger_of(shop, "select count(*) from ledger.feedback") == [(1,)]


def test_no_more_is_given_than_the_file_allows(asking: Asking) -> None:
    with asking(most_items=4) as client:
        assert len(ask(client, count=1000)["items"]) == 4
        assert len(ask(client, "similar", item="20003", count=5)["items"]) == 4


def test_while_the_database_is_away_who_is_known_is_answered_whole(
    shop: Settings, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = Serve.model_validate({"threads": 1, "poll_seconds": 3600})
    with asking(serve) as client:
        before = ask(client, user="12000")
        other = ask(client, user="12001")
        follower = client.app.state.follower  # type: ignore[attr-defined]
        # What is known of one of them is forgotten, and the database goes.
        (state,) = follower.states.values()
        del state.serving._people._kept["12001"]
        real = connections.connect
        monkeypatch.setattr(connections, "connect", lambda url, *rest: real(NOBODY, *rest))
        follower.settings_of("default")
        _end_all(shop)
        again = ask(client, user="12000")
        assert "degraded" not in again
        assert items(again) == items(before)
        stranger = ask(client, session=["20003"])
        assert "degraded" not in stranger
        degraded = ask(client, user="12001")
        assert "the database is away" in degraded["degraded"]
        assert degraded["answered_from"] == "popularity"
        assert client.get("/v1/releases").status_code == 503
        assert client.get("/health/ready").status_code == 200
        assert "recloop_degraded_answers_total 1.0" in client.get("/metrics").text
        ask(client, "feedback", request_id=before["request_id"], item="20003", kind="click")
        recorder = client.app.state.recorder  # type: ignore[attr-defined]
        recorder.flush()
        assert (recorder.waiting, recorder.lost) == (6, 0)
        monkeypatch.undo()
        follower.look()
        assert items(ask(client, user="12001")) == items(other)
        recorder.flush()
        assert (recorder.waiting, recorder.lost) == (0, 0)
    assert ledger_of(shop, "select count(*) from ledger.impression") == [(6,)]


def _end_all(settings: Settings) -> None:
    ledger_of(
        settings,
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = %s and datname = current_database()",
        connections.NAME,
    )


def test_feedback_without_room_is_told(asking: Asking) -> None:
    serve = Serve.model_validate(
        {"impressions": {"waiting": 1, "kept": False}, "poll_seconds": 3600}
    )
    with asking(serve) as client:
        recorder = client.app.state.recorder  # type: ignore[attr-defined]
        recorder._stopping.set()
        recorder._thread.join()
        told = {"request_id": str(uuid.uuid4()), "item": "20003", "kind": "click"}
        answers = [client.post("/v1/feedback", json=told) for _ in range(2)]
        assert [one.status_code for one in answers] == [200, 503]
        assert answers[1].headers["retry-after"] == "5"
        assert "too much waits" in answers[1].text


def test_a_first_champion_is_waited_for(settings: Settings, cursor: object) -> None:
    with TestClient(create_app(settings, Serve())) as client:
        assert client.get("/health/ready").status_code == 503
        answer = client.post("/v1/recommend", json={"user": "1"})
        assert answer.status_code == 503
        assert "no release answers: it has no champion yet" in answer.text
        assert client.get("/health/live").status_code == 200


def test_similar_items_of_one_that_is_not_known(asking: Asking) -> None:
    with asking() as client:
        answer = client.post("/v1/similar", json={"item": "nothing"})
        assert answer.status_code == 404
        (error,) = answer.json()["errors"]
        assert (error["field"], error["value"]) == ("item", "nothing")
        assert error["message"] == "should be an item that release 3 knows"
        found = ask(client, "similar", item="20003", filter={"item_id": {"in": ["20004", 20005]}})
        assert set(items(found)) == {"20004", "20005"}


def test_many_at_once_are_answered_each_for_its_own(shop: Settings, asking: Asking) -> None:
    users = [row[0] for row in ledger_of(shop, "select user_id from behavior.account")][:16]
    expected = {user: [one.item_id for one in recommend(shop, user, 5).items] for user in users}
    wrong: list[str] = []
    with asking() as client:

        def ask_all(start: int) -> None:
            for n in range(32):
                user = users[(start + n) % len(users)]
                if items(ask(client, user=user, count=5)) != expected[user]:
                    wrong.append(user)

        threads = [threading.Thread(target=ask_all, args=(3 * n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize("name", ["sessions", "ratings", "click_through", "registered"])
def test_families(name: str, database_url: str, tmp_path: Path) -> None:
    settings = family_shop.settings_of(database_url, tmp_path, family_shop.MODELS[name])
    family_shop.deliver(settings, 0, 1)
    ingest_windows(settings)
    assert run_update(settings, None, "rebuild", {})["outcome"] == "promoted"
    with TestClient(create_app(settings, Serve())) as client:
        if name == "registered":
            health = client.get("/health/ready")
            assert health.status_code == 503
            assert "its family declares no `answers`" in health.text
            assert "`recloop publish --release" in health.text
            return
        answer = ask(client, user="v00", count=5, explain=True)
        expected = recommend(settings, "v00", 5)
        assert [(row["item"], row["score"]) for row in answer["items"]] == [
            (one.item_id, one.score) for one in expected.items
        ]
        session = ["film 03", "film 04"]
        clicked = ask(client, session=session, count=5)
        if name == "ratings":  # a session says nothing to it, and the answer says so
            assert clicked["answered_from"] == "popularity"
            return
        assert clicked["answered_from"] == "session"
        assert items(clicked) == [
            one.item_id for one in recommend(settings, k=5, session=session).items
        ]
        similar = client.post("/v1/similar", json={"item": "film 03", "count": 3})
        if name == "click_through":
            assert similar.status_code == 422
            assert "has no vectors of items" in similar.text
        else:
            assert len(similar.json()["items"]) == 3


def test_several_recommenders_in_one_server(shop: Settings) -> None:
    folder = shop.config / "recommenders"
    folder.mkdir(exist_ok=True)
    try:
        for name in ("default", "product_page"):
            (folder / f"{name}.toml").write_text("")
        assert set(recommenders(shop)) == {"default", "product_page"}
        with TestClient(create_app(shop, Serve())) as client:
            health = client.get("/health/ready")
            assert health.status_code == 503
            told = health.json()["recommenders"]
            assert (told["default"]["release"], told["product_page"]["release"]) == (3, None)
            answer = ask(client, user="12000", recommender="default")
            assert answer["recommender"] == "default"
            assert items(answer) == [
                one.item_id for one in recommend(settings_of(shop, "default"), "12000").items
            ]
            for which, status in (("", 404), ("nothing", 404), ("product_page", 503)):
                refused = client.post("/v1/recommend", json={"recommender": which})
                assert refused.status_code == status
                (error,) = refused.json()["errors"]
                assert (error["field"], error["value"]) == ("recommender", which)
            assert "default, product_page" in client.get("/v1/releases?recommender=x").text
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
