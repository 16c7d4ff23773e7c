"""Windows for two stages: the shape that a feature store gives, and what passing a bound is told as."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from models.data.queries import ItemStatistics
from models.ids.starts import NewIds
from models.learning.recipes import Training
from models.recommenders.family import Widths
from models.retrieve_and_rank.two_stage_config import FAMILY, RetrieveAndRankConfig
from models.retrieve_and_rank.two_stage_learner import TwoStageLearner
from models.storage import archive
from tests.models.shop_weeks import WIDTHS, end_of, joined, week


def test_a_new_model_is_as_wide_as_the_feature_store_answers() -> None:
    widths = Widths(history=7, statistics=3, item_statistics=2, popularity_column=0)
    model = TwoStageLearner.new(RetrieveAndRankConfig(), widths, 1)
    assert (model.towers.config.history_length, model.towers.config.statistics_width) == (7, 3)
    # 10 of the pair, 3 of the user, 3 statistics of the user and 2 of the item, 4 of what goes together.
    assert model.ranker_state.config.feature_width == 22


@pytest.mark.parametrize(
    ("known", "learnt", "anew", "says"),
    [
        (4, [3, 4, 5], False, ""),
        (4, [5, 6], False, "from 4 items to 6"),
        (7, [1], True, "all items again"),
    ],
)
def test_passing_the_bound_of_the_whole_catalogue_is_told(
    tmp_path: Path, known: int, learnt: list[int], anew: bool, says: str
) -> None:
    header = {"config": {"loss": "basket", "whole_catalogue": 5}}
    keys = np.arange(1, known + 1, dtype=np.int64)
    archive.write(tmp_path / "towers", header, {"item_keys": keys})
    told = TwoStageLearner.loss_change(tmp_path, len(learnt), lambda: np.array(learnt), anew)
    assert says in told
    assert bool(told) == bool(says)


def test_an_event_touches_its_user_its_item_and_the_history_it_looks_back_on() -> None:
    model = TwoStageLearner.new(RetrieveAndRankConfig(), Widths(5, 5, 5, 1), 1)
    examples, times = model.touched(week(0))["towers"]
    assert examples == 192
    assert set(times) == {"user", "item", "item_bias", "history"}
    assert model.touched(week(0))["ranker"] == (48, {})


@pytest.mark.slow
def test_a_quiet_week_of_items_that_wait_stops_no_rebuild() -> None:
    """Item 999 was seen once and waits for a second event: the last week has nothing to learn from."""
    every = joined(0, 1, 3)
    last = every.times >= week(3).times.min()
    once = np.flatnonzero(last)[0]
    item_keys = np.where(np.arange(len(last)) == once, 999, every.item_keys)
    every = dataclasses.replace(every, item_keys=item_keys).where(
        ~last | (np.arange(len(last)) == once)
    )
    catalogue = np.append(every.catalogue, 999)
    words = np.concatenate([every.words, every.words[:1]])
    items = ItemStatistics(catalogue, np.ones((1, len(catalogue), 5), np.float32))
    every = dataclasses.replace(every, catalogue=catalogue, words=words, items=items)
    model = TwoStageLearner.new(RetrieveAndRankConfig(), WIDTHS, 1)
    model.make_room(every, NewIds(minimum_events=2))
    assert 999 not in model.item_keys
    short = {
        name: dataclasses.replace(getattr(FAMILY, name), epochs=1)
        for name in ("rebuild", "ranker_rebuild", "increment")
    }
    training = Training(short["rebuild"], short["ranker_rebuild"], short["increment"])
    report = model.learn_from_nothing(every, end_of(3), timedelta(days=14), training)
    assert report.examples > 0
