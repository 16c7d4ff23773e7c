"""Training sets put together, one after the other, so that their long arrays are never held twice.

Belongs here: arrays that grow. Keep out: reading (`examples.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from models.data.queries import OwnItems


class Appended:
    """An array to which parts are added. It grows in place: the system moves the pages of a large
    one, and copies none."""

    def __init__(self) -> None:
        self.array: Any = np.zeros(0)

    def add(self, part: np.ndarray) -> None:
        """Copy a part behind the others; of one rank, type and width."""
        before = len(self.array)
        if not before:
            self.array = np.array(part, order="C")
            return
        self.array.resize((before + len(part), *part.shape[1:]), refcheck=False)
        self.array[before:] = part


def joined_own_items(parts: Iterable[OwnItems]) -> OwnItems:
    """The queries of all parts, one part after the other, with the kinds of the part that has most."""
    joined = GrowingOwnItems()
    for part in parts:
        joined.add(part)
    return joined.whole()


class GrowingOwnItems:
    """Own items to which those of further queries are added."""

    def __init__(self) -> None:
        self._lengths, self._keys, self._values, self._totals = (Appended() for _ in range(4))
        self._kinds = 0

    def add(self, part: OwnItems) -> None:
        """Put a part's queries behind the others."""
        if part.kinds > self._kinds and len(self._lengths.array):
            wider = self.whole().with_kinds(part.kinds)
            self._values.array, self._totals.array = wider.values, wider.totals
        self._kinds = max(self._kinds, part.kinds)
        part = part.with_kinds(self._kinds)
        self._lengths.add(np.diff(part.offsets))
        self._keys.add(part.item_keys)
        self._values.add(part.values)
        self._totals.add(part.totals)

    def whole(self) -> OwnItems:
        """All of them so far."""
        if not len(self._lengths.array):
            return OwnItems.none(0, self._kinds)
        offsets = np.concatenate([[0], np.cumsum(self._lengths.array)]).astype(np.int64)
        return OwnItems(offsets, self._keys.array, self._values.array, self._totals.array)
