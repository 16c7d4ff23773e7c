"""Daily feature rows, computed in SQL for the days of one window.

Belongs here: which days are computed and in which order. Keep out: the aggregates themselves (see
the `.sql` files of this folder), what Feast calls them (see `feature_repo/`).

Days are those of the shop's zone (`WindowCalendar.zone`); a window of hours computes its day anew.
A row for day D is stamped with the midnight after it, holds what happened before that moment, and exists
while its entity had an event in the 28 days up to D, and for one day more: that last row is all
zeros and closes the activity, so that the online store forgets too. Where no row exists, every
count is exactly zero (docs/adr/0003-sparse-where-exact.md).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from recloop.calendar import Window, WindowCalendar
from recloop.config.learnable import KIND, LEARNABLE, NEGATIVE, WEIGHT, Meaning, meaning_of
from recloop.contracts import FeatureReport
from recloop.database.connection import Cursor, Lock, copy_rows, first, transaction
from recloop.database.embedded import database_of
from recloop.database.schema import refresh_planner_statistics
from recloop.settings import Settings

LONGEST_WINDOW = timedelta(days=28)
HISTORY_LENGTH = 50
OWN_ITEMS = 300
"""Items of a user that `user_items` keeps: those purchased latest."""
TABLES = ("user_statistics", "item_statistics", "user_history", "user_items", "item_content")


@dataclass(frozen=True)
class Reach:
    """The days to compute: `[start, end)`, and later histories up to `horizon`; midnights."""

    start: datetime
    end: datetime
    horizon: datetime


def build_features(
    settings: Settings, window_key: str, meaning: Meaning | None = None
) -> FeatureReport:
    """Compute the feature rows that depend on the window's events. Repeating it changes nothing.

    The cost follows the window's events and the entities active in the 28 days before it. When
    later windows have rows already (the events are late), the days that they reach are computed
    again: 28 days of statistics, and the later histories of the window's users. Days between the
    newest computed day and the window are filled in.

    Raises:
        BadInput: `window_key` is not a window's key.
        ServiceAway: the connection was lost; nothing was changed.
    """
    meaning = meaning or meaning_of(settings)
    window = meaning.window(window_key)
    with transaction(database_of(settings)) as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (Lock.BUILD,))
        cursor.execute("set local jit = off")  # compiling takes longer than these queries
        reach = reach_of(cursor, window, meaning.calendar)
        rows = _rebuild(cursor, window, reach, meaning)
        cursor.execute(
            "insert into features.built_window values (%s, %s, %s) "
            "on conflict (window_key) do update set built_at = now()",
            (window.key, window.start, window.end),
        )
        refresh_planner_statistics(cursor, window.start, window.end)
    days = round((reach.end - reach.start) / timedelta(days=1))
    return FeatureReport(window=window.key, days=days, rows=rows)


def is_built(cursor: Cursor, window_key: str) -> bool:
    """Whether the window's feature rows were ever written."""
    sql = "select exists (select from features.built_window where window_key = %s)"
    return bool(first(cursor, sql, (window_key,)))


def reach_of(cursor: Cursor, window: Window, calendar: WindowCalendar) -> Reach:
    """The days to compute, given the windows that have rows already."""
    cursor.execute("select max(ends) from features.built_window")
    newest: datetime | None = (cursor.fetchone() or (None,))[0]
    if newest is None or newest <= window.end:
        start = min(window.start, newest) if newest else window.start
        start, end = calendar.whole_days(start, window.end)
        return Reach(start, end, end)
    start, end = calendar.whole_days(window.start, min(newest, window.end + LONGEST_WINDOW))
    return Reach(start, end, calendar.whole_days(window.start, newest)[1])


def _rebuild(cursor: Cursor, window: Window, reach: Reach, meaning: Meaning) -> dict[str, int]:
    number = meaning.calendar.day_number
    start, end = meaning.calendar.whole_days(window.start, window.end)
    parameters = {
        **meaning.parameters(),
        "start": start,
        "end": end,
        "reach_start": reach.start,
        "reach_end": reach.end,
        "horizon": reach.horizon,
        "first_day": number(reach.start),
        "last_day": number(reach.end) - 1,
        "basis": _basis(meaning),
    }
    kinds = len(meaning.kinds)
    cursor.execute(_sql("recent_events", kinds), parameters)
    rows = {}
    for table in TABLES[:-1]:
        cursor.execute(_sql(table, kinds), parameters)
        rows[table] = cursor.rowcount
    rows["item_content"] = insert_item_content(cursor, reach.start, reach.end, meaning)
    return rows


def _basis(meaning: Meaning) -> int:
    """What rows of own items depend on beside the events, as a number: int64."""
    names = ("types", "kinds", "minimum", "valued", "weights", "zone")
    read = {name: value for name, value in meaning.parameters().items() if name in names}
    said = json.dumps([OWN_ITEMS, read], sort_keys=True)
    digest = hashlib.sha256(said.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@cache
def _sql(name: str, kinds: int) -> str:
    """The text of `<name>.sql`, its constants filled in.

    Args:
        kinds: how many kinds of events are counted apart. Counts of each are an array; of none, `{}`.
    """
    text = Path(__file__).with_name(f"{name}.sql").read_text()
    each = [f"count(*) filter (where kind = {n})" for n in range(1, kinds + 1)]
    learnt = [f"count(*) filter (where learnable and kind = {n})" for n in range(1, kinds + 1)]
    recent = "filter (where tile.day > grid.day - 28)"
    summed = [f"coalesce(sum(kinds[{n}]) {recent}, 0)" for n in range(1, kinds + 1)]
    named = {"learnable": LEARNABLE, "negative": NEGATIVE, "weight": WEIGHT, "kind": KIND}
    counted = [f"now.kinds[{n}] + coalesce(before.kinds[{n}], 0)" for n in range(1, kinds + 1)]
    added = [f"coalesce(known.all_kinds[{n}], 0) + total.kinds[{n}]" for n in range(1, kinds + 1)]
    for constant, counts in (
        ("each_kind", each),
        ("learnable_kinds", learnt),
        ("kinds_28d", summed),
        ("counted_kinds", counted),
        ("added_kinds", added),
    ):
        named[constant] = f"array[{', '.join(counts)}]::bigint[]"
    named |= {
        "own_items": str(OWN_ITEMS),
        "history_length": str(HISTORY_LENGTH),
        "kinds": str(kinds),
    }
    for name, value in named.items():
        text = text.replace(f"{{{name}}}", value)
    return text


# Item content: an item's name, and its words as hashed ids.
#
# Words are hashed in Python, not in SQL: lower-casing and letters depend on a database's locale,
# and the same text must give the same ids on every server.

WORD_BUCKETS = 4096
"""Word ids are 1 to `WORD_BUCKETS - 1`; 0 is padding."""
MAX_WORDS = 16
_WORD = re.compile(r"\w+")


def word_ids(text: str) -> list[int]:
    """Ids of the first `MAX_WORDS` distinct words, in their order. Case does not matter.

    >>> word_ids("Red RETROSPOT red mug") == word_ids("red retrospot mug")
    True
    """
    words = dict.fromkeys(_WORD.findall(text.casefold()))
    ids = dict.fromkeys(_word_id(word) for word in words)
    return list(ids)[:MAX_WORDS]


def insert_item_content(cursor: Cursor, start: datetime, end: datetime, meaning: Meaning) -> int:
    """Write the content that became known in `[start, end)` (midnights). Returns the row count.

    A version is stamped with the midnight after its `valid_from`: on the day itself some of its
    queries came before it. Of several versions in one day the last counts.
    """
    cursor.execute(
        "delete from features.item_content where event_timestamp > %s and event_timestamp <= %s",
        (start, end),
    )
    cursor.execute(
        """
        select distinct on (item_key, stamp)
            item_key,
            features.midnight(features.day_of(valid_from, %(zone)s) + 1, %(zone)s) as stamp,
            item.item_id, item.name, attributes, valid_from
        from behavior.item_version join behavior.item using (item_key)
        where valid_from >= %(start)s and valid_from < %(end)s
        order by item_key, stamp, valid_from desc
        """,
        {"start": start, "end": end, "zone": meaning.calendar.zone.key},
    )
    rows = []
    for item_key, stamp, item_id, item_name, attributes, valid_from in cursor.fetchall():
        assert valid_from < stamp
        text = " ".join(str(attributes[key]) for key in meaning.text if attributes.get(key))
        name = (attributes.get(meaning.name) if meaning.name else item_name) or item_name or item_id
        words = ",".join(map(str, word_ids(text)))
        rows.append(
            (item_key, stamp.isoformat(), str(name), f"{{{words}}}", valid_from.isoformat())
        )
    columns = ["item_key", "event_timestamp", "name", "words", "newest_event_at"]
    copy_rows(cursor, "features.item_content", columns, rows)
    return len(rows)


def _word_id(word: str) -> int:
    digest = hashlib.md5(word.encode(), usedforsecurity=False).digest()
    return 1 + int.from_bytes(digest[:8], "big") % (WORD_BUCKETS - 1)
