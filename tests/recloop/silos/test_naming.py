"""Items under another database's keys, by hand."""

from __future__ import annotations

import dataclasses

import numpy as np

from models.data.queries import ItemStatistics, OwnItems
from recloop.features.examples import _empty
from recloop.silos.offer import LOCAL, renamed, renaming


class Rows:
    """A cursor that answers with these rows."""

    def __init__(self, rows: list[tuple[int, str]]) -> None:
        self.rows = rows

    def execute(self, statement: str) -> None:
        assert "item_key, item_id" in statement

    def fetchall(self) -> list[tuple[int, str]]:
        return self.rows


def test_items_are_known_by_their_ids_and_strange_ones_stay_local() -> None:
    here = Rows([(1, "tea"), (2, "cup"), (3, "hat")])
    assert renaming(here, {"hat": 10, "tea": 40, "sock": 5}) == {1: 40, 2: LOCAL + 2, 3: 10}  # type: ignore[arg-type]


def test_every_item_key_of_the_examples_is_renamed() -> None:
    statistics = np.arange(3, dtype=np.float32).reshape(1, 3, 1)
    width = _empty().own.values.shape[1]
    examples = dataclasses.replace(
        _empty(),
        history=np.array([[3, 1, 0], [2, 9, 0]]),
        item_keys=np.array([1, 2, 3]),
        catalogue=np.array([1, 2, 3]),
        words=np.array([[11], [22], [33]], np.int32),
        own=OwnItems(
            np.array([0, 1, 3]),
            np.array([2, 3, 1]),
            np.ones((3, width), np.float32),
            np.ones((2, 2), np.float32),
        ),
        items=ItemStatistics(np.array([1, 2, 3]), statistics),
    )
    got = renamed(examples, {1: 40, 2: 900, 3: 10})
    assert got.history.tolist() == [[10, 40, 0], [900, 0, 0]]
    assert got.item_keys.tolist() == [40, 900, 10]
    assert got.catalogue.tolist() == [10, 40, 900]
    assert got.words.tolist() == [[33], [11], [22]]
    assert got.own.item_keys.tolist() == [900, 10, 40]
    assert got.items.item_keys.tolist() == [10, 40, 900]
    assert got.items.values[0, :, 0].tolist() == [2, 0, 1]
