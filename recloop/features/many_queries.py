"""Who asks, of many users at once: the same inputs as `current_queries.py` gives one by one, to the last
bit (a test holds one against the other), read without an object of Python for each number.

Neighbours: `current_queries.py` says what the inputs are; `recloop/outlets/` asks for everybody.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.data.queries import Queries
from models.data.ragged import distinct, look_up
from recloop.config.learnable import LEARNABLE, Meaning
from recloop.database.connection import Cursor
from recloop.database.copying import binary_rows, columns_of
from recloop.features.current_queries import KNOWN, known_moment, nothing_known
from recloop.features.daily import HISTORY_LENGTH
from recloop.features.ranker_inputs import (
    ALL_KINDS,
    OWN_KINDS,
    OWN_LISTS,
    OWN_TOTALS,
    STATISTICS,
    aged_own_items,
    by_kind,
    scaled_statistics,
)

Keys = npt.NDArray[np.int64]
NUMBERS = (
    *(f"coalesce(counted.{name}, 0)::float8" for name in STATISTICS),
    *(f"coalesce(own.{name}, 0)::float8" for name in OWN_TOTALS),
)
ARRAYS = ("history", *(f"own.{name}" for name in OWN_LISTS))
WHOLE = f"""case when cardinality(own.{OWN_KINDS}) = %(kinds)s * cardinality(own.items)
    then own.{OWN_KINDS}
    else array_fill(0::bigint, array[%(kinds)s * coalesce(cardinality(own.items), 0)]) end"""
"""SQL: events of each kind of own items; zeros where a row was written before kinds were counted."""
LENGTHS = struct.Struct(">i4xi")
"""The first two fields of a row, without the length before the first."""
FIELD, ELEMENT = 4, 12
"""Bytes before a field and of an element of an array: a length of 4, and 8 of a number."""
EMPTY_ARRAY, ARRAY = 12, 20
"""Bytes before an array's elements: dimensions, flags, type; and its size and first place."""
DENSE = 0.5
"""Share of the keys between the smallest and the largest from which on all between are read."""


def many_known(cursor: Cursor, user_keys: Keys, meaning: Meaning) -> Queries:
    """`current_queries.known_queries` of many users."""
    moment = known_moment(cursor, meaning)
    if moment is None:
        return nothing_known(user_keys, meaning)
    lengths = "coalesce(cardinality(history), 0), coalesce(cardinality(own.items), 0)"
    kinds = len(meaning.kinds)
    numbers = [*NUMBERS, *(_of_all(place) for place in range(1, kinds + 1))]
    arrays = [f"coalesce({name}, '{{}}')" for name in ARRAYS] + [WHOLE] * bool(kinds)
    rows = binary_rows(
        cursor,
        f"select {lengths}, {', '.join(numbers)}, {', '.join(arrays)} {KNOWN}",
        {"users": user_keys.tolist(), "moment": moment, "kinds": kinds},
    )
    read = _Rows(rows, len(user_keys), kinds)
    history = np.zeros((len(user_keys), HISTORY_LENGTH), np.int64)
    owner, place = _places(read.histories)
    history[owner, place] = read.elements(0, np.int64)
    lists = {
        name: read.elements(number, np.float64 if "decayed" in name else np.int64)
        for number, name in enumerate(OWN_LISTS, 1)
    }
    day = np.full(len(user_keys), meaning.calendar.day_number(moment))
    ends = [len(STATISTICS), len(NUMBERS)]
    counted, totals, every = np.split(read.numbers, ends, axis=1)
    each = None
    if kinds:
        each = by_kind(read.elements(len(ARRAYS), np.int64), kinds), every.astype(np.float32)
    return Queries(
        user_keys,
        history,
        scaled_statistics(counted),
        aged_own_items(read.owned, day, lists, totals.astype(np.float32), each),
    )


def _of_all(place: int) -> str:
    """SQL: a user's events of one kind, of all items; beyond an array's end is null."""
    return f"coalesce(own.{ALL_KINDS}[{place}], 0)::float8"


class _Rows:
    """Rows of two lengths, float8 numbers, and arrays of int8 or float8 without nulls, as `copy` writes
    them. The first array has the first length, the others the second; one more, where there are kinds,
    so many times the second.

    Attributes:
        histories, owned: int64 [B], the lengths.
        numbers: float64 [B, `NUMBERS`, and as many more as there are kinds].
    """

    def __init__(self, rows: bytes, count: int, kinds: int) -> None:
        self._rows, self._kinds = rows, kinds
        width = len(NUMBERS) + kinds
        self._arrays_at = 2 + 2 * (FIELD + 4) + width * (FIELD + 8)
        starts, lengths = np.zeros(count, np.int64), np.zeros((count, 2), np.int64)
        at = 0
        for row in range(count):
            first, second = LENGTHS.unpack_from(rows, at + 2 + FIELD)
            starts[row], lengths[row] = at, (first, second)
            at += self._arrays_at + _size(first) + len(OWN_LISTS) * _size(second)
            at += _size(kinds * second) if kinds else 0
        assert at == len(rows)
        self.histories, self.owned = lengths[:, 0], lengths[:, 1]
        self._starts = starts
        places = starts[:, None] + 2 + 2 * (FIELD + 4) + FIELD
        places = places + (FIELD + 8) * np.arange(width)
        self.numbers = self._read(places, np.float64)

    def elements(self, array: int, kind: type) -> np.ndarray:
        """The elements of one array of all rows, one row after the other."""
        lengths = self.owned if array else self.histories
        if array == len(ARRAYS):
            lengths = self._kinds * lengths
        begin = self._starts + self._arrays_at
        if array:
            begin = begin + _sizes(self.histories) + (array - 1) * _sizes(self.owned)
        owner, place = _places(lengths)
        return self._read(begin[owner] + FIELD + ARRAY + ELEMENT * place + FIELD, kind)

    def _read(self, places: Keys, kind: type) -> np.ndarray:
        """The numbers of 8 bytes that begin at these places."""
        size = max(0, len(self._rows) - 7)
        every = np.ndarray((size,), np.dtype(kind).newbyteorder(">"), self._rows, strides=(1,))
        return every[places].astype(kind)


def _size(length: int) -> int:
    return FIELD + (ARRAY + ELEMENT * length if length else EMPTY_ARRAY)


def _sizes(lengths: Keys) -> Keys:
    return FIELD + np.where(lengths > 0, ARRAY + ELEMENT * lengths, EMPTY_ARRAY)


def _places(lengths: Keys) -> tuple[Keys, Keys]:
    """Of lists of these lengths, one after the other: the list of each element, and its place there."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    return owner, np.arange(len(owner)) - (np.cumsum(lengths) - lengths)[owner]


def many_chosen(cursor: Cursor, user_keys: Keys, meaning: Meaning) -> tuple[Keys, Keys]:
    """`current_queries.chosen_by` of many users, whose keys ascend: offsets int64 [B + 1], item keys
    int64 [n], those of each user ascending."""
    owner, items = columns_of(
        cursor,
        f"select user_key, item_key from behavior.event where {_of(user_keys)} and {LEARNABLE}",
        ("int8", "int8"),
        {"users": user_keys.tolist()} | meaning.parameters(),
    )
    known, place = look_up(user_keys, owner)
    names, item = np.unique(items, return_inverse=True)
    pairs = distinct(place[known] * len(names) + item[known])
    place, item = np.divmod(pairs, max(len(names), 1))
    return np.searchsorted(place, np.arange(len(user_keys) + 1)), names[item]


def many_sessions(cursor: Cursor, user_keys: Keys, meaning: Meaning) -> Queries:
    """`current_queries.latest_session` of many users, whose keys ascend."""
    owner, place, items, when = columns_of(
        cursor,
        "select user_key, place, item_key, extract(epoch from event_timestamp)::float8 from ("
        "select user_key, item_key, event_timestamp, row_number() over (partition by user_key "
        "order by event_timestamp desc, event_id desc) as place "
        f"from behavior.event where {_of(user_keys)} and {LEARNABLE}) as event "
        "where place <= %(most)s order by 1, 2",
        ("int8", "int8", "int8", "float8"),
        {"users": user_keys.tolist(), "most": HISTORY_LENGTH} | meaning.parameters(),
    )
    history = np.zeros((len(user_keys), HISTORY_LENGTH), np.int64)
    if len(owner):
        ends = np.zeros(len(owner), bool)
        if meaning.session_gap is not None:
            ends[1:] = (owner[1:] == owner[:-1]) & (when[:-1] - when[1:] > meaning.session_gap)
        # Sessions ended so far, of all users; those that ended in the user's own list before the event.
        ended = np.cumsum(ends)
        begins = np.searchsorted(owner, owner)
        kept = (ended == ended[begins]) & np.isin(owner, user_keys)
        history[np.searchsorted(user_keys, owner[kept]), place[kept] - 1] = items[kept]
    return Queries(user_keys, history, np.zeros((len(user_keys), 0), np.float32))


def _of(user_keys: Sequence[int] | Keys) -> str:
    """SQL: rows of these users, and perhaps of others between them."""
    low, high = (int(user_keys[0]), int(user_keys[-1])) if len(user_keys) else (1, 0)
    if len(user_keys) >= DENSE * (high - low + 1):
        return f"user_key between {low} and {high}"
    return "user_key = any(%(users)s)"
