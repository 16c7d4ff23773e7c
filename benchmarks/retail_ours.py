"""Our systems in the retail benchmark: the default recommender under four ways to keep it fresh.

    default               retrieval and ranker, one increment per window
    default without pairs the same, with no memory of which items go together
    static                the same after the warm-up, never updated
    full                  rebuilt from nothing after each window
    full + last 4 weeks   the same, then increments on the last four windows once more

A query is a user at the start of a window, as the protocol asks it (the product has one per day).
Neighbours: `retail_features` knows what a feature store would;
`models.retrieve_and_rank.retrieve_and_rank` learns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.events import Catalogue, Events, Int64
from benchmarks.retail_features import Known, together
from benchmarks.retail_systems import Entry, Request, Window
from models.data.queries import Interactions, Items, Queries
from models.learning.recipes import Recipe
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig

if TYPE_CHECKING:
    from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank

Learned = tuple[Queries, Interactions]
RANKED_WINDOWS = 6
"""Of a rebuild: windows that the towers learn one by one, so that the ranker can; of a
shorter history half."""
LAST_DAYS = np.timedelta64(28, "D")


class Ours:
    """A cascade that is kept fresh in one of the ways."""

    def __init__(self, seed: int, way: str, config: RetrieveAndRankConfig | None = None) -> None:
        from models.learning.recipes import INCREMENT, REBUILD

        self._seed = seed
        self._way = way
        self._config = config or RetrieveAndRankConfig()
        self._rebuild = replace(REBUILD, seed=seed)
        self._increment: Recipe = replace(INCREMENT, seed=seed)
        self._known = Known()
        self._windows: list[Learned] = []
        self._catalogue: Catalogue | None = None
        self._model: RetrieveAndRank | None = None

    def warm_up(
        self,
        history: Events,
        catalogue: Catalogue,
        now: np.datetime64,
        length: np.timedelta64,
    ) -> None:
        self._last_windows = max(1, int(LAST_DAYS // length))
        start = history.times[0].astype("datetime64[D]").astype("datetime64[us]")
        while start < now:
            low, high = np.searchsorted(history.times, [start, start + length])
            self._take(history.take(slice(int(low), int(high))), start + length)
            start += length
        self._catalogue = catalogue
        self._model = self._rebuilt()

    def learn(self, window: Window) -> None:
        assert self._model is not None
        self._catalogue = window.catalogue
        if self._way == "static":
            self._known.add(window.events, window.end)
            return
        self._take(window.events, window.end)
        if self._way == "increments":
            self._add_ids(self._model)
            self._model.fit(*self._windows.pop(), self._increment)
        else:
            self._model = self._rebuilt()

    def rank(self, request: Request) -> Int64:
        assert self._model is not None
        model = self._model
        if request.purpose == "new_items":
            add_ids(model, np.zeros(0, np.int64), request.catalogue)
        keys, _ = model.top_k(
            self._known.queries(request.users),
            request.k,
            request.catalogue.item_keys,
            request.exclude,
        )
        return keys

    def _take(self, events: Events, end: np.datetime64) -> None:
        if len(events):
            self._windows.append(self._known.examples(events))
        self._known.add(events, end)

    def _rebuilt(self) -> RetrieveAndRank:
        from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank

        model = RetrieveAndRank.create(self._config, self._seed)
        self._add_ids(model)
        windows = self._windows
        earlier, ranked = parted(windows)
        model.rebuild(
            together(earlier),
            ranked,
            self._rebuild,
            replace(self._increment, patience=0),  # nothing is held out of the history
        )
        if self._way == "full + last 4 weeks":
            for learned in windows[-self._last_windows :]:
                model.fit(*learned, replace(self._increment, patience=0), ranker=None)
        if self._way in ("increments", "static"):
            self._windows = []
        return model

    def _add_ids(self, model: RetrieveAndRank) -> None:
        assert self._catalogue is not None
        users = [queries.user_keys for queries, _ in self._windows]
        add_ids(model, np.unique(np.concatenate(users)), self._catalogue)


def parted(windows: list[Learned]) -> tuple[list[Learned], list[Learned]]:
    """What a rebuild learns at once, and the windows that it then learns one by one."""
    first = len(windows) - min(RANKED_WINDOWS, len(windows) // 2)
    return windows[:first], windows[first:]


def add_ids(model: RetrieveAndRank, users: Int64, catalogue: Catalogue) -> None:
    new = ~np.isin(catalogue.item_keys, model.item_keys)
    model.add_ids(users, Items(catalogue.item_keys[new], catalogue.words[new]))


def _entry(way: str, config: RetrieveAndRankConfig | None = None) -> Entry:
    def make(seed: int) -> Ours:
        import models.retrieve_and_rank.retrieve_and_rank  # noqa: F401

        return Ours(seed, way, config)

    return Entry(make=make, seeded=True, default=config is None)


SYSTEMS = {
    "default": _entry("increments"),
    "default without pairs": _entry("increments", RetrieveAndRankConfig(neighbours=0)),
    "static": _entry("static"),
    "full": _entry("full"),
    "full + last 4 weeks": _entry("full + last 4 weeks"),
}
DEPENDS = ("models/**/*.py", "benchmarks/retail_features.py", "benchmarks/retail_ours.py")
