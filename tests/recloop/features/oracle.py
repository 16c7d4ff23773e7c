"""Feature values worked out in plain Python from a list of events, and the means to store events.

Belongs here: the independent oracle. It shares nothing with `recloop/features`: no SQL, no spans.
"""

from __future__ import annotations

import math
import random
import statistics
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from recloop.database.connection import copy_rows, transaction
from recloop.database.schema import ensure_event_partitions

DAY = timedelta(days=1)
MONDAY = datetime(2011, 1, 3, tzinfo=UTC)
WEEKS = [(MONDAY + n * 7 * DAY).strftime("%Y-%m-%d") for n in range(12)]


@dataclass(frozen=True)
class Event:
    user: int
    item: int
    at: datetime
    kind: str = "purchase"
    value: float | None = 1.0
    price: float | None = 2.0
    key: str = ""

    @property
    def event_id(self) -> str:
        return self.key or str(uuid.uuid5(uuid.NAMESPACE_OID, repr(self)))


def at(day: int, hour: int = 12, minute: int = 0, second: int = 0) -> datetime:
    """A moment, by days after Monday 2011-01-03 (UTC)."""
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute, seconds=second)


def midnight_after(day: date) -> datetime:
    return datetime.combine(day, time(), UTC) + DAY


def random_events(seed: int, count: int = 300, days: int = 84) -> list[Event]:
    """Events of 6 users and 8 items, with quiet weeks, equal times and unpriced events."""
    rng = random.Random(seed)
    busy = sorted(rng.sample(range(days), days // 3))
    return [
        Event(
            user=rng.randint(1, 6),
            item=rng.randint(1, 8),
            at=at(rng.choice(busy), rng.randint(0, 23), rng.choice([0, 30])),
            kind=rng.choices(["purchase", "cancel", "view"], [8, 1, 1])[0],
            value=rng.choice([1.0, 2.0, 6.0]),
            price=rng.choice([0.1, 0.25, 2.95, None]),
            key=str(uuid.UUID(int=rng.getrandbits(128))),
        )
        for _ in range(count)
    ]


def store_events(url: str, events: list[Event]) -> None:
    """Put events where ingestion would put them."""
    with transaction(url) as cursor:
        for event in events:
            ensure_event_partitions(cursor, event.at, event.at + timedelta(seconds=1))
        copy_rows(
            cursor,
            "behavior.event",
            ["event_id", "event_timestamp", "user_key", "item_key", "event_type", "value", "price",
             "window_key", "file_id", "line_no"],
            [
                (e.event_id, e.at.isoformat(), e.user, e.item, e.kind, e.value, e.price, "", 1, n)
                for n, e in enumerate(events)
            ],
        )  # fmt: skip


def store_items(url: str, versions: list[tuple[int, datetime, str]]) -> None:
    """Items by (key, valid_from, description); keys must count from 1."""
    with transaction(url) as cursor:
        for key, valid_from, text in versions:
            cursor.execute(
                "insert into behavior.item (item_key, item_id, name, first_seen) "
                "overriding system value values (%s, %s, %s, %s) on conflict do nothing",
                (key, f"id{key}", text, valid_from),
            )
            cursor.execute(
                "insert into behavior.item_version values (%s, %s, "
                "jsonb_build_object('Description', %s::text))",
                (key, valid_from, text),
            )


def rows_of(url: str, table: str) -> list[dict[str, Any]]:
    """All rows of a table of the schema `features`, ordered by their keys; without their `basis`."""
    with transaction(url) as cursor:
        cursor.execute(f"select * from features.{table} order by 1, 2")
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [{name: row[name] for name in row if name != "basis"} for row in rows]


def purchases(events: list[Event], learn_from: tuple[str, ...] = ("purchase",)) -> list[Event]:
    return [e for e in events if e.kind in learn_from]


def by_kind(events: list[Event], kinds: tuple[str, ...]) -> list[int]:
    """How many events are of each kind."""
    return [sum(e.kind == kind for e in events) for kind in kinds]


def expected_statistics(
    events: list[Event], key: str, days: list[date], kinds: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """The dense rows of `user` or `item` statistics for these days, by looking at every event. Events of
    these kinds are learnt from; purchases, if it is none."""
    rows = []
    for day in days:
        end = midnight_after(day)
        for entity in sorted({getattr(e, key) for e in events}):
            mine = [e for e in events if getattr(e, key) == entity and e.at < end]
            if not any(e.at >= end - 29 * DAY for e in mine):
                continue
            month = [e for e in mine if e.at >= end - 28 * DAY]
            bought = purchases(month, kinds or ("purchase",))
            row = {
                "event_timestamp": end,
                f"{key}_key": entity,
                "purchases_7d": sum(e.at >= end - 7 * DAY for e in bought),
                "purchases_28d": len(bought),
                "cancels_28d": sum(e.kind == "cancel" for e in month),
                "newest_event_at": max((e.at for e in month), default=None),
            }
            if key == "user":
                row["spend_28d"] = round(sum((e.value or 0) * (e.price or 0) for e in bought), 6)
                row["distinct_items_28d"] = len({e.item for e in bought})
            else:
                priced = [e.price for e in bought if e.price is not None]
                row["buyers_28d"] = len({e.user for e in bought})
                row["price"] = round(statistics.median(priced), 6) if priced else None
                row["kinds_28d"] = by_kind(month, kinds)
            rows.append(row)
    return rows


def expected_history(events: list[Event], user: int, before: datetime) -> list[int]:
    """The last 50 purchased items before a moment, most recent first; ids settle equal times."""
    mine = [e for e in purchases(events) if e.user == user and e.at < before]
    mine.sort(key=lambda e: e.event_id)
    mine.sort(key=lambda e: e.at, reverse=True)
    return [e.item for e in mine[:50]]


def expected_histories(events: list[Event], days: list[date]) -> list[dict[str, Any]]:
    """The sparse rows of the user history for these days."""
    rows = []
    for user in sorted({e.user for e in events}):
        active = sorted({e.at.date() for e in purchases(events) if e.user == user} & set(days))
        for day in active:
            end = midnight_after(day)
            mine = [e.at for e in purchases(events) if e.user == user and e.at < end]
            rows.append(
                {
                    "user_key": user,
                    "event_timestamp": end,
                    "history": expected_history(events, user, end),
                    "newest_event_at": max(mine),
                }
            )
    return rows


def expected_own_items(
    events: list[Event],
    user: int,
    before: datetime,
    kinds: tuple[str, ...] = (),
    most: int = 300,
) -> dict[str, Any]:
    """What `user_items` says of a user at a midnight, lists of `most` items beside one another."""
    learnt = purchases(events, kinds or ("purchase",))
    mine = [e for e in learnt if e.user == user and e.at < before]
    number = {e: (e.at.date() - date(1970, 1, 1)).days for e in mine}
    today = (before.date() - date(1970, 1, 1)).days
    rows = []
    for item in {e.item for e in mine}:
        days = [number[e] for e in mine if e.item == item]
        rows.append(
            {
                "items": item,
                "purchases": len(days),
                "days": len(set(days)),
                "first_day": min(days),
                "last_day": max(days),
                "decayed_28d": round(sum(math.exp(-(today - d) / 28) for d in days), 9),
                "decayed_112d": round(sum(math.exp(-(today - d) / 112) for d in days), 9),
            }
        )
    rows.sort(key=lambda row: (-row["last_day"], row["items"]))
    rows = rows[:most]
    counted = [by_kind([e for e in mine if e.item == row["items"]], kinds) for row in rows]
    return {
        "user_key": user,
        "event_timestamp": before,
        **{name: [row[name] for row in rows] for name in rows[0]},
        "all_purchases": len(mine),
        "all_days": len(set(number.values())),
        "newest_event_at": max(e.at for e in mine),
        "kinds": [count for counts in counted for count in counts],
        "all_kinds": by_kind(mine, kinds),
    }


def expected_items(
    events: list[Event], days: list[date], kinds: tuple[str, ...] = (), most: int = 300
) -> list[dict[str, Any]]:
    """The sparse rows of the users' own items for these days."""
    learnt = purchases(events, kinds or ("purchase",))
    return [
        expected_own_items(events, user, midnight_after(day), kinds, most)
        for user in sorted({e.user for e in learnt})
        for day in sorted({e.at.date() for e in learnt if e.user == user} & set(days))
    ]


def rounded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with floats cut to what binary arithmetic keeps."""

    def cut(value: Any) -> Any:
        if isinstance(value, list):
            return [round(v, 9) if isinstance(v, float) else v for v in value]
        return round(value, 6) if isinstance(value, float) else value

    return [{key: cut(value) for key, value in row.items()} for row in rows]
