"""Many users are read at once as each is read alone, to the last bit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from models.data.queries import Queries
from recloop.config.learnable import Meaning
from recloop.database.connection import Cursor, transaction
from recloop.database.schema import ensure_event_partitions
from recloop.features.current_queries import (
    chosen_by,
    known_moment,
    known_queries,
    latest_session,
)
from recloop.features.many_queries import many_chosen, many_known, many_sessions

END = datetime(2024, 2, 5, tzinfo=UTC)
KINDS = ("click", "cart", "purchase")
SHOP = Meaning()
CLICKS = Meaning(("click",), session_gap=1800.0)
USERS = 40


def fill(cursor: Cursor, random: np.random.Generator) -> None:
    """Of forty users some have no row, some a row without items, some more than one row."""
    cursor.execute(
        "insert into features.built_window values ('2024-01-29', '2024-01-29', %s)", (END,)
    )
    for user in range(1, USERS + 1):
        if random.random() < 0.8:
            counts = [int(n) for n in random.integers(0, 9, 4)]
            row = (END, user, *counts[:2], float(random.random() * 99), *counts[2:], END)
            cursor.execute(
                "insert into features.user_statistics values (%s, %s, %s, %s, %s, %s, %s, %s)", row
            )
        for age in range(3):
            at = END - timedelta(days=7 * age)
            if random.random() < 0.5:
                items = random.permutation(200)[: random.integers(0, 50)].tolist()
                cursor.execute(
                    "insert into features.user_history values (%s, %s, %s::bigint[], %s)",
                    (user, at, items, at),
                )
            if random.random() < 0.5:
                own(cursor, random, user, at)


def own(cursor: Cursor, random: np.random.Generator, user: int, at: datetime) -> None:
    count = int(random.integers(0, 12))
    counted = bool(random.random() < 0.7)  # the others were written before kinds were
    last = int((at - datetime(1970, 1, 1, tzinfo=UTC)).days) - 1
    days = np.sort(random.integers(0, 30, count))
    cursor.execute(
        "insert into features.user_items values (%s, %s, %s::bigint[], %s::bigint[], %s::bigint[], "
        "%s::bigint[], %s::bigint[], %s::float8[], %s::float8[], %s, %s, %s, %s::bigint[], "
        "%s::bigint[])",
        (
            *(user, at, (random.permutation(200)[:count] + 1).tolist()),
            *random.integers(1, 5, (2, count)).tolist(),
            *((last - days - 3).tolist(), (last - days).tolist()),
            *random.random((2, count)).tolist(),
            *(int(random.integers(0, 99)), int(random.integers(0, 20)), at),
            random.integers(0, 9, 3 * count * counted).tolist(),
            random.integers(0, 99, 3 * counted).tolist(),
        ),
    )


def events(cursor: Cursor, random: np.random.Generator, kind: str) -> None:
    ensure_event_partitions(cursor, END - timedelta(days=40), END)
    for line in range(600):
        user, item = int(random.integers(1, USERS + 1)), int(random.integers(1, 30))
        minutes = int(random.integers(0, 3000)) if user % 5 else 7  # some at one moment
        cursor.execute(
            "insert into behavior.event (event_id, file_id, line_no, window_key, user_key, item_key, "
            "event_type, event_timestamp) values (gen_random_uuid(), 1, %s, '2024-01-29', %s, %s, %s, "
            "%s)",
            (line, user, item, kind if line % 7 else "other", END - timedelta(minutes=minutes)),
        )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("step", "shop"), [(1, SHOP), (3, SHOP), (1, Meaning(KINDS))])
def test_features_are_those_of_each_user_alone(
    database_url: str, seed: int, step: int, shop: Meaning
) -> None:
    random = np.random.default_rng(seed)
    with transaction(database_url) as cursor:
        fill(cursor, random)
        users = np.arange(1, USERS + 9, step)  # the last are not known
        found = many_known(cursor, users, shop)
        same(found, known_queries(cursor, users.tolist(), shop))
        assert known_moment(cursor, shop) == END
        assert found.history.any()
        assert found.own is not None
        assert found.own.kinds == len(shop.kinds)
        assert not shop.kinds or (found.own.values[:, 6:].any() and found.own.totals[:, 2:].any())
        nobody = np.zeros(0, np.int64)
        assert len(many_known(cursor, nobody, shop)) == 0


def test_before_anything_was_computed_nothing_is_known(database_url: str) -> None:
    with transaction(database_url) as cursor:
        same(many_known(cursor, np.array([1, 2]), SHOP), known_queries(cursor, [1, 2], SHOP))


def same(left: Queries, right: Queries) -> None:
    assert left.own is not None
    assert right.own is not None
    for name in ("user_keys", "history", "statistics"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name
    for name in ("offsets", "item_keys", "values", "totals"):
        assert np.array_equal(getattr(left.own, name), getattr(right.own, name)), name


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("step", [1, 4])
def test_what_was_chosen_and_the_latest_session_are_those_of_each_alone(
    database_url: str, seed: int, step: int
) -> None:
    random = np.random.default_rng(seed)
    with transaction(database_url) as cursor:
        events(cursor, random, "click")
        users = np.arange(2, USERS + 5, step)
        offsets, items = many_chosen(cursor, users, CLICKS)
        alone = [chosen_by(cursor, int(user), CLICKS).tolist() for user in users]
        found = [items[low:high].tolist() for low, high in pairwise(offsets.tolist())]
        assert found == alone
        assert max(map(len, alone)) > 3
        for meaning in (CLICKS, Meaning(("click",))):
            sessions = many_sessions(cursor, users, meaning)
            one_by_one = [latest_session(cursor, int(user), meaning) for user in users]
            expected = np.concatenate([one.history for one in one_by_one])
            assert np.array_equal(sessions.history, expected)
            assert sessions.user_keys.tolist() == users.tolist()
