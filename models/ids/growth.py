"""Growing: the rows of new users and new items.

Old rows and old slots stay bit-identical. The first rows of an empty model are random; later ones
start from what is known: a new item from items that are like it (`models.ids.starts`), a new user
from the mean user. Slots start as a fresh optimizer's, so a new row takes large steps while an old
one, beside it, takes small ones.

The cost follows the new ids, save for one copy of each table: a variable can't be lengthened.
Rejected: spare rows at the end of each table, which every reader of a table would have to know of.
"""

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.queries import Items
from models.errors import BadTrainingData
from models.ids.admission import admit
from models.ids.starts import Blend, Groups, NewIds, by_groups, by_words
from models.tables.backend import tf
from models.tables.network import names_of
from models.tables.rows import append_rows, count_rows
from models.tables.state import ModelState

MEAN_ROWS = 4096
"""The mean row is that of so many known ones, evenly spaced: its error is 1/64 of their spread."""


def add_ids(
    state: ModelState,
    user_keys: Int64Array,
    items: Items,
    new_ids: NewIds | None = None,
    counts: tuple[Int64Array, Int64Array] | None = None,
    cooccurrence: Groups | None = None,
    day: int = 0,
) -> tuple[int, int]:
    """Adds the users and items that are new, in the order given; known ones are left alone.

    Args:
        state: changed in place.
        user_keys: int64 [U], positive; known ones and repeats allowed.
        items: the items; known ones keep the words that they came with.
        new_ids: who is admitted, and where items start; None: `NewIds()`, all and from content.
        counts: events in this window, int64 [U] of the users and int64 [M] of the items; None: one
            for each time that it is given.
        cooccurrence: the window's events, for `start="cooccurrence"`.
        day: of the window's end, in days since 1970-01-01; noted for the ids that wait.

    Returns:
        How many users and how many items were added.

    Raises:
        BadTrainingData: a word id is beyond the configuration's `word_buckets`, a user key is not
            positive, or counts don't fit. Nothing has grown.
    """
    new_ids = new_ids or NewIds()
    user_keys = np.asarray(user_keys, np.int64)
    if (user_keys <= 0).any():
        raise BadTrainingData(
            f"User keys should be positive. Received: {user_keys[user_keys <= 0][0]}. "
            "An anonymous user (0) has no row to grow: leave it out."
        )
    words = _words(state, items)
    user_counts, item_counts = _counts(user_keys, items, counts)
    least = new_ids.minimum_events
    ready = admit(state, "items", items.item_keys, item_counts, least, day)
    new = ready & (state.items.rows(items.item_keys) == 0)
    blends = _starts(state, items.item_keys[new], words[new], new_ids.start, cooccurrence)
    new_items = state.items.extend(items.item_keys[new])
    if len(new_items):
        _add_items(state, words[new], blends)
    ready = admit(state, "users", user_keys, user_counts, least, day)
    new_users = state.users.extend(user_keys[ready])
    if len(new_users):
        for name in names_of(state.network, "users"):
            _append(state, name, _blended(state, name, [None] * len(new_users)))
    return len(new_users), len(new_items)


def _words(state: ModelState, items: Items) -> Int64Array:
    """The items' words as int64 [M, W]: cut, or padded with 0. W is 0 if the model has no words."""
    if "item_words" not in state.network.content:
        return np.zeros((len(items), 0), np.int64)
    width, buckets = state.network.content["item_words"].shape[1], state.config.word_buckets
    if len(items) and items.words.size and items.words.max() >= buckets:
        raise BadTrainingData(
            f"Word ids should be below word_buckets = {buckets}. "
            f"Received: {items.words.max()}. Hash descriptions with the bucket count of the "
            "model's configuration, or rebuild the model with more buckets."
        )
    words = np.zeros((len(items), width), np.int64)
    kept = items.words[:, :width]
    words[:, : kept.shape[1]] = kept
    return words


def _counts(
    user_keys: Int64Array, items: Items, counts: tuple[Int64Array, Int64Array] | None
) -> tuple[Int64Array, Int64Array]:
    if counts is None:
        return np.ones(len(user_keys), np.int64), np.ones(len(items), np.int64)
    users, of_items = (np.asarray(array, np.int64) for array in counts)
    fits = users.shape == user_keys.shape and of_items.shape == items.item_keys.shape
    if not fits or (users < 0).any() or (of_items < 0).any():
        raise BadTrainingData(
            "`counts` should have one number, 0 or more, for each user key and each item. "
            f"Received: {len(users)} for {len(user_keys)} users, {len(of_items)} for "
            f"{len(items)} items. Count the window's events per key given."
        )
    return users, of_items


def _starts(
    state: ModelState, keys: Int64Array, words: Int64Array, start: str, together: Groups | None
) -> list[Blend | None]:
    """What each new item starts from: by the rule asked for, else by its words, else None, the
    mean item."""
    blends: list[Blend | None] = [None] * len(keys)
    if not len(keys) or not len(state.items) or start == "mean":
        return blends
    if start == "cooccurrence" and together is not None:
        found = by_groups(keys, together, state.items)
        blends = [blend if len(blend[0]) else None for blend in found]
    left = [i for i, blend in enumerate(blends) if blend is None]
    if left and words.any():
        known = state.network.content["item_words"].numpy()
        for i, blend in zip(left, by_words(words[left], known), strict=True):
            blends[i] = blend if len(blend[0]) else None
    return blends


def _add_items(state: ModelState, words: Int64Array, blends: list[Blend | None]) -> None:
    for name in names_of(state.network, "items"):
        _append(state, name, _blended(state, name, blends))
    for name, content in state.network.content.items():
        # What is known of an item besides its words comes with its family, later.
        known = words if name == "item_words" else np.zeros((len(words), *content.shape[1:]))
        append_rows(content, tf.cast(known, content.dtype))


def _blended(state: ModelState, name: str, blends: list[Blend | None]) -> Float32Array:
    """float32 [n, d]: for each new row the weighted mean of the known rows of its blend, of all
    for None; random if none is known."""
    table = state.network.tables[name]
    known = count_rows(table) - 1
    if known == 0:
        return _random_rows(state, name, len(blends))
    start = np.zeros((len(blends), *table.shape[1:]))
    if None in blends:
        spaced = np.linspace(1, known, min(known, MEAN_ROWS)).astype(np.int64)
        start += tf.gather(table, spaced).numpy().mean(axis=0, dtype=np.float64)
    blended = [(i, blend) for i, blend in enumerate(blends) if blend is not None]
    if blended:
        named = np.zeros(known + 1, np.bool_)
        named[np.concatenate([blend[0] for _, blend in blended])] = True
        rows = np.flatnonzero(named)
        values = tf.gather(table, rows).numpy()
        for i, (of, weights) in blended:
            start[i] = weights @ values[np.searchsorted(rows, of)] / weights.sum()
    return start.astype(np.float32)


def _random_rows(state: ModelState, name: str, count: int) -> Float32Array:
    """float32 [count, d], of about unit length unless the network says otherwise; a function of
    the seed."""
    width = state.network.tables[name].shape[1]
    spread = state.network.spreads.get(name)
    if spread == 0.0:
        return np.zeros((count, width), np.float32)
    rng = np.random.default_rng([state.seed, *name.encode()])
    normal = rng.standard_normal((count, width))
    return (normal / np.sqrt(width) if spread is None else normal * spread).astype(np.float32)


def _append(state: ModelState, name: str, rows: Float32Array) -> None:
    table = state.network.tables[name]
    append_rows(table, rows)
    state.optimizer.extend(name, len(rows))
    fisher = state.extra.get(f"fisher/{name}")
    if fisher is not None:
        # Of what is new, the past has nothing to lose.
        missing = count_rows(table) - len(fisher)
        fresh = np.zeros((missing, *fisher.shape[1:]), fisher.dtype)
        state.extra[f"fisher/{name}"] = np.concatenate([fisher, fresh])
