"""Which items a query's candidates are, each with its features; and the best of them. NumPy only.

A query's candidates are the items that its user chose before, the best of retrieval, the most popular of
late, and those that go with the user's own. Training, the gate and what is served
(`models.retrieve_and_rank.two_stage_answers`) find them by the same lines.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.cooccurrence.pair_scores import Together
from models.data.best_of_rows import best, filled_up, kth_best
from models.data.checks import Float32Array, Int64Array
from models.data.queries import OwnItems, Queries
from models.data.ragged import distinct, owners, picked
from models.ranker.pair_features import pair_features, user_features
from models.ranker.ranker_config import CandidateLists
from models.retrieve_and_rank.retrieval_scores import Hidden, Scores
from models.tables.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Pool:
    """What candidates are taken from: M items.

    Attributes:
        rows: of their keys, in the pool's order, from 1 on.
        statistics: float32 [T, M, S], at T moments.
        popular: bool [T, M], which of them are candidates of everybody.
    """

    rows: Vocabulary
    statistics: Float32Array
    popular: np.ndarray

    @classmethod
    def of(
        cls, rows: Vocabulary, statistics: Float32Array, popular: int, popularity_column: int
    ) -> "Pool":
        """Of these items.

        Args:
            popular: how many of the most popular are candidates.
            popularity_column: the statistic that says so; -1: none does.
        """
        best = np.zeros(statistics.shape[:2], bool)
        if popular and 0 <= popularity_column < statistics.shape[2]:
            best = most_popular(statistics[:, :, popularity_column], popular)
        return cls(rows, statistics, best)

    def popular_places(self, moments: np.ndarray) -> Int64Array:
        """The popular items of each query, which see these moments, as row * M + column: int64 [n]."""
        ends, places = picked(self._lists[0], np.asarray(moments, np.int64))
        return owners(ends) * len(self.rows) + self._lists[1][places]

    @cached_property
    def _lists(self) -> tuple[Int64Array, Int64Array]:
        """The popular columns of each moment: offsets int64 [T + 1], and they."""
        ends = np.concatenate([[0], np.cumsum(np.count_nonzero(self.popular, axis=1))])
        return ends, np.nonzero(self.popular)[1]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs of a query and a column of the pool, by query, then by column.

    Attributes:
        row, column: int64 [n].
        score: float32 [n], logarithms of retrieval's probabilities.
        position: int64 [n], where the pair stands among the users' own items; -1: nowhere.
        beside: int64 [m], those of the memory's best, as row * M + column; ascending.
    """

    row: Int64Array
    column: Int64Array
    score: Float32Array
    position: Int64Array
    beside: Int64Array


def candidate_lists(
    queries: Queries,
    pool: Pool,
    moments: np.ndarray,
    scores: Scores,
    hidden: Hidden,
    retrieved: int,
    together: Together | None = None,
) -> CandidateLists:
    """The candidates of each query, in the pool's order, with their features: see `candidates_of`."""
    found = candidates_of(queries, pool, moments, scores, hidden, retrieved, together)
    return with_features(found, queries, pool, moments, together)


def candidates_of(
    queries: Queries,
    pool: Pool,
    moments: np.ndarray,
    scores: Scores,
    hidden: Hidden,
    retrieved: int,
    together: Together | None = None,
) -> Candidates:
    """Which items are candidates of each query.

    Args:
        queries: B of them, of as many kinds of events as the ranker takes. Without `own` their users
            are taken to be new.
        moments: int [B], which of the pool's moments each query sees.
        scores: retrieval's, of the pool.
        retrieved: how many of the best by retrieval are candidates. At least as many as will be
            shown, so that whatever is hidden, enough are left.
        together: what a memory of pairs says; None: there is none.
    """
    own = queries.own if queries.own is not None else OwnItems.none(len(queries))
    place = pool.rows.rows(own.item_keys) - 1
    index = np.flatnonzero(place >= 0)
    width = max(len(pool.rows), 1)
    mine = own.owners()[index] * width + place[index]
    closed = hidden.table(len(queries), width)

    beside = np.zeros(0, np.int64)
    if together is not None:
        at = together.row * width + (together.item - 1)
        before = closed[mine]
        closed[mine] = True
        beside = np.sort(at[together.best(~closed[at])])
        closed[mine] = before
    found = (mine, beside, pool.popular_places(moments), scores.best(hidden, retrieved))
    flat = distinct(np.concatenate(found), in_runs=True)
    flat = flat[~closed[flat]]
    row, column = np.divmod(flat, width)
    return Candidates(row, column, scores.of(flat), _positions(flat, mine, index), beside)


def with_features(
    found: Candidates,
    queries: Queries,
    pool: Pool,
    moments: np.ndarray,
    together: Together | None = None,
) -> CandidateLists:
    """Candidates with what is known of each pair; arguments are those of `candidates_of`."""
    own = queries.own if queries.own is not None else OwnItems.none(len(queries))
    row, column, position = found.row, found.column, found.position
    user = np.concatenate([user_features(own), queries.statistics], axis=1)
    count, items, width = pool.statistics.shape
    moment = np.asarray(moments, np.int64)[row] if count > 1 else 0
    parts = [
        pair_features(own, found.score, position, row),
        np.repeat(user, np.bincount(row, minlength=len(queries)), axis=0),
        pool.statistics.reshape(count * items, width).take(moment * items + column, axis=0),
    ]
    if together is not None:
        parts.append(together.features(own, row, column + 1, position))
    features = np.concatenate(parts, axis=1, dtype=np.float32)
    offsets = np.searchsorted(row, np.arange(len(queries) + 1))
    return CandidateLists(offsets, pool.rows.keys[column], features)


def _positions(pairs: Int64Array, mine: Int64Array, index: Int64Array) -> Int64Array:
    """Where each pair stands among the users' own items: int64 [N]; -1: the user never chose the item.

    Args:
        pairs: int64 [N], ascending.
        mine, index: int64 [n], the own pairs, and where each stands.
    """
    position = np.full(len(pairs), -1, np.int64)
    if len(pairs):
        at = np.minimum(np.searchsorted(pairs, mine), len(pairs) - 1)
        there = pairs[at] == mine
        position[at[there]] = index[there]
    return position


def most_popular(popularity: Float32Array, count: int) -> np.ndarray:
    """Which items are among the `count` most popular, and popular at all, ties at the edge too: bool, of
    shape [T, M]."""
    some = np.where(popularity > 0, popularity, np.float32(-np.inf))
    return (some >= kth_best(some, count)[:, None]) & (some > -np.inf)


def best_of_lists(
    lists: CandidateLists, scores: Float32Array, k: int
) -> tuple[Int64Array, Float32Array]:
    """The k best of each list: keys int64 [B, k] and scores float32 [B, k], 0 and -inf after its
    end. Ties go to the earlier candidate."""
    owner, place, kept = best_places(lists.offsets, scores, k)
    keys = np.zeros((len(lists), k), np.int64)
    found = np.full((len(lists), k), -np.inf, np.float32)
    keys[owner, place] = lists.item_keys[kept]
    found[owner, place] = scores[kept]
    return keys, found


def best_places(
    offsets: Int64Array, scores: Float32Array, k: int
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The k best of each list above -inf: its list, its place among the best, and its place in `scores`,
    int64 [n] each."""
    owner, column, _ = best(filled_up(np.diff(offsets), scores), k)
    return owner, np.arange(len(owner)) - np.searchsorted(owner, owner), offsets[owner] + column
