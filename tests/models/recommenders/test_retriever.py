"""Answers of any dot product: a network whose vectors are what it is told, worked by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from models.data.queries import Queries
from models.recommenders.retriever import RetrievalFacade
from models.tables.backend import tf
from models.tables.network import Network
from tests.models.scoring import scored

VECTORS = {30: (1.0, 0.0), 10: (0.0, 1.0), 20: (1.0, 1.0), 40: (2.0, 0.0)}
"""By item key, in the order of the rows."""


@dataclass(frozen=True)
class ToldConfig:
    family: ClassVar[str] = "told"
    network: ClassVar[str] = f"{__name__}:ToldNetwork"
    history_length: int = 1
    statistics_width: int = 2
    initial_accumulator: float = 0.1


class ToldNetwork(Network):
    """A query's vector is its statistics; row 0, of what isn't known, is (0, 0)."""

    temperature = 0.5
    query_tables = ()

    def __init__(self, config: ToldConfig, seed: int) -> None:
        super().__init__(name="told")
        self.table("item", np.array([(0.0, 0.0), *VECTORS.values()]), keyed="items")

    def query_vectors(
        self, user_rows: tf.Tensor, history_rows: tf.Tensor, statistics: tf.Tensor
    ) -> tf.Tensor:
        return statistics

    def item_vectors(self, item_rows: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.weight("item"), item_rows)


class Told(RetrievalFacade):
    config_class = ToldConfig


def asked(*vectors: tuple[float, float]) -> Queries:
    count = len(vectors)
    return Queries(
        np.zeros(count, np.int64),
        np.zeros((count, 1), np.int64),
        np.array(vectors, np.float32).reshape(count, 2),
    )


@pytest.fixture
def told() -> Told:
    model = Told.create(ToldConfig(), seed=0)
    model._state.items.extend(np.array(list(VECTORS), np.int64))
    return model


def test_a_score_is_the_dot_product_by_the_temperature_and_nothing_for_a_stranger(
    told: Told,
) -> None:
    scores = scored(told, asked((1, 2), (0, -3)), np.array([20, 77, 30]))
    assert scores.tolist() == [[6, -np.inf, 2], [-6, -np.inf, 0]]


def test_what_pads_the_candidates_is_never_better_than_a_bad_item(told: Told) -> None:
    """Row 0 would score 0, and all that is known less."""
    keys, scores = told.top_k(asked((-1, -1)), 5)
    assert keys.tolist() == [[30, 10, 20, 40, 0]]
    assert scores.tolist() == [[-2, -2, -4, -4, -np.inf]]


def test_equal_scores_are_shown_in_the_order_of_the_candidates(told: Told) -> None:
    both = asked((1, 1))
    assert told.top_k(both, 2, candidates=np.array([10, 30]))[0].tolist() == [[10, 30]]
    assert told.top_k(both, 2, candidates=np.array([30, 77, 10]))[0].tolist() == [[30, 10]]


def test_an_exclusion_is_of_its_own_query_and_may_be_no_candidate(told: Told) -> None:
    keys, scores = told.top_k(
        asked((1, 0), (1, 0), (1, 0)),
        2,
        candidates=np.array([30, 10]),
        exclude=[np.array([40, 30]), np.array([77]), np.array([10, 30])],
    )
    assert keys.tolist() == [[10, 0], [30, 10], [0, 0]]
    assert scores.tolist() == [[0, -np.inf], [2, 0], [-np.inf, -np.inf]]


def test_nobody_asks_and_nothing_may_be_shown(told: Told) -> None:
    keys, scores = told.top_k(asked(), 3)
    assert keys.shape == scores.shape == (0, 3)
    assert scored(told, asked(), np.array([30])).shape == (0, 1)
    keys, scores = told.top_k(asked((1, 1)), 2, candidates=np.array([77]))
    assert (keys.tolist(), scores.tolist()) == ([[0, 0]], [[-np.inf, -np.inf]])
