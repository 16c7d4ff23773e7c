"""What the log knows of a release's items: ids, names, attributes, and which of them a request may show.

Belongs here: ids of a request to keys and back. Neighbours: `serving.py` asks the release.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from recloop.config.id_rules import Ids
from recloop.release.filters import Catalogue, filters_of

MASKS = 256
"""Filters whose items are remembered."""
Json = dict[str, Any]


class Shelf:
    """The items of one release, as the log has them at one moment.

    Attributes:
        items: int64 [M], keys of the release's items.
        catalogue: names and attributes of all items that the log knows.
    """

    def __init__(self, catalogue: Catalogue, items: np.ndarray, ids: Ids) -> None:
        self.catalogue, self.items, self._ids = catalogue, items, ids
        self._key_of = catalogue.key_of
        self._masks: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def keys(self, ids: Iterable[str]) -> tuple[list[int], list[str]]:
        """Keys of items that the log knows, in their order, and the ids that it does not know."""
        keys, strange = [], []
        for item in ids:
            key = self._key_of.get(self._ids.normal(item))
            if key is None:
                strange.append(item)
            else:
                keys.append(key)
        return keys, strange

    def shown(self, tests: Json, given: Sequence[int] | None) -> np.ndarray | None:
        """Which of the release's items pass the tests and are among the given: bool [M], not to be
        changed; None: all.

        Raises:
            BadInput: a filter cannot be used.
        """
        passing = self._passing(tests) if tests else None
        if given is None:
            return passing
        among = np.isin(self.items, np.array(given, np.int64))
        return among if passing is None else among & passing

    def _passing(self, tests: Json) -> np.ndarray:
        name = json.dumps(tests, sort_keys=True)
        with self._lock:
            found = self._masks.get(name)
            if found is not None:
                self._masks.move_to_end(name)
                return found
        found = self.catalogue.shown(filters_of(tests), self.items)
        with self._lock:
            self._masks[name] = found
            if len(self._masks) > MASKS:
                self._masks.popitem(last=False)
        return found

    def rows(self, keys: np.ndarray, scores: np.ndarray) -> list[Json]:
        """Item, name and score of each key: int64 [n] and float32 [n]."""
        ids, names = self.catalogue.ids, self.catalogue.names
        return [
            {
                "item": ids[place] if place >= 0 else "",
                "name": names[place] if place >= 0 else "",
                "score": round(score, 4),
            }
            for place, score in zip(
                self.catalogue.places(keys).tolist(), scores[: len(keys)].tolist(), strict=True
            )
        ]
