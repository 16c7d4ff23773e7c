"""Promotion, rollback, damage and its mending, a database that is away: which release answers, and who
is told."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from recloop.errors import ServiceAway
from recloop.ledger import served
from recloop.server import connections, following
from recloop.server.following import Follower
from recloop.settings import Settings
from tests.recloop.server.conftest import Asking, folder_of, ledger_of, reign

NOBODY = "postgresql+psycopg2://nobody@127.0.0.1:1/none"


def notes(settings: Settings) -> list[tuple[int, str]]:
    return ledger_of(settings, "select version, state from ledger.served order by at")


def state_of(follower: Follower) -> tuple[int | None, int]:
    (state,) = follower.states.values()
    return state.serving.release.version if state.serving else None, state.refused


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def answers_file(settings: Settings, version: int) -> Path:
    return folder_of(settings, version) / "saved_model/assets.extra/answers/item_vectors.npy"


def test_every_reign_is_followed_and_noted_once(shop: Settings) -> None:
    follower = Follower(shop, 3600)
    assert state_of(follower) == (None, 0)
    for version in (3, 1, 1, 2, 3):
        reign(shop, version)
        follower.look()
        follower.look()
        assert state_of(follower) == (version, 0)
    assert notes(shop) == [(version, "served") for version in (3, 1, 2, 3)]
    (newest, *_) = ledger_of(shop, "select server from ledger.served")
    assert newest[0].rpartition(":")[2].isdigit()


@pytest.mark.parametrize(
    "damage",
    [
        lambda shop: flip(answers_file(shop, 2)),
        lambda shop: answers_file(shop, 2).unlink(),
        lambda shop: shutil.rmtree(folder_of(shop, 2)),
        lambda shop: (folder_of(shop, 2) / "saved_model/assets.extra/sha256.json").write_text("{}"),
        lambda shop: (folder_of(shop, 2) / "saved_model/more").write_text("a stranger's"),
    ],
)
def test_a_damaged_release_is_refused_and_the_old_one_goes_on(
    damage: Callable[[Settings], None], shop: Settings, asking: Asking
) -> None:
    with asking() as client:
        follower = client.app.state.follower
        before = client.post("/v1/recommend", json={"user": "12000"}).json()
        damage(shop)
        reign(shop, 2)
        for _ in range(3):
            follower.look()
        assert state_of(follower) == (3, 2)
        after = client.post("/v1/recommend", json={"user": "12000"}).json()
        assert after | {"request_id": ""} == before | {"request_id": ""}
        health = client.get("/health/ready")
        assert health.status_code == 200
        told = health.json()["recommenders"]["default"]
        assert (told["release"], told["refused"]) == (3, 2)
        assert "`recloop rollback` goes back to an earlier release" in told["reason"]
        assert 'recloop_refused_release{recommender="default"} 2.0' in client.get("/metrics").text
        assert notes(shop) == [(3, "served"), (2, "refused")]
        reason = ledger_of(shop, "select reason from ledger.served where state = 'refused'")
        assert reason == [(told["reason"],)]
        reign(shop, 1)
        follower.look()
        assert state_of(follower) == (1, 0)
        assert "refused" not in client.get("/health/ready").json()["recommenders"]["default"]


def test_what_was_mended_is_taken_later(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AGAIN", 4)
    follower = Follower(shop, 3600)
    follower.look()
    whole = shutil.copytree(folder_of(shop, 2), folder_of(shop, 9))
    flip(answers_file(shop, 2))
    reign(shop, 2)
    follower.look()
    assert state_of(follower) == (3, 2)
    shutil.rmtree(folder_of(shop, 2))
    shutil.copytree(whole, folder_of(shop, 2))
    follower.look()
    assert state_of(follower) == (3, 2)  # its turn has not come
    follower.look()
    assert state_of(follower) == (2, 0)
    assert notes(shop) == [(3, "served"), (2, "refused"), (2, "served")]


def test_whatever_goes_wrong_in_opening_the_old_one_goes_on(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(shop, 3600)
    follower.look()
    reign(shop, 2)

    def no_memory(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(following, "Serving", no_memory)
    follower.look()
    assert state_of(follower) == (3, 2)
    (state,) = follower.states.values()
    assert "release 2 cannot be opened: MemoryError: no room" in state.reason


def test_before_the_first_champion_nothing_answers(settings: Settings, cursor: object) -> None:
    follower = Follower(settings, 3600)
    follower.look()
    assert state_of(follower) == (None, 0)
    assert ledger_of(settings, "select count(*) from ledger.served") == [(0,)]


def test_while_the_database_is_away_the_release_goes_on_and_then_follows(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(shop, 3600)
    follower.look()
    reign(shop, 2)
    real = connections.connect
    monkeypatch.setattr(connections, "connect", lambda url, *rest: real(NOBODY, *rest))
    for connection in connections._threads.__dict__["kept"].values():
        connection.close()
    follower.look()
    (state,) = follower.states.values()
    assert state_of(follower) == (3, 0)
    assert "cannot be reached" in state.away
    monkeypatch.undo()
    follower.look()
    (state,) = follower.states.values()
    assert (state_of(follower), state.away) == ((2, 0), "")


def test_a_database_that_goes_while_a_release_is_opened_says_nothing_of_the_release(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(shop, 3600)
    follower.look()
    reign(shop, 2)

    def gone(*_: object) -> None:
        raise ServiceAway("the connection was lost.")

    monkeypatch.setattr(following, "Serving", gone)
    follower.look()
    assert state_of(follower) == (3, 0)
    monkeypatch.undo()
    follower.look()
    assert state_of(follower) == (2, 0)


def test_it_follows_by_itself_until_it_is_stopped(shop: Settings) -> None:
    follower = Follower(shop, 0.02)
    follower.start()
    reign(shop, 1)
    swapped = threading.Event()
    for _ in range(500):
        if state_of(follower) == (1, 0) or swapped.wait(0.02):
            break
    assert state_of(follower) == (1, 0)
    follower.stop()
    assert not follower._thread.is_alive()


def test_the_newest_notes_come_first(shop: Settings, cursor: object) -> None:
    from recloop.database.connection import transaction

    with transaction(shop.database_url) as writing:
        served.note(writing, "one", 1, "served", "")
    with transaction(shop.database_url) as writing:
        served.note(writing, "one", 2, "refused", "damaged")
        found = served.latest(writing, 1)
    assert [(row["server"], row["version"], row["reason"]) for row in found] == [
        ("one", 2, "damaged")
    ]
