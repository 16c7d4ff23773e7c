"""What was known when a query was asked, as a ranker takes it: own items and item statistics.

Belongs here: columns of a training set to `models.data.queries`, one scaling for training and
serving; the join of every active item's statistics at the start of some days.
Keep out: files (see `artefact.py`), slices of time (see `examples.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from models.data.queries import OWN_COLUMNS, ItemStatistics, OwnItems
from recloop.calendar import WindowCalendar
from recloop.database.connection import Cursor, transaction
from recloop.features.days import day_numbers
from recloop.features.leak_guard import check_not_newer
from recloop.features.store import point_in_time_join
from recloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


# Columns of a training set: names, types, order. What they mean is in `training_set.py`.

STATISTICS = ("purchases_7d", "purchases_28d", "spend_28d", "distinct_items_28d", "cancels_28d")
"""User statistics in the order of `Events.statistics`' columns."""
ITEM_STATISTICS = ("purchases_7d", "purchases_28d", "buyers_28d", "price", "cancels_28d")
OWN_LISTS = ("items", "purchases", "days", "first_day", "last_day", "decayed_28d", "decayed_112d")
"""Lists of `user_items`, of one length for each user; `own_…` in the queries."""
OWN_TOTALS = ("all_purchases", "all_days")
# Where there are several kinds of events, K of them: K numbers for each item or user, in one list.
OWN_KINDS = "kinds"
"""Of `user_items`: K numbers for each own item; `own_kinds` in the queries."""
ALL_KINDS = "all_kinds"
"""Of `user_items`: of all items."""
ITEM_KINDS = "kinds_28d"
"""Of `item_statistics`."""


def scaled_statistics(raw: np.ndarray) -> np.ndarray:
    """sign(x) * log1p(|x|), in float32; NaN becomes 0. The one scaling of training and serving."""
    known = np.nan_to_num(np.asarray(raw, np.float64))
    return (np.sign(known) * np.log1p(np.abs(known))).astype(np.float32)


def whole_lists(lists: Iterable[Sequence[int] | None], sizes: Iterable[int]) -> list[int]:
    """Counts by kind, one list after the other, of lists that should have these sizes. One that has not
    was written before kinds were counted, or is of nobody: its counts are 0."""
    found: list[int] = []
    for counts, size in zip(lists, sizes, strict=True):
        found += counts if counts is not None and len(counts) == size else [0] * size
    return found


def by_kind(counts: Sequence[int] | np.ndarray, kinds: int) -> np.ndarray:
    """The counts of K kinds, one thing after the other, as float32 [things, K]."""
    if not kinds:
        raise ValueError("`kinds` should be positive. Received: 0.")
    return np.asarray(counts, np.float32).reshape(-1, kinds)


def own_items(queries: pa.Table, days: np.ndarray) -> OwnItems:
    """The columns `own_…` and the totals of a table of queries, aged to their days.

    Args:
        days: int64 [Q], days since 1970-01-01 of the queries.
    """
    lists = queries["own_items"].combine_chunks()
    lengths = np.asarray(lists.value_lengths().to_numpy(zero_copy_only=False), np.int64)

    def flat(name: str) -> np.ndarray:
        column = queries[f"own_{name}"].combine_chunks().flatten()
        return np.asarray(column.to_numpy(zero_copy_only=False))

    totals = [np.asarray(queries[name].to_numpy(), np.float32) for name in OWN_TOTALS]
    columns = {name: flat(name) for name in OWN_LISTS}
    kinds = None
    if ALL_KINDS in queries.column_names and len(queries):
        every = queries[ALL_KINDS].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        width = len(every) // len(queries)
        kinds = by_kind(flat(OWN_KINDS), width), by_kind(every, width)
    return aged_own_items(lengths, days, columns, np.stack(totals, axis=1), kinds)


def aged_own_items(
    lengths: np.ndarray,
    days: np.ndarray,
    columns: dict[str, np.ndarray],
    totals: np.ndarray,
    kinds: tuple[np.ndarray, np.ndarray] | None = None,
) -> OwnItems:
    """Rows of the view `user_items` as of other days: ages from days, decayed counts decayed on.

    Args:
        lengths: int64 [Q], items of each query.
        days: int64 [Q], the queries' days since 1970-01-01.
        columns: the view's lists, one after the other, by name.
        totals: float32 [Q, 2]: all_purchases, all_days.
        kinds: float32 [n, K] and [Q, K], events of each kind of each item, and of all items; None:
            there is one kind.
    """
    owner = np.repeat(np.arange(len(lengths)), lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    today = days[owner]
    # Decayed counts are as of the day after the user's last purchase, which the list begins with.
    stamp = columns["last_day"][offsets[:-1][owner]] + 1 if len(owner) else today
    values = {
        "purchases": columns["purchases"],
        "days": columns["days"],
        "first_age": today - columns["first_day"],
        "last_age": today - columns["last_day"],
        "decayed_28d": columns["decayed_28d"] * np.exp((stamp - today) / 28.0),
        "decayed_112d": columns["decayed_112d"] * np.exp((stamp - today) / 112.0),
    }
    stacked = np.stack([np.asarray(values[name], np.float32) for name in OWN_COLUMNS], axis=1)
    if kinds is not None:
        stacked = np.concatenate([stacked, kinds[0]], axis=1)
        totals = np.concatenate([totals, kinds[1]], axis=1)
    return OwnItems(offsets, np.asarray(columns["items"], np.int64), stacked, totals)


def item_statistics(item_days: pa.Table, days: np.ndarray) -> tuple[np.ndarray, ItemStatistics]:
    """The table `item_days` as snapshots of these days (int64, ascending), and the days."""
    day = np.asarray(item_days["day"].to_numpy(), np.int64)
    items = np.asarray(item_days["item_key"].to_numpy(), np.int64)
    keys, place = np.unique(items, return_inverse=True)
    raw = [np.asarray(item_days[name].to_numpy(), np.float64) for name in ITEM_STATISTICS]
    kinds = 0
    if ITEM_KINDS in item_days.column_names and len(day):
        counts = item_days[ITEM_KINDS].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        kinds = len(counts) // len(day)
        raw += list(counts.reshape(-1, kinds).T)
    values = np.zeros((len(days), len(keys), len(raw)), np.float32)
    if len(day):
        values[np.searchsorted(days, day), place] = scaled_statistics(np.stack(raw, axis=1))
    return days, ItemStatistics(keys, values, kinds)


def joined_statistics(parts: Sequence[ItemStatistics]) -> ItemStatistics:
    """The moments of all parts, one part after the other; an item that a part lacks has zeros."""
    keys = np.unique(np.concatenate([part.item_keys for part in parts] or [np.zeros(0, np.int64)]))
    kinds = max((part.kinds for part in parts), default=0)
    parts = [part.with_kinds(kinds) for part in parts]
    none = np.zeros((0, len(keys), len(ITEM_STATISTICS) + kinds), np.float32)
    return ItemStatistics(keys, np.concatenate([none, *(part.of(keys) for part in parts)]), kinds)


def schemas(kinds: int = 0) -> dict[str, pa.Schema]:
    """Columns and types of the four tables. Times are UTC. Of several kinds of events each list of
    counts by kind is whole; where there is but one, there are no such columns."""
    import pyarrow as pa

    def counts(*names: str) -> list[tuple[str, pa.DataType]]:
        return [(name, pa.list_(pa.int64())) for name in names if kinds]

    time = pa.timestamp("us", tz="UTC")
    statistics = [(name, pa.float64()) for name in ITEM_STATISTICS]
    own = {name: pa.float64() if "decayed" in name else pa.int64() for name in OWN_LISTS}
    return {
        "queries": pa.schema(
            [
                ("query_id", pa.int64()),
                ("user_key", pa.int64()),
                ("event_timestamp", time),
                ("day", pa.int64()),
                ("history", pa.list_(pa.int64())),
                *((name, pa.float64()) for name in STATISTICS),
                *((f"own_{name}", pa.list_(kind)) for name, kind in own.items()),
                *((name, pa.int64()) for name in OWN_TOTALS),
                *counts(f"own_{OWN_KINDS}", ALL_KINDS),
            ]
        ),
        "interactions": pa.schema(
            [
                ("query_id", pa.int64()),
                ("item_key", pa.int64()),
                ("event_timestamp", time),
                ("weight", pa.float32()),
            ]
        ),
        "items": pa.schema(
            [
                ("item_key", pa.int64()),
                ("name", pa.string()),
                ("words", pa.list_(pa.int64())),
                *statistics,
            ]
        ),
        "item_days": pa.schema(
            [("day", pa.int64()), ("item_key", pa.int64()), *statistics, *counts(ITEM_KINDS)]
        ),
    }


def whole_column(column: pa.ChunkedArray, sizes: np.ndarray) -> pa.Array:
    """Lists of counts by kind as they should be, of these sizes (int64 [rows]): see `whole_lists`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = pc.fill_null(column, []).combine_chunks()
    if np.array_equal(lists.value_lengths().to_numpy(zero_copy_only=False), sizes):
        return lists.cast(pa.list_(pa.int64()))
    counts = pa.array(whole_lists(lists.to_pylist(), sizes.tolist()), pa.int64())
    return pa.ListArray.from_arrays(
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32), counts
    )


def join_item_days(
    settings: Settings, cursor: Cursor, days: str, calendar: WindowCalendar, kinds: int = 0
) -> pa.Table:
    """The table `item_days` of a training set, by day and item.

    An item without a row on a day had no event in the 28 days before: its statistics are zero.

    Args:
        days: SQL, a query for the moments (midnights in the calendar's zone).
        kinds: how many kinds of events are counted apart.

    Raises:
        BadData: a joined row knows of the day or later.
        ServiceAway: the database was lost.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    entities = (
        f"select item_key, event_timestamp from features.item_statistics "
        f"where event_timestamp in ({days})"
    )
    cursor.execute(f"select exists ({entities})")
    if cursor.fetchone() == (False,):  # Feast cannot join nothing
        return schemas(kinds)["item_days"].empty_table()
    joined = point_in_time_join(settings, entities, "candidate_items")
    joined = joined.sort_by([("event_timestamp", "ascending"), ("item_key", "ascending")])
    check_not_newer(joined, "event_timestamp", ["item_statistics__newest_event_at"])
    micros = pc.cast(joined["event_timestamp"].cast(pa.timestamp("us", tz="UTC")), pa.int64())
    moments = micros.to_numpy().astype("datetime64[us]")
    columns = {
        "day": pa.array(day_numbers(moments, calendar)),
        "item_key": joined["item_key"],
        **{name: joined[f"item_statistics__{name}"] for name in ITEM_STATISTICS},
    }
    if kinds:
        sizes = np.full(len(joined), kinds)
        columns[ITEM_KINDS] = whole_column(joined[f"item_statistics__{ITEM_KINDS}"], sizes)
    return pa.table(columns).cast(schemas(kinds)["item_days"])


def item_snapshot(
    settings: Settings, moment: datetime, calendar: WindowCalendar, kinds: int = 0
) -> ItemStatistics:
    """The statistics of active items at one midnight, scaled: one moment."""
    from recloop.database.embedded import database_of

    with transaction(database_of(settings)) as cursor:
        literal = cursor.mogrify("select %s::timestamptz", (moment,)).decode()
        table = join_item_days(settings, cursor, literal, calendar, kinds)
    day = np.array([calendar.day_number(moment)])
    return item_statistics(table, day)[1]
