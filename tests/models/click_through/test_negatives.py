"""Negatives that are drawn for logs of clicks alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.click_through.negatives import NEGATIVES, labelled
from tests.models.shop_weeks import week


def test_each_click_keeps_its_place_and_gets_items_that_its_query_did_not_choose() -> None:
    clicks = week(0)
    told = labelled(clicks, np.arange(101, 131), 5)
    assert told.labels is not None
    assert told.values is not None
    yes = told.labels == 1
    assert (told.item_keys[yes] == clicks.item_keys).all()
    assert (told.query[yes] == clicks.query).all()
    assert np.isnan(told.values[~yes]).all()
    chosen = set(zip(clicks.query, clicks.item_keys, strict=True))
    drawn = list(zip(told.query[~yes], told.item_keys[~yes], strict=True))
    assert not chosen & set(drawn)
    # Of 30 items 4 are the query's own: so many of the draws are left out.
    assert 0.8 < len(drawn) / (NEGATIVES * len(clicks.item_keys) * 26 / 30) < 1.2
    assert (np.diff(told.query) >= 0).all()
    again = labelled(clicks, np.arange(101, 131), 5)
    assert (again.item_keys == told.item_keys).all()
    other = labelled(clicks, np.arange(101, 131), 6)
    assert len(other.item_keys) != len(told.item_keys) or (other.item_keys != told.item_keys).any()


def test_labels_that_are_there_stay() -> None:
    told = replace(week(0), labels=np.zeros(192, np.float32))
    assert labelled(told, np.arange(101, 131), 5) is told


def test_without_anything_to_draw_from_clicks_stay_alone() -> None:
    told = labelled(week(0), np.zeros(0, np.int64), 5)
    assert told.labels is not None
    assert told.labels.tolist() == [1.0] * 192
