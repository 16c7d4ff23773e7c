"""The arguments of a top-k, in rows: items 501, 502, 503 have rows 1, 2, 3."""

import numpy as np
import pytest

from models.recommenders import top_k
from models.recommenders.top_k import TopKRequest, blocks
from models.tables.vocabulary import Vocabulary

ITEMS = Vocabulary(np.array([501, 502, 503]))


def test_candidates_become_rows_in_their_order_without_the_unknown() -> None:
    request = TopKRequest(ITEMS, 2, 4, np.array([503, 999, 501]), None)
    assert request.rows.tolist() == [3, 1]
    assert request.keys.tolist() == [[0] * 4] * 2
    assert np.isneginf(request.scores).all()
    assert TopKRequest(ITEMS, 2, 4, None, None).rows.tolist() == [1, 2, 3]


def test_what_is_excluded_is_told_by_block_without_the_unknown() -> None:
    lists = [np.array([501]), np.array([999, 503, 502]), np.zeros(0, np.int64), np.array([503])]
    request = TopKRequest(ITEMS, 4, 1, None, lists)
    query, rows = request.excluded(slice(1, 4))
    assert (query.tolist(), rows.tolist()) == ([0, 0, 2], [3, 2, 3])
    assert TopKRequest(ITEMS, 4, 1, None, None).excluded(slice(0, 4))[0].tolist() == []


def test_blocks_hold_no_more_than_they_may(monkeypatch) -> None:
    monkeypatch.setattr(top_k, "BLOCK_SCORES", 10)
    assert list(blocks(5, 5)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    # Never less than one query, however wide.
    assert list(blocks(2, 11)) == [slice(0, 1), slice(1, 2)]


def test_a_repeated_candidate_is_refused_unless_it_is_unknown() -> None:
    assert TopKRequest(ITEMS, 1, 1, np.array([999, 999]), None).rows.tolist() == []
    with pytest.raises(ValueError, match="2 known keys, 1 distinct"):
        TopKRequest(ITEMS, 1, 1, np.array([501, 501]), None)
