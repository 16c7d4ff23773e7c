"""Impressions: bounded, never waited for, and none lost that had room."""

from __future__ import annotations

import dataclasses
import threading
import time
import uuid
from datetime import UTC, datetime

import pytest

from recloop.server import connections, impressions
from recloop.server.impressions import Feedback, Impression, Recorder
from tests.recloop.conftest import Query

NOW = datetime(2026, 1, 2, tzinfo=UTC)
NOBODY = "postgresql+psycopg2://nobody@127.0.0.1:1/none"


@pytest.fixture(autouse=True)
def _anew() -> None:
    connections._away.clear()
    connections._threads.__dict__.clear()


def shown(url: str, number: int = 0, user: str = "u") -> Impression:
    request = str(uuid.UUID(int=number + 1))
    return Impression(url, request, 7, NOW, user, (3, 1, 2), NOW, '{"history": [3]}')


def told(url: str, item: str = "a", kind: str = "click") -> Feedback:
    return Feedback(url, str(uuid.UUID(int=1)), item, kind, NOW)


def test_what_was_shown_is_in_the_ledger_as_it_was(database_url: str, query: Query) -> None:
    recorder = Recorder(10)
    for number in range(3):
        assert recorder.note(shown(database_url, number, f'"{number}\\N,'))
    recorder.flush()
    assert query(
        "select version, at, user_id, items, moment, features, recommender "
        "from lineage.impression order by request_id"
    ) == [(7, NOW, f'"{n}\\N,', [3, 1, 2], NOW, {"history": [3]}, "default") for n in range(3)]
    assert (recorder.waiting, recorder.written, recorder.lost) == (0, 3, 0)


def test_what_finds_no_room_is_counted(database_url: str, query: Query) -> None:
    recorder = Recorder(2)
    assert [recorder.note(shown(database_url, n)) for n in range(4)] == [True, True, False, False]
    assert (recorder.waiting, recorder.lost) == (2, 2)
    recorder.flush()
    assert query("select count(*) from ledger.impression") == [(2,)]
    assert recorder.note(shown(database_url, 9))


def test_while_the_database_is_away_records_wait_and_their_room_is_theirs(
    database_url: str, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, away = connections.connect, True
    monkeypatch.setattr(
        connections, "connect", lambda url, *rest: real(NOBODY if away else url, *rest)
    )
    recorder = Recorder(5)
    kept = [recorder.note(shown(database_url, n)) for n in range(3)]
    recorder.flush()
    kept += [recorder.note(shown(database_url, n)) for n in range(3, 8)]
    recorder.flush()
    assert kept == [True] * 5 + [False] * 3
    assert (recorder.waiting, recorder.written, recorder.lost) == (5, 0, 3)
    away = False
    connections._away.clear()  # the follower has found it
    recorder.flush()
    assert (recorder.waiting, recorder.written, recorder.lost) == (0, 5, 3)
    rows = query("select request_id from ledger.impression order by 1")
    assert [uuid.UUID(row[0]).int for row in rows] == [1, 2, 3, 4, 5]


def test_one_database_that_is_away_does_not_hold_up_another(
    database_url: str, query: Query
) -> None:
    recorder = Recorder(10)
    recorder.note(shown(NOBODY, 0))
    recorder.note(shown(database_url, 1))
    recorder.note(shown(NOBODY, 2))
    recorder.flush()
    assert (recorder.waiting, recorder.written, recorder.lost) == (2, 1, 0)
    assert query("select count(*) from ledger.impression") == [(1,)]


def test_one_that_the_database_refuses_costs_no_other(database_url: str, query: Query) -> None:
    """A NUL, which no text of PostgreSQL has, and features that are no JSON."""
    recorder = Recorder(10)
    wrong = dataclasses.replace(shown(database_url, 1), features="{")
    for record in (shown(database_url, 0), wrong, told(database_url), shown(database_url, 2)):
        recorder.note(record)
    recorder.flush()
    assert (recorder.waiting, recorder.written, recorder.lost) == (0, 3, 1)
    assert query("select count(*) from ledger.impression") == [(2,)]
    assert query("select count(*) from ledger.feedback") == [(1,)]


def test_what_was_written_already_is_written_once(database_url: str, query: Query) -> None:
    """A connection can be lost after the database has written and before it has said so."""
    recorder = Recorder(10)
    recorder.note(shown(database_url, 0))
    recorder.flush()
    for number in range(3):
        recorder.note(shown(database_url, number))
    recorder.flush()
    assert recorder.lost == 0
    assert query("select count(*) from ledger.impression") == [(3,)]


def test_feedback_told_twice_is_one(database_url: str, query: Query) -> None:
    recorder = Recorder(10)
    for record in (told(database_url), told(database_url), told(database_url, kind="buy")):
        recorder.note(record)
    recorder.flush()
    recorder.note(told(database_url))
    recorder.flush()
    assert query("select item_id, kind from ledger.feedback order by 2") == [
        ("a", "buy"), ("a", "click"),
    ]  # fmt: skip


def test_nobody_waits_while_a_block_is_written(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> int:
        inside.set()
        go_on.wait(10)
        return 1

    monkeypatch.setattr(impressions, "_written", slow)
    recorder = Recorder(3)
    recorder.note(shown(database_url))
    thread = threading.Thread(target=recorder.flush)
    thread.start()
    assert inside.wait(10)
    began = time.perf_counter()
    noted = [recorder.note(shown(database_url, n)) for n in range(1, 4)]
    assert time.perf_counter() - began < 1
    assert noted == [True, True, False]
    monkeypatch.setattr(impressions, "_written", lambda _, block: len(block))
    go_on.set()
    thread.join()
    assert (recorder.waiting, recorder.written, recorder.lost) == (0, 3, 1)


def test_at_its_end_a_recorder_writes_what_waits(database_url: str, query: Query) -> None:
    recorder = Recorder(10)
    recorder.start()
    recorder.note(shown(database_url))
    recorder.stop()
    assert query("select count(*) from ledger.impression") == [(1,)]
