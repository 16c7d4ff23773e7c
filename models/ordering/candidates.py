"""Candidates: which items the ranker looks at for a query, and what it sees of each. NumPy only.

A query's candidates are the items that its user chose before, the best of retrieval and the most
popular of late. Each has one row of features, all of them known before the query: the retrieval
score (by a model that hasn't learned from the query yet: test, then train), the user's own
purchases of the item, the user's and the item's statistics.

Neighbours: `models.ordering.point_in_time` is what the features are made from;
`models.ordering.ranker` learns from them; `models.ordering.cascade` calls both.
"""

from dataclasses import dataclass

import numpy as np

from models.arrays import Float32Array, Int64Array, Queries
from models.ids.vocabulary import Vocabulary
from models.lists import owners
from models.ordering.point_in_time import OWN_COLUMNS, ItemStatistics, OwnItems

PAIR_FEATURES = (
    "retrieval",  # log probability by a softmax over all items known, at least -20
    "own",  # 1: the user has chosen the item before; then, on a log1p scale:
    "own_purchases",
    "own_days",
    "own_first_age",
    "own_last_age",
    "own_decayed_28d",
    "own_decayed_112d",
    "own_share",  # days with the item / days with anything
    "own_latest",  # 1: nothing was chosen after it
)
USER_FEATURES = ("user_purchases", "user_days", "user_last_age")
"""On a log1p scale. `Queries.statistics` and the item's statistics follow, as they are."""
LEAST_RETRIEVAL = -20.0


@dataclass(frozen=True, eq=False)
class CandidateLists:
    """Candidates of B queries.

    Attributes:
        offsets: int64 [B + 1], which candidates are of which query (`models.lists`).
        item_keys: int64 [N].
        features: float32 [N, F], in the order PAIR_FEATURES, USER_FEATURES, user statistics, item
            statistics; column 1 says whether the pair is known.
    """

    offsets: Int64Array
    item_keys: Int64Array
    features: Float32Array

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def owners(self) -> Int64Array:
        """The query of each candidate: int64 [N]."""
        return owners(self.offsets)


def feature_width(user_statistics: int, item_statistics: int) -> int:
    """F of `CandidateLists.features`."""
    return len(PAIR_FEATURES) + len(USER_FEATURES) + user_statistics + item_statistics


def candidate_lists(
    queries: Queries,
    pool: Int64Array,
    scores: Float32Array,
    shown: np.ndarray,
    retrieved: int,
    popular: int,
    popularity_column: int,
    item_statistics: int,
) -> CandidateLists:
    """The candidates of each query, in the pool's order, with their features.

    Args:
        queries: B of them. Without `own` their users are taken to be new; without `items` the
            items' statistics are 0.
        pool: int64 [M], unique item keys.
        scores: float32 [B, M], retrieval logits of the pool; overwritten.
        shown: bool [B, M], which of the pool may be shown at all.
        retrieved: how many of the best by retrieval are candidates. At least as many as will be
            shown, so that whatever is excluded, enough are left.
        popular: how many of the most popular are candidates.
        popularity_column: the statistic of items that says so; -1: none does.
        item_statistics: how many statistics of items the ranker takes.

    Raises:
        ValueError: `queries.items` has another number of statistics.
    """
    own = queries.own if queries.own is not None else OwnItems.none(len(queries))
    statistics, moments = _item_statistics(queries, pool, item_statistics)
    place = Vocabulary(pool).rows(own.item_keys) - 1
    owner = own.owners()
    in_pool = place >= 0
    # Where each pair stands among the user's own items; -1: the user never chose the item.
    position = np.full(scores.shape, -1, np.int32)
    position[owner[in_pool], place[in_pool]] = np.flatnonzero(in_pool)

    largest = scores.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(scores - largest).sum(axis=1, keepdims=True)) + largest
    scores -= normaliser

    chosen = position >= 0
    _mark_best(chosen, np.where(shown, scores, -np.inf), retrieved)
    if popular and 0 <= popularity_column < item_statistics:
        chosen |= most_popular(statistics[:, :, popularity_column], popular)[moments]
    row, column = np.nonzero(chosen & shown)
    pair = _pair_features(own, scores[row, column], position[row, column], row)
    user = _user_features(own)
    features = np.concatenate(
        [pair, user[row], queries.statistics[row], statistics[moments[row], column]], axis=1
    )
    offsets = np.searchsorted(row, np.arange(len(queries) + 1))
    return CandidateLists(offsets, pool[column], features.astype(np.float32, copy=False))


def most_popular(popularity: Float32Array, count: int) -> np.ndarray:
    """Which items are among the `count` most popular, and popular at all: bool, of shape [T, M]."""
    best = np.zeros(popularity.shape, bool)
    _mark_best(best, np.where(popularity > 0, popularity, -np.inf), count)
    return best


def _mark_best(marks: np.ndarray, scores: np.ndarray, count: int) -> None:
    """Sets the marks of each row's `count` best scores above -inf; ties at the edge are all in."""
    if count < scores.shape[1]:
        edge = np.partition(scores, scores.shape[1] - count, axis=1)[:, scores.shape[1] - count]
        marks |= (scores >= edge[:, None]) & (scores > -np.inf)
    else:
        marks |= scores > -np.inf


def _item_statistics(
    queries: Queries, pool: Int64Array, width: int
) -> tuple[Float32Array, np.ndarray]:
    """Statistics of the pool at each moment, [T, M, S], and the moment of each query, [B]."""
    known = queries.items
    if known is None:
        known = ItemStatistics(np.zeros(0, np.int64), np.zeros((1, 0, max(width, 1)), np.float32))
    elif known.values.shape[2] != width:
        raise ValueError(
            f"The ranker takes {width} statistics of items. Received: {known.values.shape[2]}. "
            "Select the same features, or rebuild the model."
        )
    moments = queries.moments
    if moments is None:
        moments = np.zeros(len(queries), np.int32)
    return known.of(pool)[:, :, :width] if width else known.of(pool)[:, :, :0], moments


def _pair_features(
    own: OwnItems, retrieval: Float32Array, position: np.ndarray, row: np.ndarray
) -> Float32Array:
    """[N, len(PAIR_FEATURES)]; of a pair that isn't known, all but the retrieval score are 0."""
    features = np.zeros((len(row), len(PAIR_FEATURES)), np.float32)
    features[:, 0] = np.maximum(retrieval, LEAST_RETRIEVAL)
    known = np.flatnonzero(position >= 0)
    values = own.values[position[known]]
    by_name = dict(zip(OWN_COLUMNS, values.T, strict=True))
    days = np.maximum(own.totals[row[known], 1], 1.0)
    features[known, 1] = 1.0
    for column, name in enumerate(PAIR_FEATURES[2:8], 2):
        features[known, column] = np.log1p(by_name[name.removeprefix("own_")])
    features[known, 8] = by_name["days"] / days
    features[known, 9] = by_name["last_age"] <= _last_ages(own)[row[known]]
    return features


def _user_features(own: OwnItems) -> Float32Array:
    """[B, len(USER_FEATURES)]."""
    raw = np.column_stack([own.totals, _last_ages(own)])
    return np.log1p(raw).astype(np.float32)


def _last_ages(own: OwnItems) -> np.ndarray:
    """Days from each user's latest event to the query: [B]; 0 for a user without any."""
    ages = np.full(len(own), np.inf, np.float32)
    np.minimum.at(ages, own.owners(), own.values[:, OWN_COLUMNS.index("last_age")])
    return np.where(np.isfinite(ages), ages, 0.0)
