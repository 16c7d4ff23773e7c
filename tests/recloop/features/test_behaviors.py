"""What each kind of behavior counts in a training set, what takes it back, and what is judged by: the
SQL of `recloop.features.training_sql`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from models.data.events import Events
from recloop.calendar import WindowCalendar
from recloop.config.learnable import Meaning
from recloop.database.schema import ensure_event_partitions
from recloop.features.examples import _joined_kinds, _kinds
from recloop.features.heldout import Past, read_heldout
from recloop.features.training_set import _interactions, _Part
from tests.models.shop_weeks import week
from tests.recloop.features.test_impressions import EVENT

WEIGHTS = {"click": 0.1, "cart": 0.3}
KINDS = ("click", "cart", "purchase")


@pytest.fixture
def shop(cursor: Any) -> Iterator[Any]:
    ensure_event_partitions(
        cursor, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 8, tzinfo=UTC)
    )
    cursor.execute("insert into behavior.account (user_id, first_seen) values ('a', now())")
    for item in "xyz":
        cursor.execute(
            "insert into behavior.item (item_id, first_seen) values (%s, now())", (item,)
        )
    return cursor


def events_of(items: list[int], user: int = 1, **more: Any) -> Events:
    """Up to four events of one query."""
    some = week(0).where(np.arange(192) < len(items))
    keys = np.array(items, np.int64)
    return replace(some, item_keys=keys, user_keys=np.full(1, user, np.int64), **more)


def bring(cursor: Any, *events: tuple[str, str, str, float | None]) -> None:
    """Events of the one user: item, kind, time and value."""
    cursor.execute("select user_key from behavior.account")
    ((user,),) = cursor.fetchall()
    cursor.execute("select item_key from behavior.item order by item_id")
    items = dict(zip("xyz", (key for (key,) in cursor.fetchall()), strict=True))
    for line, (item, kind, when, value) in enumerate(events):
        cursor.execute(EVENT, (line, user, items[item], kind, f"2024-01-{when}Z", value))


def weights(cursor: Any, **meaning: Any) -> list[float]:
    part = _Part(WindowCalendar("week").parse("2024-01-01"), 0, Meaning(KINDS, **meaning))
    return [round(row["weight"], 4) for row in _interactions(cursor, part).to_pylist()]


def test_an_event_counts_by_its_kind(shop: Any) -> None:
    bring(shop, ("x", "click", "02 10:00", None), ("x", "cart", "02 10:01", None),
          ("x", "purchase", "02 10:02", None))  # fmt: skip
    assert weights(shop, weights=WEIGHTS) == [0.1, 0.3, 1.0]
    assert weights(shop) == [1.0, 1.0, 1.0]
    part = _Part(WindowCalendar("week").parse("2024-01-01"), 0, Meaning(KINDS))
    assert _interactions(shop, part)["kind"].to_pylist() == list(KINDS)


def test_an_event_counts_by_its_value_against_the_usual_one_of_its_kind(shop: Any) -> None:
    values = [2.0, 4.0, 8.0, 4000.0, 0.001, None, -3.0]
    bring(shop, *(("x", "purchase", f"02 10:0{n}", value) for n, value in enumerate(values)))
    found = weights(shop, by_value=True)  # the median of those above 0 is 4
    assert found == [0.5, 1.0, 2.0, 4.0, 0.25, 1.0, 0.25]
    assert weights(shop) == [1.0] * 7


def test_what_was_taken_back_the_same_day_counts_nothing(shop: Any) -> None:
    bring(
        shop,
        ("x", "purchase", "02 10:00", 1.0),
        ("x", "cancel", "02 11:00", 1.0),
        ("x", "purchase", "02 12:00", 1.0),
        ("y", "purchase", "02 10:00", 1.0),
        ("y", "cancel", "03 09:00", 1.0),
        ("z", "purchase", "02 10:00", 1.0),
        ("z", "dislike", "02 23:59", 1.0),
    )
    assert sorted(weights(shop)) == [0.0, 1.0, 1.0, 1.0]
    assert sorted(weights(shop, negatives=("cancel", "dislike"))) == [0.0, 0.0, 1.0, 1.0]
    assert weights(shop, negatives=()) == [1.0] * 4


def test_kinds_are_joined_by_their_names() -> None:
    import pyarrow as pa

    def one(*kinds: str) -> dict[str, Any]:
        places, names = _kinds(pa.table({"kind": pa.array(kinds, pa.string())}))
        return vars(events_of([1] * len(kinds), kinds=places, kind_names=names))

    nothing = vars(week(0).where(np.zeros(192, bool)))
    kinds, names = _joined_kinds([one("click", "buy"), one("cart"), nothing, one("buy")])
    assert kinds is not None
    assert [names[n] for n in kinds] == ["click", "buy", "cart", "buy"]
    assert _joined_kinds([one("click"), vars(events_of([1]))]) == (None, ())


def test_with_a_goal_its_events_alone_are_relevant_and_known(shop: Any) -> None:
    bring(
        shop,
        ("x", "click", "02 10:00", None),
        ("y", "purchase", "02 10:00", None),
        ("x", "purchase", "05 10:00", None),
        ("y", "click", "05 10:01", None),
        ("z", "cart", "05 10:02", None),
    )
    shop.execute("select user_key, min(item_key) from behavior.account, behavior.item group by 1")
    ((user, x),) = shop.fetchall()
    y, z = x + 1, x + 2
    held = events_of(
        [x, y, z],
        user=user,
        kinds=np.array([2, 1, 0], np.int32),
        kind_names=("cart", "click", "purchase"),
    )
    cut, start = (datetime(2024, 1, day, tzinfo=UTC) for day in (5, 1))

    def found(goal: tuple[str, ...] | None) -> tuple[list[int], list[int], list[int]]:
        heldout = read_heldout(shop, held, Past(cut, start, Meaning(KINDS, goal=goal), 28))
        assert heldout.kinds["click"][1].tolist() == [y]
        return tuple(
            one.tolist() for one in (heldout.relevant[1], heldout.known[1], heldout.popular)
        )

    assert found(None) == ([x, y, z], [x, y], [x, y])
    assert found(("purchase",)) == ([x], [y], [y])
