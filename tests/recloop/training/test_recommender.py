"""A new model is as wide as the features that it is to learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.data.events import Events
from models.data.queries import OwnItems
from recloop.training.recommender import kinds_told, widths_of
from tests.models.shop_weeks import week


def counted(share: float) -> Events:
    """Events of a week; of that share of the users' own items each was clicked or bought once."""
    events = week(1)
    own = events.own
    kinds = np.zeros((len(own.values), 2), np.float32)
    some = np.arange(round(share * len(kinds)))
    kinds[some, some % 2] = 1
    values = np.concatenate([own.values, kinds], axis=1)
    totals = np.pad(own.totals, [(0, 0), (0, 2)])
    return replace(events, own=OwnItems(own.offsets, own.item_keys, values, totals))


@pytest.mark.parametrize(("share", "kinds"), [(0, 0), (0.4, 0), (0.5, 2), (1, 2)])
def test_kinds_are_taken_once_most_features_count_them(share: float, kinds: int) -> None:
    assert kinds_told(counted(share)) == kinds


def test_where_nobody_has_anything_yet_kinds_are_those_that_will_be_counted() -> None:
    none = replace(week(0), own=OwnItems.none(len(week(0).user_keys), 2))
    assert (kinds_told(none), kinds_told(week(0)), kinds_told(week(1))) == (2, 0, 0)


def test_widths_are_as_ever_without_kinds() -> None:
    plain, wide = widths_of(), widths_of(3)
    assert (plain.statistics, plain.item_statistics, plain.kinds) == (5, 5, 0)
    assert (wide.statistics, wide.item_statistics, wide.kinds) == (5, 8, 3)
    assert plain.popularity_column == wide.popularity_column == 1
