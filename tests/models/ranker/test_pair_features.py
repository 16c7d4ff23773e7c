"""Features of any pair are those that a candidate of the same query has; in the graph, too."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.queries import OwnItems
from models.ranker import ranker_serving
from models.ranker.pair_features import features_of, statistics_of_pool
from models.retrieve_and_rank.candidates import Pool, candidate_lists
from models.retrieve_and_rank.retrieval_scores import NOTHING, ScoreTable
from models.tables.backend import tf
from models.tables.vocabulary import Vocabulary
from tests.models.shop_weeks import week


def test_features_of_pairs_are_those_of_candidates() -> None:
    queries, pool = week(1).queries(), np.arange(101, 131)
    shape = (len(queries), len(pool))
    statistics, moments = statistics_of_pool(queries, pool, 5)
    lists = candidate_lists(
        queries,
        Pool.of(Vocabulary(pool), statistics, 0, 1),
        moments,
        ScoreTable(np.zeros(shape, np.float32)),
        NOTHING,
        30,
    )
    owners = lists.owners()
    assert len(owners) == np.prod(shape)
    ours = features_of(queries, owners, lists.item_keys, 5)
    np.testing.assert_array_equal(ours[:, 1:], lists.features[:, 1:])
    assert not ours[:, 0].any()  # nothing retrieved it
    assert ours[:, 1].sum() == len(queries)  # each has chosen one


def test_the_graph_computes_the_same() -> None:
    queries = week(1).queries()
    assert queries.own is not None
    assert queries.items is not None
    keys = np.concatenate([[0], queries.items.item_keys])
    own = queries.own
    rows = np.searchsorted(keys, own.item_keys)
    given = (tf.constant(own.owners(), tf.int32), rows, own.values, own.totals)
    position, seen = ranker_serving.placed(given, [len(queries), len(keys)])
    pairs = np.array([[q, 1 + (7 * q) % (len(keys) - 1)] for q in range(len(queries))], np.int32)
    pairs[0] = 0, rows[0]
    found = ranker_serving.features_of(
        tf.constant(pairs),
        tf.zeros(len(pairs)),
        position,
        seen,
        queries.statistics[pairs[:, 0]],
        queries.items.values[0, pairs[:, 1] - 1],
    )
    ours = features_of(queries, pairs[:, 0], keys[pairs[:, 1]], 5)
    np.testing.assert_allclose(found.numpy(), ours, rtol=1e-6)


def test_nobody_known_and_another_width() -> None:
    queries = week(0).queries()
    plain = type(queries)(queries.user_keys, queries.history, queries.statistics)
    found = features_of(plain, np.array([0, 1]), np.array([101, 999]), 2)
    assert found.shape == (2, 20)
    assert not found[:, :13].any()
    assert OwnItems.none(2).totals.shape == (2, 2)
    with pytest.raises(ValueError, match="takes 2 statistics of items"):
        features_of(queries, np.array([0]), np.array([101]), 2)
