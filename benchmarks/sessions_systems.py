"""The systems of the session benchmark: one network, learned in different ways.

default   warm start; new items' rows start from co-occurring ones, all follow what co-occurs, few
          epochs on the new period; co-occurrences beside the network at ranking
finetune  the network alone: warm start, the new period, nothing else, no dropout (ADER's "Finetune")
ader      the network alone: the same with dropout, 30,000 exemplars by herding, and distillation of the
          previous network on them with ADER's adaptive weight
joint     the default's recommender, co-occurrences and all, from nothing on all periods so far
memory    the co-occurrences alone: nothing is trained

What differs from the published systems: one block of width 100 and not two of 150; sampled negatives
and not the full softmax; a spectral start; so many epochs and not early stopping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.data.checks import Int64Array
from models.data.sessions import Sessions, queries_of
from models.learning.recipes import Recipe

K = 20
WITHOUT_MEMORY = "network alone"
DAYS = 7.0
"""Of a period: what co-occurs decays by them, and a recency-weighted memory would ask."""

NETWORK_ONLY = {"memory_weight": 0.0, "follow_steps": 0}
FIRST = Recipe(epochs=3, learning_rate=2e-3, batch_size=64, optimizer="adam", schedule="linear")
"""From nothing."""
NEXT = replace(FIRST, epochs=2)
"""On one period more."""
NEXT_ALONE = replace(FIRST, epochs=6)
"""The same for a network whose items' rows don't follow what co-occurs: with 2 epochs it is worse."""


class Incremental:
    """A session recommender that learns one period after another.

    Args:
        config: what differs from `TransformerConfig()`.
        recipes: of the first period, and of later ones.
        seed: of weights and order.
    """

    def __init__(self, config: dict[str, Any], recipes: tuple[Recipe, Recipe], seed: int) -> None:
        from models.sessions.session_recommender import SessionRecommender
        from models.sessions.transformer_config import TransformerConfig

        self._model = SessionRecommender.create(TransformerConfig(**config), seed)
        self._first, self._next = recipes
        self._periods = 0

    def learn(self, period: Sessions) -> None:
        recipe = self._next if self._periods else self._first
        self._model.meet(period, DAYS)
        self._model.fit(period, recipe)
        self._model.remember(period, recipe, day=1 + DAYS * self._periods)
        self._periods += 1

    def rankings(self, history: Int64Array) -> dict[str, Int64Array]:
        return _rankings(self._model, history)


class Joint:
    """The same recommender, made anew whenever it is asked.

    What is paid for is the training on all periods so far; between the cycles that are measured there
    is none.
    """

    def __init__(self, config: dict[str, Any], recipe: Recipe, seed: int, cycles: set[int]) -> None:
        self._config, self._recipe, self._seed, self._cycles = config, recipe, seed, cycles
        self._periods: list[Sessions] = []

    def learn(self, period: Sessions) -> None:
        from models.sessions.session_recommender import SessionRecommender
        from models.sessions.transformer_config import TransformerConfig

        self._periods.append(period)
        if len(self._periods) not in self._cycles:
            return
        self._model = SessionRecommender.create(TransformerConfig(**self._config), self._seed)
        everything = joined(self._periods)
        self._model.meet(everything)
        self._model.fit(everything, self._recipe)

    def rankings(self, history: Int64Array) -> dict[str, Int64Array]:
        return _rankings(self._model, history)


class MemoryAlone:
    """The default's co-occurrences, without a network."""

    def __init__(self, config: dict[str, Any], seed: int) -> None:
        from models.sessions.cooccurrence import Cooccurrence
        from models.sessions.transformer_config import TransformerConfig

        del seed
        self._config = TransformerConfig(**config)
        self._memory = Cooccurrence.empty()

    def learn(self, period: Sessions) -> None:
        decay = self._config.decay_of(DAYS)
        self._memory = self._memory.updated(period, self._config, decay)

    def rankings(self, history: Int64Array) -> dict[str, Int64Array]:
        history = history[:, : self._config.history_length]
        owner, place, share = self._memory.shares(history, self._config.memory_recency)
        order = np.lexsort((place, -share, owner))
        owner, place = owner[order], place[order]
        rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
        best = np.zeros((len(history), K), np.int64)
        shown = rank < K
        best[owner[shown], rank[shown]] = self._memory.keys[place[shown]]
        return {"": best}


def joined(periods: Sequence[Sessions]) -> Sessions:
    """All sessions of some periods, in order."""
    starts = np.cumsum([0, *(len(period.item_keys) for period in periods)])
    offsets = [period.offsets[1:] + start for period, start in zip(periods, starts, strict=False)]
    keys = np.concatenate([period.item_keys for period in periods])
    return Sessions(np.concatenate([np.zeros(1, np.int64), *offsets]), keys)


def _rankings(model: Any, history: Int64Array) -> dict[str, Int64Array]:
    queries = queries_of(history[:, : model.config.history_length])
    rankings = {"": model.top_k(queries, K)[0]}
    if model.config.memory_weight:
        model.uses_memory = False
        rankings[WITHOUT_MEMORY] = model.top_k(queries, K)[0]
        model.uses_memory = True
    return rankings


def make(name: str, seed: int, cycles: set[int]) -> Any:
    """A fresh system of this name.

    Args:
        cycles: the ones it will be tested at.
    """
    first, later, alone = (replace(recipe, seed=seed) for recipe in (FIRST, NEXT, NEXT_ALONE))
    if name == "default":
        return Incremental({}, (first, later), seed)
    if name == "finetune":
        plain = NETWORK_ONLY | {"coordinate_dropout": 0.0, "layer_dropout": 0.0}
        return Incremental(plain, (first, alone), seed)
    if name == "ader":
        past: dict[str, Any] = {"replay": "herding", "distillation": 0.8, "memory_size": 30_000}
        return Incremental(NETWORK_ONLY, (replace(first, **past), replace(alone, **past)), seed)
    if name == "joint":
        return Joint({}, first, seed, cycles)
    if name == "memory":
        return MemoryAlone({}, seed)
    raise ValueError(f"`name` should be one of {', '.join(SYSTEMS)}. Received: {name!r}.")


SYSTEMS = ("default", "finetune", "ader", "joint", "memory")
