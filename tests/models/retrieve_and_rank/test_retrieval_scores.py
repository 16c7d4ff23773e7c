"""Scores of a catalogue that is too large for a table are those of the table."""

import numpy as np
import pytest

from models.recommenders.nearest import Nearest
from models.retrieve_and_rank.retrieval_scores import NOTHING, Hidden, ScoresOfMany, ScoreTable

RNG = np.random.default_rng(8)
ITEMS, D, TEMPERATURE = 2000, 16, 0.2
VECTORS = RNG.normal(size=(ITEMS, D)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
OFFSETS = (0.1 * RNG.normal(size=ITEMS)).astype(np.float32)
QUERIES = RNG.normal(size=(3, D)).astype(np.float32)
QUERIES /= np.linalg.norm(QUERIES, axis=1, keepdims=True)


def both() -> tuple[ScoreTable, ScoresOfMany]:
    logits = ((QUERIES @ VECTORS.T + OFFSETS) / np.float32(TEMPERATURE)).astype(np.float32)
    return ScoreTable(logits), ScoresOfMany(Nearest(VECTORS, OFFSETS), QUERIES, TEMPERATURE)


@pytest.mark.parametrize(
    "hidden",
    [
        NOTHING,
        Hidden(np.array([0, 0, 2]), np.array([5, 1999, 5])),
        Hidden(np.array([1]), np.array([7]), np.arange(ITEMS) % 3 > 0),
    ],
)
def test_the_best_and_their_log_probabilities_are_the_same(hidden: Hidden) -> None:
    table, many = both()
    places = table.best(hidden, 50)
    assert many.best(hidden, 50).tolist() == places.tolist()
    assert len(places) == 150
    assert not hidden.table(3, ITEMS)[places].any()
    assert many.of(places) == pytest.approx(table.of(places), abs=0.01)
    order = np.argsort(-table.of(places[:50]), kind="stable")
    assert np.argsort(-many.of(places[:50]), kind="stable").tolist() == order.tolist()


def test_what_is_hidden() -> None:
    hidden = Hidden(np.array([1]), np.array([2]), np.array([True, True, True, False]))
    assert np.flatnonzero(hidden.table(2, 4)).tolist() == [3, 6, 7]
    assert sorted(hidden.of_query(1).tolist()) == [2, 3]
    assert hidden.of_query(0).tolist() == [3]
