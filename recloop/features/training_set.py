"""The training set of a window's part: who asked, what was known then, and what they took.

Belongs here: the point-in-time join through Feast and the shape of the three tables. Keep out:
files (see `artefact.py`), the checks of the join (see `leak_guard.py`), arrays (see `examples.py`).

    queries       one row per user and day (of the shop's zone) with a learnable event: the user as
                  known at the start of that day; or one per session, for families that learn sessions.
                  query_id counts by (first event, user_key).
    interactions  one row per learnable event of the part
    items         every item of the interactions, as known at the window's end
    item_days     every item that was active in the 28 days before a query's day, as known at the
                  start of that day: what a ranker knows of the candidates

A late part has its own queries, histories and days among them: what is known of a day does not depend
on when its events came, except that more of the days before it is known by then.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recloop.calendar import Window, part_key, part_number, whole
from recloop.config.learnable import Meaning, meaning_of
from recloop.contracts import TrainingSet
from recloop.database.connection import Cursor, transaction
from recloop.database.embedded import database_of
from recloop.errors import CheckCrashed
from recloop.features.artefact import write_training_set
from recloop.features.damping import damping
from recloop.features.days import day_numbers, midnights
from recloop.features.leak_guard import check_against_events, check_not_newer
from recloop.features.ranker_inputs import (
    ALL_KINDS,
    ITEM_STATISTICS,
    OWN_KINDS,
    OWN_LISTS,
    OWN_TOTALS,
    STATISTICS,
    join_item_days,
    schemas,
    whole_column,
)
from recloop.features.store import point_in_time_join
from recloop.features.training_sql import (
    IMPRESSIONS,
    INTERACTIONS,
    ITEM_ENTITIES,
    ITEMS,
    QUERIES,
    QUERY_DAYS,
    QUERY_ENTITIES,
)
from recloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


def build_training_set(settings: Settings, key: str, meaning: Meaning | None = None) -> TrainingSet:
    """Join a part's events with the features of their time, check for leaks, write the files.

    The same events give the same bytes. A part without learnable events gives an empty set.

    Args:
        key: `2011-06-06`, or of a late part `2011-06-06+1`.

    Raises:
        BadInput: `key` is not that of a window's part.
        BadData: a joined feature knows of the query's day or later.
        CheckCrashed: features lack late events of earlier windows, or events changed meanwhile.
        ServiceAway: the database was lost.
    """
    meaning = meaning or meaning_of(settings)
    part = _Part(meaning.window(whole(key)), part_number(key), meaning)
    with transaction(database_of(settings)) as cursor:
        cursor.execute("set local jit = off")
        interactions = _interactions(cursor, part)
        tables = {name: schema.empty_table() for name, schema in schemas().items()}
        tables["interactions"] = interactions
        if interactions.num_rows and meaning.features:
            tables["queries"] = _queries(settings, cursor, part)
            tables["items"] = _items(settings, cursor, part)
            days = _rendered(cursor, QUERY_DAYS, part)
            tables["item_days"] = join_item_days(
                settings, cursor, days, meaning.calendar, len(meaning.kinds)
            )
        elif interactions.num_rows:
            plain = _read(cursor, QUERIES, part, ("query_id", "user_key", "event_timestamp"))
            tables["queries"] = _filled(_with_days(plain, meaning), "queries")
            tables["items"] = _plain_items(cursor, part)
    _check_consistent(tables)
    return write_training_set(settings.artifacts / "training_sets", part.key, tables)


@dataclass(frozen=True)
class _Part:
    """Which events a training set is made of, and what they mean."""

    window: Window
    number: int
    meaning: Meaning

    @property
    def key(self) -> str:
        return part_key(self.window.key, self.number)

    def parameters(self) -> dict[str, object]:
        """Values for `_LEARNT`."""
        return {
            **self.meaning.parameters(),
            "start": self.window.start,
            "end": self.window.end,
            # Of a window of hours: what its items are called is stamped with the end of their day.
            "day_end": self.meaning.calendar.whole_days(self.window.start, self.window.end)[1],
            "part": self.number,
            "gap": self.meaning.session_gap,
        }


def _interactions(cursor: Cursor, part: _Part) -> pa.Table:
    import pyarrow as pa

    names = ("query_id", "item_key", "event_timestamp", "value", "weight", "event_type", "user_key")
    if part.meaning.labelled:
        found = _read(cursor, IMPRESSIONS, part, (*names, "label"))
    else:
        found = _read(cursor, INTERACTIONS, part, names)
    weight = found["weight"].to_numpy() * damping(
        found["user_key"].to_numpy(), found["item_key"].to_numpy()
    )
    table = found.select(names[:3]).append_column("weight", pa.array(weight))
    table = table.cast(schemas()["interactions"])
    if part.meaning.keeps_values:
        table = table.append_column("value", found["value"].cast(pa.float32()))
    if part.meaning.labelled:
        table = table.append_column("label", found["label"].cast(pa.float32()))
    if part.meaning.several_kinds:
        table = table.append_column("kind", found["event_type"])
    return table


def _plain_items(cursor: Cursor, part: _Part) -> pa.Table:
    import pyarrow as pa

    cursor.execute(ITEMS, part.parameters())
    keys, names = zip(*cursor.fetchall(), strict=True)
    return _filled(pa.table({"item_key": pa.array(keys, pa.int64()), "name": names}), "items")


def _filled(table: pa.Table, name: str) -> pa.Table:
    """The table with all columns of its schema: empty lists, zeros and nulls where it has none."""
    import pyarrow as pa

    for field in schemas()[name]:
        if field.name in table.column_names:
            continue
        none: Any = [] if pa.types.is_list(field.type) else None
        if pa.types.is_integer(field.type):
            none = 0
        table = table.append_column(field.name, pa.array([none] * table.num_rows, field.type))
    return table.select(schemas()[name].names).cast(schemas()[name])


def _read(cursor: Cursor, statement: str, part: _Part, names: tuple[str, ...]) -> pa.Table:
    """A statement's rows, all of whose columns are whole numbers, but for a few."""
    import pyarrow as pa
    from pyarrow import csv

    buffer = io.BytesIO()
    rendered = _rendered(cursor, statement, part)
    cursor.copy_expert(f"copy ({rendered}) to stdout with (format csv)", buffer)
    others = {"value": pa.float64(), "weight": pa.float64(), "event_type": pa.string()}
    columns = {name: others.get(name, pa.int64()) for name in names}
    if not buffer.tell():
        return pa.table({name: pa.array([], kind) for name, kind in columns.items()})
    buffer.seek(0)
    return csv.read_csv(
        buffer,
        read_options=csv.ReadOptions(column_names=names, use_threads=False),
        convert_options=csv.ConvertOptions(column_types=columns, null_values=[""]),
    ).combine_chunks()


def _queries(settings: Settings, cursor: Cursor, part: _Part) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    entities = _rendered(cursor, QUERY_ENTITIES, part)
    joined = point_in_time_join(settings, entities, "training_users")
    joined = joined.sort_by([("event_timestamp", "ascending"), ("user_key", "ascending")])
    calendar = part.meaning.calendar
    days = day_numbers(_moments(joined), calendar)
    begun = pa.array(midnights(days, calendar)).cast(joined["event_timestamp"].type)
    views = ("user_statistics", "user_history", "user_items")
    newest = [f"{view}__newest_event_at" for view in views]
    check_not_newer(joined.append_column("day", begun), "day", newest)
    columns = {
        "query_id": pa.array(range(joined.num_rows), pa.int64()),
        "user_key": joined["user_key"],
        "event_timestamp": joined["event_timestamp"],
        "day": pa.array(days),
        "history": pc.fill_null(joined["user_history__history"], []),
        **{name: joined[f"user_statistics__{name}"] for name in STATISTICS},
        **{f"own_{name}": pc.fill_null(joined[f"user_items__{name}"], []) for name in OWN_LISTS},
        **{name: pc.fill_null(joined[f"user_items__{name}"], 0) for name in OWN_TOTALS},
    }
    if kinds := len(part.meaning.kinds):
        owned = columns["own_items"].combine_chunks().value_lengths()
        columns[f"own_{OWN_KINDS}"] = whole_column(
            joined[f"user_items__{OWN_KINDS}"], kinds * owned.to_numpy(zero_copy_only=False)
        )
        every = np.full(len(joined), kinds)
        columns[ALL_KINDS] = whole_column(joined[f"user_items__{ALL_KINDS}"], every)
    queries = pa.table(columns).cast(schemas(kinds)["queries"])
    check_against_events(cursor, queries, part.meaning)
    return queries


def _with_days(table: pa.Table, meaning: Meaning) -> pa.Table:
    import pyarrow as pa

    return table.append_column("day", pa.array(day_numbers(_moments(table), meaning.calendar)))


def _moments(table: pa.Table) -> np.ndarray:
    """datetime64[us], the column `event_timestamp`."""
    import pyarrow as pa

    return np.asarray(table["event_timestamp"].cast(pa.int64()).to_numpy().astype("datetime64[us]"))


def _items(settings: Settings, cursor: Cursor, part: _Part) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    entities = _rendered(cursor, ITEM_ENTITIES, part)
    joined = point_in_time_join(settings, entities, "training_items").sort_by("item_key")
    newest = [f"{view}__newest_event_at" for view in ("item_statistics", "item_content")]
    check_not_newer(joined, "event_timestamp", newest)
    columns = {
        "item_key": joined["item_key"],
        "name": pc.fill_null(joined["item_content__name"], ""),
        "words": pc.fill_null(joined["item_content__words"], []),
        **{name: joined[f"item_statistics__{name}"] for name in ITEM_STATISTICS},
    }
    return pa.table(columns).cast(schemas()["items"])


def _rendered(cursor: Cursor, statement: str, part: _Part) -> str:
    """The statement with its values as literals: Feast takes a query's text only."""
    return str(cursor.mogrify(statement, part.parameters()).decode())


def _check_consistent(tables: dict[str, Any]) -> None:
    import pyarrow.compute as pc

    queries, interactions, items = (tables[n] for n in ("queries", "interactions", "items"))
    wanted = (pc.max(interactions["query_id"]).as_py() or 0) + 1 if interactions.num_rows else 0
    bought = pc.count_distinct(interactions["item_key"]).as_py()
    if (queries.num_rows, items.num_rows) != (wanted, bought):
        raise CheckCrashed(
            f"the join returned {queries.num_rows} queries and {items.num_rows} items where the "
            f"events have {wanted} and {bought}: events changed while they were read, or feature "
            "rows are not unique. Run it again."
        )
