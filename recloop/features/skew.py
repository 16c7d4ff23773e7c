"""Skew: what models were asked with while they served, against what training sets have them learn.

Both are told of the same moment, the midnight at which a query's day begins, out of the same tables; so
both are equal, unless a table is stale, was filled late, or another version of the code reads it. An
impression is compared if its user has a query on the day that begins at the impression's moment.

Belongs here: reading impressions and comparing. Keep out: what follows from it (see
`evaluation/serving_rule.py`), writing impressions (see `recloop/server/`).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from models.data.events import Events
from models.data.queries import OWN_COLUMNS, Queries
from recloop.calendar import Window
from recloop.config.id_rules import Ids
from recloop.config.learnable import Meaning
from recloop.database.connection import Cursor
from recloop.features.days import day_numbers
from recloop.features.ranker_inputs import OWN_TOTALS, STATISTICS

TOLERANCE = 1e-6
"""Relative: both sides are float32, computed from the same rows."""
SHOWN = 3
"""Items of a list that a message names."""
Json = dict[str, Any]
Told = dict[str, tuple[Any, Any]]
"""Feature → (served, trained), where they differ."""

_SERVED = """
    select user_id, moment, min(at), count(*), features::text
    from ledger.impression
    where moment >= %(start)s and moment < %(end)s and user_id <> ''
    group by user_id, moment, features
"""
# When an event came: its lines were delivered, or a person took the window that had been refused.
_CAME = "greatest(source_file.landed_at, (ledger.window.acceptance ->> 'at')::timestamptz)"
_LATE = f"""
    select event.user_key, event.event_timestamp, {_CAME}
    from behavior.event join behavior.source_file using (file_id)
        left join ledger.window using (window_key)
    where event.user_key = any(%(users)s) and event.event_timestamp < %(end)s and {_CAME} > %(since)s
"""


def features_of(queries: Queries, number: int = 0) -> Json:
    """What a model is asked with of one query, as lists: `history` item keys, `statistics`, and of what
    the user chose `items`, keys, with their `values` and `totals`; empty where there are none."""
    history, own = queries.history[number], queries.own
    told = {
        "history": history[history > 0].tolist(),
        "statistics": queries.statistics[number].tolist(),
    }
    if own is None:
        return told | {"items": [], "values": [], "totals": []}
    mine = slice(int(own.offsets[number]), int(own.offsets[number + 1]))
    return told | {
        "items": own.item_keys[mine].tolist(),
        "values": own.values[mine].tolist(),
        "totals": own.totals[number].tolist(),
    }


def differing(served: Json, trained: Json) -> Told:
    """The features in which two answers of `features_of` differ; the order of own items is none."""
    found: Told = {}
    if (history := served.get("history") or []) != trained["history"]:
        found["history"] = _first_difference(history, trained["history"])
    for group, names in (("statistics", STATISTICS), ("totals", OWN_TOTALS)):
        found |= _numbers(group, names, served.get(group) or [], trained[group])
    ours, theirs = (dict(zip(one.get("items") or [], one.get("values") or [], strict=False))
                    for one in (served, trained))  # fmt: skip
    if ours.keys() != theirs.keys():
        found["own items"] = _first_difference(sorted(ours), sorted(theirs))
    for item in sorted(ours.keys() & theirs.keys()):
        for name, told in _numbers("own values", OWN_COLUMNS, ours[item], theirs[item]).items():
            found.setdefault(f"own {name}" if name in OWN_COLUMNS else name, told)
    return found


def _numbers(
    group: str, names: Sequence[str], served: Sequence[float], trained: Sequence[float]
) -> Told:
    """The numbers that differ, by name; under the group's name, if there are more or fewer of them. What
    was served before kinds of events were counted apart is compared without them."""
    if len(served) == len(names):
        trained = trained[: len(names)]
    if served == trained:  # nearly always, and a hundred times as fast
        return {}
    if len(served) != len(trained):
        return {group: (list(served), list(trained))}
    close = np.isclose(served, trained, rtol=TOLERANCE, atol=TOLERANCE**2)
    return {
        names[n] if n < len(names) else f"{group} of kind {n - len(names) + 1}": (
            served[n],
            trained[n],
        )
        for n in np.flatnonzero(~close).tolist()
    }


def _first_difference(served: list[int], trained: list[int]) -> tuple[list[int], list[int]]:
    """Some items of both, from where they begin to differ."""
    pairs = zip(served, trained, strict=False)
    at = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(served), len(trained)))
    return served[at : at + SHOWN], trained[at : at + SHOWN]


@dataclass(frozen=True)
class Skew:
    """How the impressions of a window compare with its training set.

    Attributes:
        compared: impressions whose user has a query on the day that begins at their moment.
        users: how many users these are of.
        differ: impressions of them that were answered with other features than are learnt from.
        late: further ones that differ because of events that came after the answer, which was right
            when it was given.
        feature: the feature in which most impressions differ; `example` says how, of one user.
    """

    compared: int = 0
    users: int = 0
    differ: int = 0
    late: int = 0
    feature: str = ""
    example: str = ""

    @property
    def share(self) -> float:
        """Of the compared impressions, those that differ."""
        return self.differ / self.compared if self.compared else 0.0

    def to_json(self) -> dict[str, float | str | None]:
        """As signals of an update; none if there was nothing to compare."""
        if not self.compared:
            return {}
        told: dict[str, float | str | None] = {
            "serving_compared": self.compared,
            "serving_users": self.users,
            "serving_skew": round(self.share, 6),
            "serving_late": self.late,
        }
        return told | {"serving_example": self.example} if self.example else told


@dataclass
class _Unlike:
    """An answer's features that differ from those that are learnt from."""

    user_key: int
    user_id: str
    moment: datetime
    at: datetime
    shown: int
    told: Told = field(default_factory=dict)


def serving_skew(
    cursor: Cursor, events: Events, window: Window, meaning: Meaning, ids: Ids
) -> Skew:
    """Compare the impressions whose moment lies in a window with its training set.

    The cost follows the window's impressions. A family that is asked without features has nothing to
    compare.

    Args:
        events: the window's training set.
        ids: how the shop's user ids are written.
    """
    if not meaning.features or not len(events.user_keys):
        return Skew()
    days = day_numbers(events.query_times, meaning.calendar).tolist()
    query_of = {pair: n for n, pair in enumerate(zip(events.user_keys.tolist(), days, strict=True))}
    queries, trained = events.queries(), dict[int, Json]()
    compared, users, unlike = 0, set[int](), list[_Unlike]()
    for user_id, key, moment, at, shown, text in _served(cursor, window, ids):
        number = query_of.get((key, meaning.calendar.day_number(moment)))
        if number is None:
            continue
        compared += shown
        users.add(key)
        if number not in trained:
            trained[number] = features_of(queries, number)
        told = differing(json.loads(text), trained[number])
        if told:
            unlike.append(_Unlike(key, user_id, moment, at, shown, told))
    late = _came_late(cursor, unlike, window)
    wrong = [one for one in unlike if id(one) not in late]
    feature, example = _example(wrong)
    differ = sum(one.shown for one in wrong)
    rest = sum(one.shown for one in unlike) - differ
    return Skew(compared, len(users), differ, rest, feature, example)


def _served(
    cursor: Cursor, window: Window, ids: Ids
) -> Iterator[tuple[str, int, datetime, datetime, int, str]]:
    """(user id, user key, moment, first answer, answers, features) of what was served in the window."""
    cursor.execute(_SERVED, {"start": window.start, "end": window.end})
    while rows := cursor.fetchmany(10_000):
        named = [ids.normal(row[0]) for row in rows]
        keys = _keys(cursor, named)
        for name, (_, *told) in zip(named, rows, strict=True):
            if name in keys:
                yield (name, keys[name], *told)


def _keys(cursor: Cursor, user_ids: Iterable[str]) -> dict[str, int]:
    with cursor.connection.cursor() as other:
        other.execute(
            "select user_id, user_key from behavior.account where user_id = any(%s)",
            (sorted(set(user_ids)),),
        )
        return dict(other.fetchall())


def _came_late(cursor: Cursor, unlike: Sequence[_Unlike], window: Window) -> set[int]:
    """Which of these (by `id`) were served before an earlier event of their user came."""
    if not unlike:
        return set()
    since = min(one.at for one in unlike)
    users = sorted({one.user_key for one in unlike})
    cursor.execute(_LATE, {"users": users, "end": window.end, "since": since})
    came: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    for user_key, happened, since in cursor.fetchall():
        came[user_key].append((happened, since))
    return {
        id(one)
        for one in unlike
        if any(when < one.moment and since > one.at for when, since in came[one.user_key])
    }


def _example(unlike: Sequence[_Unlike]) -> tuple[str, str]:
    """The feature that differs most often, and one sentence about one user."""
    counts = Counter[str]()
    for one in unlike:
        counts.update(dict.fromkeys(one.told, one.shown))
    if not counts:
        return "", ""
    feature = min(counts, key=lambda name: (-counts[name], name))
    one = next(one for one in unlike if feature in one.told)
    served, trained = one.told[feature]
    return feature, (
        f"{feature}: user {one.user_id!r} was answered with {served} where {trained} is learnt from, "
        f"known at {one.moment.isoformat()}"
    )
