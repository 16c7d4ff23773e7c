"""A folder of session periods as a stream to decide upon: the sequential recommender.

Each period of the session benchmark (a week, where nothing is known but the order) is cut into
`parts` windows of equally many sessions, in order. The first half of the periods is learnt at once.

    (a) every item of a session but its first is to be predicted from those before it
    (b) those of them that the session has not shown yet

among the items known before the window; of at most `ASKED` predictions per window, drawn by a fixed
seed. One relevant item each: NDCG@20 is 1 / log2(1 + rank). Neighbours: `sessions_protocol` tests whole
periods; `policy_run` asks the policies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.events import Int64
from benchmarks.policy_stream import Scores, unchanged
from benchmarks.sessions_protocol import HISTORY, read_periods, test_of
from benchmarks.sessions_systems import FIRST, NEXT, joined
from models.data.sessions import Sessions, queries_of
from models.learning.recipes import Recipe
from recloop.planning.decisions import recipe_of

if TYPE_CHECKING:
    from models.sessions.session_recommender import SessionRecommender

K = 20
ASKED = 1000
WEEK = 7.0


class SessionStream:
    """See `policy_stream.Stream`."""

    slices = ("a", "b")
    base: Recipe = NEXT
    slow = True

    def __init__(self, folder: Path, name: str, parts: int = 7) -> None:
        periods = read_periods(folder)
        warm_up = len(periods) // 2
        self.name = name
        self._parts = parts
        self._past = joined(periods[:warm_up])
        self._windows = [part for period in periods[warm_up:] for part in _cut(period, parts)]
        seen = np.unique(self._past.item_keys)
        self._asked: list[tuple[Int64, Int64]] = []
        for index, window in enumerate(self._windows):
            history, targets = test_of(window, seen).prefixes(HISTORY)
            rng = np.random.default_rng(index)
            chosen = np.sort(rng.permutation(len(targets))[:ASKED])
            self._asked.append((history[chosen], targets[chosen]))
            seen = np.union1d(seen, window.item_keys)

    def __len__(self) -> int:
        return len(self._windows)

    def key(self, index: int) -> str:
        return f"{index // self._parts + 1:02d}.{index % self._parts + 1}"

    def days(self, index: int) -> float:
        return index * self.length(index)

    def length(self, index: int) -> float:
        del index
        return WEEK / self._parts

    def events(self, index: int) -> tuple[Int64, Int64]:
        window = self._windows[index]
        return window.of_item + 1, window.item_keys

    def statistics(self, index: int) -> np.ndarray:
        del index
        return np.zeros((0, 0), np.float32)

    def begin(self, seed: int) -> SessionRecommender:
        return self._learnt(self._past, seed)

    def rebuild(self, upto: int, seed: int) -> SessionRecommender:
        return self._learnt(joined([self._past, *self._windows[: upto + 1]]), seed)

    def increment(
        self,
        model: SessionRecommender,
        windows: Sequence[int],
        recipe: dict[str, Any],
        seed: int,
        rank: bool,
    ) -> None:
        del rank
        sessions = joined([self._windows[n] for n in windows])
        model.meet(sessions, sum(self.length(n) for n in windows))
        model.fit(sessions, replace(self.base, **recipe, seed=seed))

    def measure(self, model: SessionRecommender, index: int) -> Scores:
        history, targets = self._asked[index]
        if not len(targets):
            return {}
        ranked, _ = model.top_k(queries_of(history[:, : model.config.history_length]), K)
        hits = ranked == targets[:, None]
        rank = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)
        values = np.stack([hits.any(axis=1).astype(np.float64), 1 / np.log2(1 + rank)], axis=1)
        everybody = np.arange(len(targets))
        fresh = ~(history == targets[:, None]).any(axis=1)
        return {"a": (everybody, values), "b": (everybody[fresh], values[fresh])}

    def known(self, model: SessionRecommender) -> Int64:
        return model.item_keys

    def warmed(self, model: SessionRecommender, seed: int) -> SessionRecommender:
        few = self._past.take(np.arange(len(self._past)) >= len(self._past) - 200)
        for effort in ("standard", "light"):
            with unchanged(model._state):
                model.fit(few, replace(self.base, **recipe_of(effort, self.base), seed=seed))
        return model

    def copy(self, model: SessionRecommender) -> SessionRecommender:
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "copy")
            return type(model).restore(Path(folder) / "copy")

    def _learnt(self, sessions: Sessions, seed: int) -> SessionRecommender:
        from models.sessions.session_recommender import SessionRecommender
        from models.sessions.transformer_config import TransformerConfig

        model = SessionRecommender.create(TransformerConfig(), seed)
        model.meet(sessions)
        model.fit(sessions, replace(FIRST, seed=seed))
        return model


def _cut(period: Sessions, parts: int) -> list[Sessions]:
    edges = np.linspace(0, len(period), parts + 1).round().astype(int)
    place = np.arange(len(period))
    return [period.take((place >= low) & (place < high)) for low, high in pairwise(edges)]
