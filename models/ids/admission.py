"""Admission: an id gets rows once it has been seen often enough; until then its events wait.

An id that comes once costs a row, two slots and noise. Until it has had `minimum_events`, counted
over all windows, it is served as unknown, its events as an item are left out of training, and those
as a user train the unknown user's view (as in Monolith: Liu et al., ORSUM 2022).

The counts wait in `state.extra`, so that they are saved with the model, and a task that is run
again from the champion doesn't count a window twice:

    waiting/<users or items>/keys     int64 [n], ascending
    waiting/<users or items>/counts   int64 [n], events so far
    waiting/<users or items>/days     int64 [n], day of the latest; 0 where no day was given
"""

import numpy as np
import numpy.typing as npt

from models.data.checks import Int64Array
from models.data.queries import Interactions
from models.tables.network import Entity, names_of
from models.tables.rows import keep_rows
from models.tables.state import ModelState
from models.tables.vocabulary import UNKNOWN_ROW

NAMES = ("keys", "counts", "days")


def waiting(state: ModelState, entity: Entity) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Keys (ascending), counts and latest days of the ids that wait."""
    nothing = np.zeros(0, np.int64)
    keys, counts, days = (state.extra.get(f"waiting/{entity}/{name}", nothing) for name in NAMES)
    return keys, counts, days


def admit(
    state: ModelState,
    entity: Entity,
    keys: Int64Array,
    counts: Int64Array,
    minimum_events: int,
    day: int = 0,
) -> npt.NDArray[np.bool_]:
    """Counts the events of unknown ids; says which ids may have a row from now on.

    Args:
        state: its waiting ids change in place.
        entity: "users" or "items".
        keys: int64 [m], positive; known ones and repeats allowed.
        counts: int64 [m], 0 or more: events of each in this window.
        minimum_events: over all windows, to be admitted.
        day: of the window's end, days since 1970-01-01.

    Returns:
        bool [m], true for the known and for those admitted; their counts no longer wait.
    """
    known = state.vocabulary(entity).rows(keys) != UNKNOWN_ROW
    older, total, days = waiting(state, entity)
    if minimum_events <= 1 and not len(older):
        return np.ones(len(keys), np.bool_)
    unknown = ~known
    everyone, at = np.unique(np.concatenate([older, keys[unknown]]), return_inverse=True)
    events = np.concatenate([total, counts[unknown]])
    sums = np.zeros(len(everyone), np.int64)
    np.add.at(sums, at, events)
    latest = np.zeros(len(everyone), np.int64)
    np.maximum.at(latest, at, np.concatenate([days, np.full(int(unknown.sum()), day, np.int64)]))
    # Only an id that came now is admitted: one that only waits has nothing to be trained on.
    came = np.zeros(len(everyone), np.bool_)
    came[at[len(older) :]] = True
    admitted = came & (sums >= minimum_events)
    _keep(state, entity, everyone[~admitted], sums[~admitted], latest[~admitted])
    known[unknown] = admitted[at[len(older) :]]
    return known


def forget(state: ModelState, entity: Entity, before_day: int) -> int:
    """Drops the waiting ids whose latest event is from before this day; says how many.

    Ids of which no day is known (0) go on waiting.
    """
    keys, counts, days = waiting(state, entity)
    stays = (days >= before_day) | (days == 0)
    if stays.all():
        return 0
    _keep(state, entity, keys[stays], counts[stays], days[stays])
    return int((~stays).sum())


def trainable(state: ModelState, item_keys: Int64Array) -> npt.NDArray[np.bool_]:
    """Which events may train: bool [N], false where the item waits."""
    keys, _, _ = waiting(state, "items")
    return ~np.isin(item_keys, keys)


def admitted(state: ModelState, interactions: Interactions) -> Interactions:
    """The interactions without those on items that wait."""
    kept = trainable(state, interactions.item_keys)
    if kept.all():
        return interactions
    return Interactions(
        interactions.query[kept], interactions.item_keys[kept], interactions.weights[kept]
    )


def _keep(
    state: ModelState, entity: Entity, keys: Int64Array, counts: Int64Array, days: Int64Array
) -> None:
    for name, array in zip(NAMES, (keys, counts, days), strict=True):
        state.extra[f"waiting/{entity}/{name}"] = array


# Expiry: ids that no one has seen for a time lose their rows.
#
# Tables, slots, content and vocabulary shrink in place. The values of all other rows stay bit-
# identical, though their numbers move: this is the only place where a row moves. What outlives an
# update holds keys, so nothing else has to know. An expired id that comes back is a new one.
#
# `state.extra` has the day when each row was last seen, as int64 days since 1970-01-01 (UTC),
# under `seen_day/users` and `seen_day/items`; 0 where no day was ever noted.

ENTITIES: tuple[Entity, Entity] = ("users", "items")


def seen_days(state: ModelState, entity: Entity) -> Int64Array:
    """int64 [rows of the vocabulary + 1]: when each row was last seen; 0: no one has said."""
    days = np.zeros(len(state.vocabulary(entity)) + 1, np.int64)
    noted = state.extra.get(f"seen_day/{entity}", np.zeros(0, np.int64))
    days[: len(noted)] = noted
    return days


def note_seen(state: ModelState, user_keys: Int64Array, item_keys: Int64Array, day: int) -> None:
    """Notes that these ids had an event on this day; a day before the one known changes nothing.

    Args:
        state: `extra` changes.
        user_keys, item_keys: int64, any number, repeats allowed; unknown ones, and 0, are passed
            over.
        day: days since 1970-01-01, positive.

    Raises:
        ValueError: the day isn't positive.
    """
    if day < 1:
        raise ValueError(
            f"`day` should be positive, in days since 1970-01-01. Received: {day}. Pass the day "
            "on which the window ends."
        )
    for entity, keys in zip(ENTITIES, (user_keys, item_keys), strict=True):
        rows = state.vocabulary(entity).rows(keys)
        days = seen_days(state, entity)
        days[rows] = np.maximum(days[rows], day)
        days[0] = 0
        state.extra[f"seen_day/{entity}"] = days


def expire(state: ModelState, before_day: int) -> tuple[int, int]:
    """Removes the rows of ids last seen before a day, and what waits for admission since before.

    An id of which no day was ever noted stays: that nothing is known isn't a reason to forget it.

    Args:
        state: changed in place. If a row is removed, its next save is a whole one.
        before_day: days since 1970-01-01; an id seen on this day stays.

    Returns:
        How many users and how many items were removed.
    """
    removed = {entity: _expire(state, entity, before_day) for entity in ENTITIES}
    for entity in ENTITIES:
        forget(state, entity, before_day)
    return removed["users"], removed["items"]


def _expire(state: ModelState, entity: Entity, before_day: int) -> int:
    days = seen_days(state, entity)
    gone = (days > 0) & (days < before_day)
    if not gone.any():
        return 0
    stays = np.flatnonzero(~gone)  # row 0 among them
    network = state.network
    for name in names_of(network, entity):
        keep_rows(network.tables[name], stays)
        state.optimizer.keep_rows(name, stays)
    if entity == "items":
        for content in network.content.values():
            keep_rows(content, stays)
    for name, keyed in state.extras_by_row().items():
        if keyed == entity:
            # Made before the latest growth, an array may be shorter than the tables.
            state.extra[name] = state.extra[name][stays[stays < len(state.extra[name])]]
    state.vocabulary(entity).keep(stays[1:])
    state.forget_origin()
    return int(gone.sum())
