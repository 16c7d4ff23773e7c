"""What co-occurs, by rows: votes worked by hand, items that have expired, histories of nothing."""

from __future__ import annotations

import numpy as np
import pytest

from models.sessions.cooccurrence import Cooccurrence
from models.sessions.served_cooccurrence import ServedCooccurrence
from models.sessions.transformer_config import TransformerConfig
from models.tables.backend import tf
from models.tables.state import ModelState

CONFIG = TransformerConfig(
    dimension=4, history_length=3, memory_recency=0.5, memory_weight=2.0, memory_floor=0.25
)
MEMORY = Cooccurrence(
    keys=np.array([10, 20, 30], np.int64),
    offsets=np.array([0, 2, 5, 6], np.int64),
    neighbours=np.array([0, 1, 0, 1, 2, 1], np.int32),
    weights=np.array([3, 1, 1, 2, 4, 4], np.float32),
    idf=np.array([1, 2, 0.5], np.float32),
)
"""10 goes with itself by 3 and with 20 by 1; 20 with 10, 20, 30 by 1, 2, 4; 30 with 20 by 4."""


def bonus(items: list[int], *histories: list[int], memory: Cooccurrence = MEMORY) -> np.ndarray:
    """[B, items + 1] for histories of rows, of a model that knows `items` in this order."""
    state = ModelState.create(CONFIG, 0)
    state.items.extend(np.array(items, np.int64))
    served = ServedCooccurrence(state, memory)
    return served.bonus(tf.constant(histories, tf.int64)).numpy()


def of_shares(*shares: float) -> list[float]:
    return (2 * np.log(1 + np.array(shares) / 0.25)).tolist()


def test_votes_are_by_idf_and_recency_and_stand_at_the_rows_of_their_items() -> None:
    """Rows 1, 2, 3 are 30, 10, 20. The history is 10, then 20 before it: 10 votes with 1 and 20
    with 2 * .5. So 10 has 3 + 1, 20 has 1 + 2 and 30 has 4, of 11."""
    found = bonus([30, 10, 20], [2, 3, 0])
    assert found[0] == pytest.approx(of_shares(0, 4 / 11, 4 / 11, 3 / 11), rel=1e-5)


def test_a_padded_place_counts_for_the_recency_of_what_is_older() -> None:
    """20 alone, two places back: its votes are a quarter, and their shares are what they were."""
    found = bonus([10, 20, 30], [2, 0, 0], [0, 0, 2])
    assert found[0] == pytest.approx(of_shares(0, 1 / 7, 2 / 7, 4 / 7), rel=1e-5)
    assert found[1] == pytest.approx(found[0], rel=1e-5)


def test_an_item_that_has_expired_asks_nothing_and_keeps_its_share_of_others() -> None:
    """Without 20: 10 gives itself 3 of 4, and 30 gives all it has to what is gone."""
    found = bonus([10, 30], [1, 0, 0], [2, 0, 0], [0, 0, 0])
    assert found[0, 1:] == pytest.approx(of_shares(3 / 4, 0), rel=1e-5)
    assert found[1, 1:].tolist() == [0, 0]
    assert found[2].tolist() == [0, 0, 0]


def test_an_item_met_by_no_session_and_a_memory_of_nothing_add_nothing() -> None:
    found = bonus([10, 77, 20], [2, 0, 0], [1, 2, 0])
    assert found[0].tolist() == [0, 0, 0, 0]
    assert found[1] == pytest.approx(of_shares(0, 3 / 4, 0, 1 / 4), rel=1e-5)
    assert bonus([10, 77], [1, 2, 0], memory=Cooccurrence.empty()).tolist() == [[0, 0, 0]]
