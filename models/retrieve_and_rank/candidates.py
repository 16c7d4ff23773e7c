"""Which items a query's candidates are, each with its features; and the best of them. NumPy only.

A query's candidates are the items that its user chose before, the best of retrieval, the most popular of
late, and those that go with the user's own. Training, the gate and what is served
(`models.retrieve_and_rank.two_stage_answers`) find them by the same lines.
"""

import numpy as np

from models.cooccurrence.pair_scores import Together
from models.data.checks import Float32Array, Int64Array
from models.data.queries import OwnItems, Queries
from models.ranker.pair_features import pair_features, statistics_of_pool, user_features
from models.ranker.ranker_config import CandidateLists
from models.tables.vocabulary import Vocabulary


def candidate_lists(
    queries: Queries,
    pool: Int64Array,
    scores: Float32Array,
    shown: np.ndarray,
    retrieved: int,
    popular: int,
    popularity_column: int,
    item_statistics: int,
    together: Together | None = None,
    statistics: Float32Array | None = None,
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
        together: what a memory of pairs says; None: there is none.
        statistics: of the pool at one moment, float32 [1, M, S]; None: those of `queries.items`.

    Raises:
        ValueError: `queries.items` has another number of statistics.
    """
    own = queries.own if queries.own is not None else OwnItems.none(len(queries))
    moments = np.zeros(len(queries), np.int32)
    if statistics is None:
        statistics, moments = statistics_of_pool(queries, pool, item_statistics)
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
    if together is not None:
        at = together.row, together.item - 1
        best = together.best(shown[at] & (position[at] < 0))
        chosen[at[0][best], at[1][best]] = True
    row, column = np.nonzero(chosen & shown)
    pair = pair_features(own, scores[row, column], position[row, column], row)
    user = user_features(own)
    parts = [pair, user[row], queries.statistics[row], statistics[moments[row], column]]
    if together is not None:
        parts.append(together.features(own, row, column + 1, position[row, column]))
    features = np.concatenate(parts, axis=1)
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


def best_of_lists(
    lists: CandidateLists, scores: Float32Array, k: int
) -> tuple[Int64Array, Float32Array]:
    """The k best of each list: keys int64 [B, k] and scores float32 [B, k], 0 and -inf after its
    end. Ties go to the earlier candidate."""
    owners = lists.owners()
    order = np.lexsort((-scores, owners))
    rank = np.arange(len(order)) - lists.offsets[owners]
    kept, place = order[rank < k], rank[rank < k]
    keys = np.zeros((len(lists), k), np.int64)
    best = np.full((len(lists), k), -np.inf, np.float32)
    keys[owners[kept], place] = lists.item_keys[kept]
    best[owners[kept], place] = scores[kept]
    return keys, best
