"""How fresh a recommender is, and who decides next."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from recloop.dashboard.freshness import named, newest_event, read_freshness
from recloop.ledger import pins, releases, window_states
from recloop.settings import Settings
from tests.recloop.dashboard.lives import NOW, evaluate, key, live
from tests.recloop.ledger.builders import defer, feature, promote, window


def test_nothing_is_known_before_the_first_window(cursor, settings: Settings) -> None:
    found = read_freshness(cursor, settings, NOW)
    names = ("champion", "previous", "newest_event", "live", "pin")
    assert [found[name] for name in names] == [None] * 5
    assert found["next"] == "Nothing waits; the next window that is ingested is decided on."


def test_it_tells_champion_previous_and_what_waits(cursor, settings: Settings) -> None:
    live(cursor)
    found = read_freshness(cursor, settings, NOW)
    assert (found["champion"]["version"], found["previous"]["version"]) == (2, 1)
    assert found["newest_event"] == window(2).end, "no event is in the log: the window's end"
    assert found["learnt"] == 3
    assert found["waiting"] == [key(4)]
    assert found["pending"] == [f"{key(0)}+1", key(3)], "late events and what the gate refused"
    assert found["events"] == 100 + 7 + 100
    assert found["refused"] == [key(5)]
    assert (
        found["next"] == f"The policy adaptive on window {key(4)}, with the next run of an update."
    )


@pytest.mark.parametrize("number", [0, 1])
def test_what_waits_is_what_the_ledger_calls_undecided(
    cursor, settings: Settings, number: int
) -> None:
    feature(cursor, 0, 1, 2, 3)
    promote(cursor, number, "rebuild")
    defer(cursor, number + 1)
    found = read_freshness(cursor, settings, NOW)
    assert found["waiting"] == releases.undecided(cursor)
    assert sorted(found["waiting"] + found["pending"]) == sorted(releases.pending(cursor))
    releases.roll_back(cursor, promote(cursor, 3).parent_version, "worse")
    found = read_freshness(cursor, settings, NOW)
    assert found["waiting"] == releases.undecided(cursor)
    assert sorted(found["waiting"] + found["pending"]) == sorted(releases.pending(cursor))


def test_the_newest_event_is_one_of_the_last_window_learnt(cursor) -> None:
    live(cursor)
    cursor.execute(
        "create table behavior.event_2011 partition of behavior.event "
        "for values from ('2011-01-01') to ('2012-01-01')"
    )
    for moment in ("2011-06-14 08:00Z", "2011-06-15 09:30Z", "2011-06-21 00:00Z"):
        cursor.execute(
            "insert into behavior.event (event_id, event_timestamp, user_key, item_key, event_type, "
            "window_key, file_id, line_no) values (gen_random_uuid(), %s, 1, 1, 'x', 'x', 1, 1)",
            (moment,),
        )
    assert newest_event(cursor, 2) == datetime(2011, 6, 15, 9, 30, tzinfo=UTC)


def test_a_person_comes_before_the_policy(cursor, settings: Settings) -> None:
    live(cursor)
    evaluate(cursor, 4, ask="it is a rebuild")
    found = read_freshness(cursor, settings, NOW)
    assert found["next"] == f"A person: is the challenger of window {key(4)} to be promoted?"
    pins.pin(cursor, "vera", "sale week")
    assert "to be promoted?" in read_freshness(cursor, settings, NOW)["next"]
    cursor.execute("update ledger.update set state = 'rejected' where state = 'evaluated'")
    assert "unpinned (sale week)" in read_freshness(cursor, settings, NOW)["next"]


def test_an_update_under_way_is_told(cursor, settings: Settings) -> None:
    live(cursor)
    update_id = evaluate(cursor, 4)
    assert read_freshness(cursor, settings, NOW)["next"] == (
        f"Update {update_id} of window {key(4)} was judged."
    )


def test_a_refused_window_waits_for_a_person_when_nothing_else_does(
    cursor, settings: Settings
) -> None:
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    window_states.note_landed(cursor, [window(1)])
    cursor.execute("update ledger.window set state = 'refused' where window_key = %s", (key(1),))
    assert read_freshness(cursor, settings, NOW)["next"] == (
        f"A person on window {key(1)}, which validation refused."
    )


def test_many_keys_are_cut() -> None:
    assert named([]) == ""
    assert named([str(n) for n in range(13)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 1 more"
