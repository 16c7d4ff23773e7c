"""A dataset's windows as a stream to decide upon: the default recommender, day by day or week by week.

What features a store would know moves on with every window, whatever the policy decides: only the
weights go stale. So the questions and the examples of a window are made once, and shared by all
policies. Protocol and slices (a) and (b) are `retail_protocol`'s. Neighbours: `policy_run` asks the
policies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.events import Catalogue, Events, Int64
from benchmarks.policy_stream import Asked, Scores, unchanged
from benchmarks.retail_features import Known, together
from benchmarks.retail_ours import add_ids, parted
from benchmarks.retail_protocol import Protocol, measure
from benchmarks.retail_systems import Csr
from models.data.queries import Interactions, Queries
from models.learning.recipes import INCREMENT, RANK, REBUILD, Recipe
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from recloop.features.growing_arrays import joined_own_items
from recloop.features.ranker_inputs import joined_statistics
from recloop.planning.decisions import recipe_of

if TYPE_CHECKING:
    from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank

DAY = np.timedelta64(1, "D")
WEEK = np.timedelta64(7, "D")
Learnt = tuple[Queries, Interactions]


class Retail:
    """See `policy_stream.Stream`."""

    slices = ("a", "b")
    base: Recipe = INCREMENT
    slow = False

    def __init__(self, protocol: Protocol, name: str) -> None:
        self.name = name
        self._spans = protocol.tested()
        log = protocol.log
        self._known = Known()
        self._weeks: list[Learnt] = []
        start = log.events.times[0].astype("datetime64[D]").astype("datetime64[us]")
        while start < self._spans[0].start:
            end = min(start + WEEK, self._spans[0].start)
            self._weeks.append(self._take(_between(log.events, start, end), end))
            start = end
        self._windows: list[Learnt] = []
        self._asked: list[list[tuple[Asked, Queries, Csr]]] = []
        self._catalogues: list[Catalogue] = [log.catalogue(self._spans[0].low)]
        self._events: list[Events] = []
        for span in self._spans:
            asked = []
            for request, relevant in protocol.questions(span):
                if request.purpose in self.slices:
                    queries = self._known.queries(request.users)
                    asked.append((request, queries, relevant))
            self._asked.append(asked)
            events = log.events.take(slice(span.low, span.high))
            self._events.append(events)
            self._windows.append(self._take(events, span.end))
            self._catalogues.append(log.catalogue(span.high))

    def __len__(self) -> int:
        return len(self._spans)

    def key(self, index: int) -> str:
        return str(self._spans[index].start.astype("datetime64[D]"))

    def days(self, index: int) -> float:
        return float(self._spans[index].start.astype("datetime64[D]").astype(np.int64))

    def length(self, index: int) -> float:
        return float((self._spans[index].end - self._spans[index].start) / DAY)

    def events(self, index: int) -> tuple[Int64, Int64]:
        return self._events[index].user_keys, self._events[index].item_keys

    def statistics(self, index: int) -> np.ndarray:
        return self._windows[index][0].statistics

    def begin(self, seed: int) -> RetrieveAndRank:
        return self._rebuilt(self._weeks, self._catalogues[0], seed)

    def rebuild(self, upto: int, seed: int) -> RetrieveAndRank:
        """From nothing, on the warm-up and the windows up to `upto`."""
        later = [[n for n in range(upto + 1) if self._week(n) == week]
                 for week in range(self._week(upto) + 1)]  # fmt: skip
        weeks = [
            *self._weeks,
            *(_joined([self._windows[n] for n in part]) for part in later if part),
        ]
        return self._rebuilt(weeks, self._catalogues[upto + 1], seed)

    def increment(
        self,
        model: RetrieveAndRank,
        windows: Sequence[int],
        recipe: dict[str, Any],
        seed: int,
        rank: bool,
    ) -> None:
        queries, interactions = _joined([self._windows[n] for n in windows])
        add_ids(model, queries.user_keys, self._catalogues[max(windows) + 1])
        taught = replace(self.base, **recipe, seed=seed)
        model.fit(queries, interactions, taught, ranker=RANK if rank else None)

    def measure(self, model: RetrieveAndRank, index: int) -> Scores:
        found: Scores = {}
        for request, queries, relevant in self._asked[index]:
            ranked, _ = model.top_k(
                queries, request.k, request.catalogue.item_keys, request.exclude
            )
            found[request.purpose] = (request.users, measure(ranked, relevant)[:, :2])
        return found

    def known(self, model: RetrieveAndRank) -> Int64:
        return model.item_keys

    def warmed(self, model: RetrieveAndRank, seed: int) -> RetrieveAndRank:
        for effort in ("standard", "light"):
            with unchanged(model.towers), unchanged(model.ranker_state):
                recipe = replace(self.base, **recipe_of(effort, self.base), seed=seed)
                model.fit(*self._weeks[-1], recipe)
        return model

    def copy(self, model: RetrieveAndRank) -> RetrieveAndRank:
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "copy")
            return type(model).restore(Path(folder) / "copy")

    def _week(self, index: int) -> int:
        return int((self._spans[index].start - self._spans[0].start) // WEEK)

    def _take(self, events: Events, end: np.datetime64) -> Learnt:
        learnt = self._known.examples(events)
        self._known.add(events, end)
        return learnt

    def _rebuilt(self, weeks: Sequence[Learnt], catalogue: Catalogue, seed: int) -> RetrieveAndRank:
        from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank

        model = RetrieveAndRank.create(RetrieveAndRankConfig(), seed)
        add_ids(model, np.unique(np.concatenate([q.user_keys for q, _ in weeks])), catalogue)
        earlier, ranked = parted(list(weeks))
        model.rebuild(
            together(earlier),
            ranked,
            replace(REBUILD, seed=seed),
            replace(INCREMENT, seed=seed),
        )
        return model


def _between(events: Events, start: np.datetime64, end: np.datetime64) -> Events:
    low, high = np.searchsorted(events.times, [start, end])
    return events.take(slice(int(low), int(high)))


def _joined(parts: Sequence[Learnt]) -> Learnt:
    """Windows as one, each query with the statistics of its own window's start."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(queries) for queries, _ in parts)])
    queries = Queries(
        user_keys=np.concatenate([q.user_keys for q, _ in parts]),
        history=np.concatenate([q.history for q, _ in parts]),
        statistics=np.concatenate([q.statistics for q, _ in parts]),
        own=joined_own_items([q.own for q, _ in parts if q.own is not None]),
        items=joined_statistics([q.items for q, _ in parts if q.items is not None]),
        moments=np.repeat(np.arange(len(parts)), np.diff(starts)).astype(np.int32),
    )
    query = [part.query + start for (_, part), start in zip(parts, starts, strict=False)]
    return queries, Interactions(
        np.concatenate(query).astype(np.int32),
        np.concatenate([part.item_keys for _, part in parts]),
        np.concatenate([part.weights for _, part in parts]),
    )
