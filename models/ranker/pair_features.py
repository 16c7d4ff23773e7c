"""The ranker's features of pairs of a query and an item, by NumPy: what the query knew of both.

The same in the graph of an export: `models.ranker.ranker_serving`; a test holds one against the
other.
"""

from dataclasses import replace

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.queries import (
    OWN_COLUMNS,
    TOTAL_COLUMNS,
    ItemStatistics,
    OwnItems,
    Queries,
)
from models.data.ragged import look_up
from models.ranker.ranker_config import LEAST_RETRIEVAL, PAIR_FEATURES


def features_of(
    queries: Queries, row: np.ndarray, item_keys: Int64Array, item_statistics: int, kinds: int = 0
) -> Float32Array:
    """Features of any pairs, without a retrieval score: float32 [N, F], in the order of
    `CandidateLists.features`.

    Args:
        queries: without `own` their users are taken to be new; without `items` the items'
            statistics are 0.
        row: int [N], the query of each pair.
        item_keys: int64 [N].
        item_statistics: how many statistics of items there are.
        kinds: how many kinds of events are counted apart.

    Raises:
        ValueError: `queries.items` has another number of statistics.
    """
    queries = queries.with_kinds(kinds)
    own = queries.own if queries.own is not None else OwnItems.none(len(queries))
    row = np.asarray(row, np.int64)
    retrieval = np.zeros(len(row), np.float32)
    pair = pair_features(own, retrieval, _positions(own, row, item_keys), row)
    statistics = np.zeros((len(row), item_statistics), np.float32)
    if queries.items is not None and item_statistics:
        _check_width(queries.items, item_statistics)
        moments = np.zeros(len(queries), np.int32) if queries.moments is None else queries.moments
        known, at = look_up(queries.items.item_keys, item_keys)
        statistics[known] = queries.items.values[moments[row[known]], at[known]]
    return np.concatenate(
        [pair, user_features(own)[row], queries.statistics[row], statistics], axis=1
    )


def _positions(own: OwnItems, row: Int64Array, item_keys: Int64Array) -> Int64Array:
    """Where each pair stands among the user's own items: int64 [N]; -1: nowhere."""
    names, item = np.unique(np.concatenate([own.item_keys, item_keys]), return_inverse=True)
    known = len(own.item_keys)
    mine = own.owners() * len(names) + item[:known]
    order = np.argsort(mine)
    found, at = look_up(mine[order], row * len(names) + item[known:])
    position = np.full(len(row), -1, np.int64)
    position[found] = order[at[found]]
    return position


def statistics_of_pool(
    queries: Queries, pool: Int64Array, width: int
) -> tuple[Float32Array, np.ndarray]:
    """Statistics of the pool at each moment that a query sees, [T, M, S], and which of them each query
    sees, [B]."""
    known = queries.items
    if known is None:
        known = ItemStatistics(np.zeros(0, np.int64), np.zeros((1, 0, max(width, 1)), np.float32))
    else:
        _check_width(known, width)
    moments = queries.moments
    if moments is None:
        moments = np.zeros(len(queries), np.int32)
    if known.moments > 1:  # of a long history a few: a copy of all of it would be large
        seen, place = np.unique(moments, return_inverse=True)
        moments = place.astype(np.int32)
        known = replace(known, values=known.values[seen])
    return known.of(pool)[:, :, :width] if width else known.of(pool)[:, :, :0], moments


def _check_width(known: ItemStatistics, width: int) -> None:
    if known.values.shape[2] != width:
        raise ValueError(
            f"The ranker takes {width} statistics of items. Received: {known.values.shape[2]}. "
            "Select the same features, or rebuild the model."
        )


def pair_features(
    own: OwnItems, retrieval: Float32Array, position: np.ndarray, row: np.ndarray
) -> Float32Array:
    """[N, len(PAIR_FEATURES) + K]; of a pair that isn't known, all but the retrieval score are 0."""
    features = np.zeros((len(row), len(PAIR_FEATURES) + own.kinds), np.float32)
    features[:, 0] = np.maximum(retrieval, LEAST_RETRIEVAL)
    known = np.flatnonzero(position >= 0)
    values = own.values[position[known]]
    by_name = dict(zip(OWN_COLUMNS, values.T, strict=False))
    days = np.maximum(own.totals[row[known], 1], 1.0)
    features[known, 1] = 1.0
    for column, name in enumerate(PAIR_FEATURES[2:8], 2):
        features[known, column] = np.log1p(by_name[name.removeprefix("own_")])
    features[known, 8] = by_name["days"] / days
    features[known, 9] = by_name["last_age"] <= _last_ages(own)[row[known]]
    features[known, 10:] = np.log1p(values[:, len(OWN_COLUMNS) :])
    return features


def user_features(own: OwnItems) -> Float32Array:
    """[B, len(USER_FEATURES) + K]."""
    every, kinds = np.split(own.totals, [len(TOTAL_COLUMNS)], axis=1)
    raw = np.column_stack([every, _last_ages(own), kinds])
    return np.log1p(raw).astype(np.float32)


def _last_ages(own: OwnItems) -> np.ndarray:
    """Days from each user's latest event to the query: [B]; 0 for a user without any."""
    ages = np.full(len(own), np.inf, np.float32)
    np.minimum.at(ages, own.owners(), own.values[:, OWN_COLUMNS.index("last_age")])
    return np.where(np.isfinite(ages), ages, 0.0)
