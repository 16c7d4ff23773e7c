"""Negatives for logs of clicks alone: for each click, items that were not clicked, drawn at random.

What is learned then is no click rate, but how a click differs from chance: probabilities are those of
`NEGATIVES` drawn items for each clicked one (He et al., Neural collaborative filtering, WWW 2017, draw
as many).
"""

from dataclasses import replace

import numpy as np

from models.data.checks import Int64Array
from models.data.events import Events

NEGATIVES = 4
"""Drawn for each click."""


def labelled(events: Events, pool: Int64Array, seed: int) -> Events:
    """The events as they are, if they have labels; else each of them as a click, and beside it
    `NEGATIVES` items of the pool at the same time, without those that the same query chose.

    Args:
        pool: int64 [M], unique item keys, drawn from alike.
        seed: of the draws.
    """
    if events.labels is not None or not len(events.item_keys):
        return events
    rng = np.random.default_rng([seed, *b"negatives"])
    of = np.repeat(np.arange(len(events.item_keys)), NEGATIVES if len(pool) else 0)
    drawn = pool[rng.integers(0, len(pool), len(of))] if len(pool) else pool
    names, item = np.unique(np.concatenate([events.item_keys, drawn]), return_inverse=True)
    query = np.concatenate([events.query, events.query[of]]).astype(np.int64)
    pair = query * len(names) + item
    clicks = len(events.item_keys)
    kept = ~np.isin(pair[clicks:], pair[:clicks])
    of, drawn = of[kept], drawn[kept]
    place = np.argsort(np.concatenate([np.arange(clicks), of]), kind="stable")

    def beside(array: np.ndarray, more: np.ndarray) -> np.ndarray:
        return np.concatenate([array, more])[place].astype(array.dtype)

    labels = np.repeat(np.array([1, 0], np.float32), [clicks, len(of)])[place]
    values = events.values
    return replace(
        events,
        query=beside(events.query, events.query[of]),
        item_keys=beside(events.item_keys, drawn),
        times=beside(events.times, events.times[of]),
        weights=beside(events.weights, events.weights[of]),
        values=None if values is None else beside(values, np.full(len(of), np.nan)),
        labels=labels,
        kinds=None if events.kinds is None else beside(events.kinds, events.kinds[of]),
    )
