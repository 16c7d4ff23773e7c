import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.ranking import ndcg_at_k, recall_at_k, to_csr

RANKED = np.array([[9, 4, 7, 1], [5, 6, 0, 0], [1, 2, 3, 4]], np.int64)
RELEVANT = [np.array([4, 1, 88]), np.array([6]), np.array([], np.int64)]


def test_recall_by_hand() -> None:
    assert recall_at_k(RANKED, RELEVANT, 2)[:2].tolist() == [1 / 3, 1.0]
    assert recall_at_k(RANKED, RELEVANT, 4)[:2].tolist() == [2 / 3, 1.0]


def test_ndcg_by_hand_with_its_ideal_cut_at_k() -> None:
    second = 1 / math.log2(3)
    # Three relevant: at k = 2 the ideal is two hits, in places 1 and 2.
    assert ndcg_at_k(RANKED, RELEVANT, 2)[0] == pytest.approx(second / (1 + second))
    # Hits in places 2 and 4; the ideal has three.
    got = (second + 1 / math.log2(5)) / (1 + second + 0.5)
    assert ndcg_at_k(RANKED, RELEVANT, 4)[0] == pytest.approx(got)
    assert ndcg_at_k(RANKED, RELEVANT, 4)[1] == pytest.approx(second)


@pytest.mark.parametrize("metric", [recall_at_k, ndcg_at_k])
def test_nothing_relevant_is_undefined(metric) -> None:
    assert np.isnan(metric(RANKED, RELEVANT, 3)).tolist() == [False, False, True]


@pytest.mark.parametrize("metric", [recall_at_k, ndcg_at_k])
def test_an_empty_place_is_never_a_hit(metric) -> None:
    assert metric(np.array([[0, 0]]), [np.array([5])], 2).tolist() == [0.0]


@pytest.mark.parametrize("metric", [recall_at_k, ndcg_at_k])
def test_ranking_one_item_twice_earns_nothing_more(metric) -> None:
    relevant = [np.array([7, 8])]
    once, twice = np.array([[7, 1, 2]]), np.array([[7, 7, 7]])
    assert metric(once, relevant, 3) == metric(twice, relevant, 3)


@given(
    st.lists(
        st.tuples(st.permutations(range(1, 9)), st.lists(st.integers(1, 12), max_size=8)),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 10),
)
def test_metrics_match_a_plain_loop(rows, k) -> None:
    ranked = np.array([row for row, _ in rows], np.int64) * 10**15
    relevant = [np.array(keys, np.int64) * 10**15 for _, keys in rows]
    offsets = np.cumsum([0] + [len(keys) for keys in relevant])
    csr = (offsets, np.concatenate(relevant).astype(np.int64))
    for i, (row, keys) in enumerate(rows):
        wanted = set(keys)
        found = [place for place, item in enumerate(row[:k]) if item in wanted]
        ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted))))
        for given_relevant in (relevant, csr):
            recall = recall_at_k(ranked, given_relevant, k)[i]
            ndcg = ndcg_at_k(ranked, given_relevant, k)[i]
            if not wanted:
                assert np.isnan(recall)
                assert np.isnan(ndcg)
                continue
            assert recall == pytest.approx(len(found) / len(wanted))
            assert ndcg == pytest.approx(sum(1 / math.log2(p + 2) for p in found) / ideal)
            assert 0 <= ndcg <= 1 + 1e-9


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_positive(k) -> None:
    with pytest.raises(ValueError, match=f"Received: `k` = {k}"):
        recall_at_k(RANKED, RELEVANT, k)


def test_one_list_per_query() -> None:
    with pytest.raises(ValueError, match=r"one list per query: 3. Received: 2"):
        recall_at_k(RANKED, RELEVANT[:2], 2)
    with pytest.raises(ValueError, match=r"CSR offsets"):
        to_csr((np.array([0, 2, 1, 3]), np.array([4, 5, 6])), 3)
