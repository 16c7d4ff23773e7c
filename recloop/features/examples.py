"""Training sets as arrays, ready for a model: reading, padding, scaling, slicing by time.

Belongs here: Parquet to NumPy. Keep out: TensorFlow, vocabularies (see `models/`), building
training sets (see `training_set.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from models.data.events import Events
from recloop.contracts import TrainingSet
from recloop.features.artefact import read_training_set
from recloop.features.daily import HISTORY_LENGTH, MAX_WORDS
from recloop.features.growing_arrays import Appended, GrowingOwnItems
from recloop.features.ranker_inputs import (
    STATISTICS,
    item_statistics,
    joined_statistics,
    own_items,
    scaled_statistics,
    schemas,
)

if TYPE_CHECKING:
    import pyarrow as pa


LONG = ("user_keys", "query_times", "history", "statistics", "item_keys", "times", "weights")
"""Fields of events that are joined while they are read."""


def read_examples(
    training_sets: Sequence[TrainingSet],
    chosen: Callable[[TrainingSet, Events], Events] = lambda _, events: events,
) -> Events:
    """Read and concatenate training sets, in the given order.

    Args:
        chosen: of the events of each those that are wanted.

    Raises:
        BadData: a file is missing or was altered since it was written.
    """
    parts, long, own = (
        list[dict[str, Any]](),
        {name: Appended() for name in LONG},
        GrowingOwnItems(),
    )
    for training_set in training_sets or (None,):
        part = vars(_empty()).copy()
        if training_set is not None:
            part = vars(chosen(training_set, _arrays(read_training_set(training_set)))).copy()
        for name, joined in long.items():
            joined.add(part.pop(name))
        own.add(part.pop("own"))
        parts.append(part)
        del part
    counted = np.cumsum([0, *(len(part["moments"]) for part in parts)])
    shifted = [part["query"] + offset for part, offset in zip(parts, counted, strict=False)]
    snapshots = np.cumsum([0, *(part["items"].moments for part in parts)])
    moments = [part["moments"] + at for part, at in zip(parts, snapshots, strict=False)]
    # The union of the parts' items, each with the words of its last part.
    catalogue, first = np.unique(
        np.concatenate([part["catalogue"] for part in reversed(parts)]), return_index=True
    )
    words = np.concatenate([part["words"] for part in reversed(parts)])[first]
    kinds, kind_names = _joined_kinds(parts)
    return Events(
        **{name: joined.array for name, joined in long.items()},
        kinds=kinds,
        kind_names=kind_names,
        query=np.concatenate(shifted).astype(np.int32),
        catalogue=catalogue,
        words=words,
        own=own.whole(),
        items=joined_statistics([part["items"] for part in parts]),
        moments=np.concatenate(moments).astype(np.int32),
        values=_joined([part["values"] for part in parts]),
        labels=_joined([part["labels"] for part in parts]),
    )


def _arrays(tables: dict[str, pa.Table]) -> Events:
    queries, interactions, items = (tables[n] for n in ("queries", "interactions", "items"))
    query_times = _times(queries)
    days = query_times.astype("datetime64[D]").astype(np.int64)
    if "day" in queries.column_names:  # else written when all days were UTC's
        days = _column(queries, "day", np.int64)
    moments, statistics = item_statistics(tables["item_days"], np.unique(days))
    kinds, kind_names = _kinds(interactions)
    raw = [_column(queries, name, np.float64) for name in STATISTICS]
    owners, times = _column(queries, "user_key", np.int64), _times(interactions)
    query = _column(interactions, "query_id", np.int32)
    return Events(
        user_keys=owners,
        query_times=query_times,
        history=_padded(queries, "history", HISTORY_LENGTH, np.int64),
        statistics=scaled_statistics(np.stack(raw, axis=1)),
        query=query,
        item_keys=_column(interactions, "item_key", np.int64),
        times=spread(times, owners[query]),
        weights=_column(interactions, "weight", np.float32),
        values=_optional(interactions, "value"),
        labels=_optional(interactions, "label"),
        kinds=kinds,
        kind_names=kind_names,
        catalogue=_column(items, "item_key", np.int64),
        words=_padded(items, "words", MAX_WORDS, np.int32),
        own=own_items(queries, days),
        items=statistics,
        moments=np.searchsorted(moments, days).astype(np.int32),
    )


def spread(times: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Moments (datetime64[us] [N]) apart from each other by user (int64 [N]), within a second, where all
    are the same one: a window whose times say the day alone is cut between users, then."""
    if len(times) < 2 or (times != times[0]).any():
        return times
    chance = (owners.astype(np.uint64) * np.uint64(2_654_435_761)) % np.uint64(1 << 32)
    micros = (chance.astype(np.float64) / (1 << 32) * 1e6).astype(np.int64)
    return times + micros.astype("timedelta64[us]")


def _kinds(table: pa.Table) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """`kinds` and `kind_names` of events that have a kind; nothing else has."""
    if "kind" not in table.column_names:
        return None, ()
    names, kinds = np.unique(table["kind"].to_numpy(zero_copy_only=False), return_inverse=True)
    return kinds.astype(np.int32), tuple(map(str, names))


def _joined_kinds(
    parts: Sequence[dict[str, Any]],
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The same of several training sets, if every one that has events has them."""
    parts = [part for part in parts if len(part["query"])]
    if not parts or any(part["kinds"] is None for part in parts):
        return None, ()
    names = tuple(sorted({name for part in parts for name in part["kind_names"]}))
    places = [np.array([names.index(n) for n in part["kind_names"]], np.int32) for part in parts]
    kinds = [place[part["kinds"]] for place, part in zip(places, parts, strict=True)]
    return np.concatenate(kinds), names


def _optional(table: pa.Table, name: str) -> np.ndarray | None:
    """float32, NaN where it is null; None: there is no such column."""
    return _column(table, name, np.float32) if name in table.column_names else None


def _joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The parts' arrays, if every part has one."""
    known = [one for one in parts if one is not None]
    return np.concatenate(known) if known and len(known) == len(parts) else None


def _column(table: pa.Table, name: str, dtype: type) -> np.ndarray:
    return table[name].to_numpy().astype(dtype)


def _times(table: pa.Table) -> np.ndarray:
    return table["event_timestamp"].to_numpy().astype("datetime64[us]")


def _padded(table: pa.Table, name: str, width: int, dtype: type) -> np.ndarray:
    """A list column as [rows, width], cut or 0-padded on the right."""
    lists = table[name].combine_chunks()
    result: np.ndarray = np.zeros((len(lists), width), dtype)
    if len(lists):
        lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
        row = np.repeat(np.arange(len(lists)), lengths)
        column = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        kept = column < width
        result[row[kept], column[kept]] = lists.flatten().to_numpy(zero_copy_only=False)[kept]
    return result


def _empty() -> Events:
    return _arrays({name: schema.empty_table() for name, schema in schemas().items()})
