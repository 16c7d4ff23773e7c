"""Who asks, told from events: a user's latest session ends where it rested for longer than the gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.database.schema import ensure_event_partitions
from recloop.features.current_queries import asked_user, chosen_by, latest_session

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
EVENT = """
insert into behavior.event
    (event_id, file_id, line_no, window_key, user_key, item_key, event_type, event_timestamp)
values (gen_random_uuid(), 1, %s, '2024-01-01', %s, %s, 'click', %s)
"""


@pytest.fixture
def cursor(database_url: str) -> Any:
    """User `a` clicks items x, y, z after 0, 10 and 70 minutes, then y after 75."""
    with transaction(database_url) as cursor:
        ensure_event_partitions(cursor, MONDAY, MONDAY + timedelta(weeks=1))
        cursor.execute("insert into behavior.account (user_id, first_seen) values ('a', now())")
        for item in "xyz":
            cursor.execute(
                "insert into behavior.item (item_id, first_seen) values (%s, now())", (item,)
            )
        cursor.execute("select item_id, item_key from behavior.item")
        keys = dict(cursor.fetchall())
        user = asked_user(cursor, "a")
        for line, (item, minutes) in enumerate((("x", 0), ("y", 10), ("z", 70), ("y", 75))):
            when = MONDAY + timedelta(minutes=minutes)
            cursor.execute(EVENT, (line, user, keys[item], when))
        yield cursor, user, keys


@pytest.mark.parametrize(
    ("gap", "expected"), [(1800.0, "yz"), (7200.0, "yzyx"), (None, "yzyx"), (60.0, "y")]
)
def test_the_latest_session_is_what_came_without_a_rest(
    cursor: Any, gap: float | None, expected: str
) -> None:
    cursor, user, keys = cursor
    found = latest_session(cursor, user, Meaning(("click",), session_gap=gap))
    assert [key for key in found.history[0] if key] == [keys[item] for item in expected]
    assert found.user_keys.tolist() == [user]


def test_a_stranger_has_chosen_nothing(cursor: Any) -> None:
    cursor, user, keys = cursor
    assert asked_user(cursor, "b") == 0
    assert not latest_session(cursor, 0, Meaning(("click",))).history.any()
    assert chosen_by(cursor, 0, Meaning(("click",))).tolist() == []
    assert chosen_by(cursor, user, Meaning(("click",))).tolist() == sorted(keys.values())
