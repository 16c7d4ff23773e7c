"""How an item came into an answer, worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.cooccurrence.pair_memory import PairMemory
from models.data.queries import Items, ItemStatistics, OwnItems, Queries
from models.recommenders.answers import SOURCES
from models.recommenders.family import Widths
from models.retrieve_and_rank.two_stage_answers import TwoStageAnswers
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.retrieve_and_rank.two_stage_learner import TwoStageLearner
from models.two_tower.tower_config import ModelConfig

KEYS = np.array([10, 20, 30, 40, 50, 60])
"""Rows 1 to 6."""
CONFIG = RetrieveAndRankConfig(
    retrieval=ModelConfig(dimension=4, history_length=3, statistics_width=1, loss="basket"),
    item_statistics=1, popularity_column=0, retrieved=6, popular=1, together=1, neighbours=2,
    hidden=(4,),
)  # fmt: skip


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> TwoStageAnswers:
    """What goes with 10: 20 most, by votes, and 30, which is chosen so rarely that it is the best of
    those lifted. What goes with 60: 50. The most popular item is 40."""
    model = TwoStageLearner.new(CONFIG, Widths(3, 1, 1, 0), 1)
    model.add_ids(np.array([1, 2]), Items(KEYS, np.zeros((6, 8), np.int32)))
    neighbours, weights = np.zeros((7, 2), np.int32), np.zeros((7, 2), np.float32)
    neighbours[1], weights[1] = [2, 3], [8, 4]
    neighbours[6], weights[6] = [5, 0], [8, 0]
    counts = np.full((7, 4), 10, np.float32)
    counts[2, 1], counts[3, 1] = 99, 3
    memory = PairMemory(neighbours, weights, counts, np.array([15000.0, 15000.0]))
    model.towers.extra |= memory.to_arrays()
    statistics = np.array([[[1], [1], [1], [7], [1], [1]]], np.float32)
    folder: Path = tmp_path_factory.mktemp("release") / "export"
    model.export(folder, queries([[10]], ItemStatistics(KEYS, statistics)))
    return TwoStageAnswers(folder)


def queries(own: list[list[int]], items: ItemStatistics | None = None) -> Queries:
    """Users 1, 2, … who chose these items once, three days ago."""
    count = sum(map(len, own))
    values = np.tile(np.array([1, 1, 3, 3, 0.9, 0.97], np.float32), (count, 1))
    offsets = np.cumsum([0, *map(len, own)])
    keys = np.array([key for keys in own for key in keys], np.int64)
    totals = np.ones((len(own), 2), np.float32)
    return Queries(
        np.arange(1, len(own) + 1),
        np.zeros((len(own), 3), np.int64),
        np.zeros((len(own), 1), np.float32),
        OwnItems(offsets, keys, values, totals),
        items,
    )


def words(answerer: TwoStageAnswers, own: list[list[int]], keys: list[list[int]], **given) -> list:
    said = answerer.sources(queries(own), np.array(keys), **given)
    return [[SOURCES[number] for number in row] for row in said.tolist()]


@pytest.mark.slow
def test_own_comes_before_together_before_popular_before_retrieval(
    answerer: TwoStageAnswers,
) -> None:
    every = [10, 20, 30, 40, 50, 60, 0]
    assert words(answerer, [[10], []], [every, every]) == [
        ["own", "together", "together", "popular", "retrieval", "retrieval", ""],
        ["retrieval", "retrieval", "retrieval", "popular", "retrieval", "retrieval", ""],
    ]


@pytest.mark.slow
def test_what_the_user_has_or_may_not_be_shown_leaves_its_place_to_the_next(
    answerer: TwoStageAnswers,
) -> None:
    # 20 is the user's own: 30 is the best by both scores, of what is left.
    assert words(answerer, [[10, 20]], [[20, 30, 60]]) == [["own", "together", "retrieval"]]
    shown = np.array([True, True, False, True, True, True])
    # Without 30, 20 is the best lifted, too; 30 itself is no candidate of the memory any more.
    assert words(answerer, [[10]], [[20, 30]], shown=shown) == [["together", "retrieval"]]


@pytest.mark.slow
def test_whoever_asks_beside_is_told_the_same(answerer: TwoStageAnswers) -> None:
    keys = [10, 20, 40, 50, 60]
    assert words(answerer, [[60], [10], []], [keys] * 3) == [
        words(answerer, [own], [keys])[0] for own in ([60], [10], [])
    ]
