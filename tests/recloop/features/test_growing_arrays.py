"""What is joined part by part is what the parts are, one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.queries import OWN_COLUMNS, TOTAL_COLUMNS, OwnItems
from recloop.features.growing_arrays import Appended, joined_own_items


def own(*lengths: int, kinds: int = 0, first: int = 1) -> OwnItems:
    count = sum(lengths)
    values = np.arange(count * (len(OWN_COLUMNS) + kinds), dtype=np.float32)
    return OwnItems(
        np.cumsum([0, *lengths]),
        np.arange(first, first + count),
        values.reshape(count, -1) if count else np.zeros((0, len(OWN_COLUMNS) + kinds), np.float32),
        np.full((len(lengths), len(TOTAL_COLUMNS) + kinds), first, np.float32),
    )


@pytest.mark.parametrize("shapes", [[(0, 3), (2, 3), (4, 3)], [(5,), (0,), (1,)], [(3, 2)]])
def test_an_array_grows_by_its_parts(shapes: list[tuple[int, ...]]) -> None:
    parts = [np.random.default_rng(n).normal(size=shape) for n, shape in enumerate(shapes)]
    joined = Appended()
    for part in parts:
        joined.add(part)
    assert joined.array.tolist() == np.concatenate(parts).tolist()
    assert not np.shares_memory(joined.array, parts[0])


@pytest.mark.parametrize("kinds", [(0, 0, 0), (2, 2, 2), (0, 2, 3), (3, 0, 2)])
@pytest.mark.parametrize("lengths", [((2, 0), (1,), (3, 1)), ((0, 0), (2,), ()), ((), (), ())])
def test_own_items_of_all_parts_with_the_kinds_of_the_one_that_has_most(
    kinds: tuple[int, ...], lengths: tuple[tuple[int, ...], ...]
) -> None:
    parts = [
        own(*one, kinds=k, first=1 + 10 * n)
        for n, (one, k) in enumerate(zip(lengths, kinds, strict=True))
    ]
    found, most = joined_own_items(parts), max(kinds)
    wide = [part.with_kinds(most) for part in parts]
    assert np.diff(found.offsets).tolist() == [n for one in lengths for n in one]
    for name in ("item_keys", "values", "totals"):
        wanted = np.concatenate([getattr(part, name) for part in wide])
        assert getattr(found, name).tolist() == wanted.tolist(), name
    assert found.kinds == most


def test_of_no_parts_there_is_nothing() -> None:
    assert len(joined_own_items([])) == 0
