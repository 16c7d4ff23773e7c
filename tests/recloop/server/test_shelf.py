"""Ids of a request to keys and back, and what a filter lets pass."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from recloop.config.id_rules import Ids
from recloop.errors import BadInput
from recloop.release.filters import Catalogue
from recloop.server import shelf as shelves
from recloop.server.shelf import Shelf

CATALOGUE = Catalogue(
    np.array([2, 3, 5, 8]),
    ["cup", "plate", "fork", "spoon"],
    ["A cup", "A plate", "A fork", "A spoon"],
    [{"price": 1.5}, {"price": "20"}, {}, {"price": 3}],
)
ITEMS = np.array([8, 2, 3, 9])
"""Of the release: not the fork, and one that the log has not."""


def shelf() -> Shelf:
    return Shelf(CATALOGUE, ITEMS, Ids())


def test_ids_are_keys_in_their_order_and_strange_ones_are_told() -> None:
    assert shelf().keys([" fork", "nothing", "cup", "cup", "\0"]) == ([5, 2, 2], ["nothing", "\0"])


def test_a_filter_and_given_items_both_have_to_let_an_item_pass() -> None:
    below = {"price": {"below": 5}}
    ours = shelf()
    assert ours.shown({}, None) is None
    assert np.array_equal(ours.shown(below, None), [True, True, False, False])
    assert np.array_equal(ours.shown(below, [2, 3]), [False, True, False, False])
    assert np.array_equal(ours.shown({}, [2, 3]), [False, True, True, False])
    assert np.array_equal(ours.shown({}, []), [False] * 4)
    assert np.array_equal(ours.shown(below, None), [True, True, False, False])  # as before


@pytest.mark.parametrize("value", [10**300, float("inf"), -float("inf"), 1e308, 0])
def test_whatever_the_number_it_compares(value: float) -> None:
    ours = shelf()
    for test in ("equals", "below", "above"):
        mask = ours.shown({"price": {test: value}}, None)
        assert mask is not None
    assert not ours.shown({"price": {"in": [value]}}, None).any()  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_a_number_that_no_float_is_is_told(value: int) -> None:
    for test in ("below", "above"):
        with pytest.raises(BadInput, match=f"`filter.price.{test}` should be a number of at most"):
            shelf().shown({"price": {test: value}}, None)
    assert not shelf().shown({"price": {"equals": value}}, None).any()  # type: ignore[union-attr]


def test_an_attribute_that_no_item_has_is_told() -> None:
    with pytest.raises(BadInput, match=r"`filter.colour` is no attribute.*item_id, name, price"):
        shelf().shown({"colour": {"equals": "red"}}, None)


def test_the_latest_filters_are_remembered_by_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "MASKS", 3)
    ours = shelf()

    def below(price: int) -> list[bool]:
        mask = ours.shown({"price": {"below": price}}, None)
        assert mask is not None
        return list(mask)

    prices = [n % 25 for n in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(below, prices))
    assert found == [[n > 3, n > 1.5, n > 20, False] for n in prices]
    assert len(ours._masks) <= 3


def test_rows_are_of_the_items_that_were_found() -> None:
    rows = shelf().rows(np.array([5, 9]), np.array([1.23456, -2, 0], np.float32))
    assert rows == [
        {"item": "fork", "name": "A fork", "score": 1.2346},
        {"item": "", "name": "", "score": -2.0},
    ]
