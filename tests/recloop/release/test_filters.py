"""Filters: what passes, and what is told of those that cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recloop.errors import BadInput
from recloop.release.filters import Catalogue, Filter, filters_of

ITEMS = Catalogue(
    np.array([2, 5, 9]),
    ["a", "b", "c"],
    ["Cup", "Plate", "Spoon"],
    [{"kind": "cup", "price": 3}, {"kind": "plate", "price": "12.5"}, {"kind": "cup"}],
)
KEYS = np.array([9, 5, 2, 77])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, [1, 1, 1, 0]),  # an item that the log has not met is never shown
        ({"kind": {"equals": "cup"}}, [1, 0, 1, 0]),
        ({"kind": {"in": ["plate", "pan"]}}, [0, 1, 0, 0]),
        ({"price": {"below": 12.5}}, [0, 0, 1, 0]),  # without a price it is not shown
        ({"price": {"above": 3}}, [0, 1, 0, 0]),
        ({"price": {"equals": 3.0}}, [0, 0, 1, 0]),
        ({"price": {"above": 1, "below": 10}, "kind": {"equals": "cup"}}, [0, 0, 1, 0]),
        ({"name": {"equals": "Spoon"}}, [1, 0, 0, 0]),
        ({"item_id": {"in": ["a", "b"]}}, [0, 1, 1, 0]),
    ],
)
def test_what_passes(given: Any, shown: list[int]) -> None:
    assert ITEMS.shown(filters_of(given), KEYS).tolist() == [bool(one) for one in shown]


def test_text_is_json_and_nothing_is_no_filter() -> None:
    assert filters_of(' {"price": {"below": 10}} ') == (Filter("price", "below", 10),)
    assert filters_of("  ") == filters_of({}) == ()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{price", "should be JSON"),
        ([1], "an object of attributes"),
        ({"price": 3}, "`filter.price` should be an object with one of equals, in, below, above"),
        ({"price": {}}, "`filter.price` should be an object"),
        ({"price": {"under": 3}}, "`filter.price.under` is no test"),
        ({"price": {"below": "3"}}, "`filter.price.below` should be a number. Received: '3'"),
        ({"price": {"below": True}}, "should be a number"),
        ({"price": {"above": float("nan")}}, "should be a number"),
        ({"kind": {"in": "cup"}}, "should be a list of texts or numbers. Received: 'cup'"),
        ({"kind": {"equals": None}}, "should be a text or a number. Received: None"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_value_and_the_remedy(given: Any, told: str) -> None:
    with pytest.raises(BadInput, match=told.replace("(", r"\(")):
        filters_of(given)


def test_an_attribute_that_no_item_has_is_told_with_those_that_there_are() -> None:
    with pytest.raises(
        BadInput, match=r"`filter.color` is no attribute .* item_id, kind, name, price"
    ):
        ITEMS.shown(filters_of({"color": {"equals": "red"}}), KEYS)


def test_a_catalogue_is_read_with_the_newest_attributes(cursor: Any) -> None:
    cursor.execute(
        "insert into behavior.item (item_id, name, first_seen) values ('a', 'Cup', now()), "
        "('b', null, now()) returning item_key"
    )
    first, second = (key for (key,) in cursor.fetchall())
    cursor.execute(
        "insert into behavior.item_version values (%(key)s, '2024-01-02', '{\"price\": 4}'), "
        "(%(key)s, '2024-01-01', '{\"price\": 3}')",
        {"key": first},
    )
    read = Catalogue.read(cursor)
    assert read.key_of == {"a": first, "b": second}
    assert read.names == ["Cup", "b"]
    assert read.attributes == [{"price": 4}, {}]
    assert read.places(np.array([second, 0])).tolist() == [1, -1]
