"""A made-up shop as a stream of windows, with a model that counts: quick, and without TensorFlow.

`USERS` users have a taste each, over items that belong to tastes; what is liked within a taste
wanders by `drift` per window. The model counts what each taste's users choose, and forgets slowly, so
that a stale one ranks worse only where the world moves.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.policy_stream import Scores
from models.learning.recipes import INCREMENT, Recipe
from models.metrics.ranking import ndcg_at_k, recall_at_k

USERS, TASTES, ITEMS, K = 400, 8, 40, 20
FORGET = 0.7
Change = Callable[[int, "World"], None]
"""Called before window n is drawn; may change the world."""


@dataclass
class Counts:
    """float64 [TASTES, items so far]."""

    likes: np.ndarray
    known: np.ndarray


class World:
    """See `benchmarks.policy_stream.Stream`. `offset` is added to item keys, `volume` scales events."""

    slices = ("a", "b")
    base: Recipe = INCREMENT

    def __init__(
        self, windows: int, drift: float, change: Change | None = None, seed: int = 0
    ) -> None:
        self.name = "made up"
        self.rng = np.random.default_rng(seed)
        self.offset, self.volume = 0, 600
        self.liking = self.rng.gamma(0.3, size=(TASTES, ITEMS))
        self.drawn: list[tuple[np.ndarray, np.ndarray]] = []
        self.warm_up = 10
        for n in range(-self.warm_up, windows):
            if n >= 0 and change is not None:
                change(n, self)
            noise = self.rng.gamma(0.3, size=self.liking.shape)
            self.liking = (1 - drift) * self.liking + drift * noise
            self.drawn.append(self.draw())

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        users = self.rng.integers(1, USERS + 1, self.volume)
        share = self.liking / self.liking.sum(axis=1, keepdims=True)
        edges = np.cumsum(share, axis=1)
        luck = self.rng.random(self.volume)
        items = (luck[:, None] > edges[users % TASTES]).sum(axis=1)
        taste = users % TASTES
        return users, self.offset + taste * ITEMS + np.minimum(items, ITEMS - 1) + 1

    def __len__(self) -> int:
        return len(self.drawn) - self.warm_up

    def key(self, index: int) -> str:
        return f"{index:03d}"

    def days(self, index: int) -> float:
        return float(index)

    def length(self, index: int) -> float:
        return 1.0

    def events(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.drawn[index + self.warm_up]

    def statistics(self, index: int) -> np.ndarray:
        return np.zeros((0, 0), np.float32)

    def begin(self, seed: int) -> Counts:
        model = Counts(np.zeros((TASTES, 0)), np.zeros(0, np.int64))
        for n in range(-self.warm_up, 0):
            self.increment(model, [n], {}, seed, True)
        return model

    def rebuild(self, upto: int, seed: int) -> Counts:
        model = self.begin(seed)
        for n in range(upto + 1):
            self.increment(model, [n], {}, seed, True)
        return model

    def increment(
        self,
        model: Counts,
        windows: Sequence[int],
        recipe: dict[str, Any],
        seed: int,
        rank: bool,
    ) -> None:
        for n in windows:
            users, items = self.events(n)
            wide = max(model.likes.shape[1], int(items.max()) + 1)
            model.likes = np.pad(model.likes, ((0, 0), (0, wide - model.likes.shape[1])))
            model.likes *= FORGET
            np.add.at(model.likes, (users % TASTES, items), 1.0)
            model.known = np.union1d(model.known, items)

    def measure(self, model: Counts, index: int) -> Scores:
        users, items = self.events(index)
        asked = np.unique(users)
        relevant = [np.unique(items[users == user]) for user in asked]
        ranked = np.argsort(-model.likes, axis=1, kind="stable")[:, :K][asked % TASTES]
        values = np.stack(
            [recall_at_k(ranked, relevant, K), ndcg_at_k(ranked, relevant, K)], axis=1
        )
        return {"a": (asked, values), "b": (asked, values)}

    def known(self, model: Counts) -> np.ndarray:
        return model.known

    def copy(self, model: Counts) -> Counts:
        return copy.deepcopy(model)

    def warmed(self, model: Counts, seed: int) -> Counts:
        return model
