"""Every strategy of a plan as a row of the retail benchmark, helpful or not.

Each row is the default recommender with one thing changed, by the same names that a plan file has
(`recloop/config/strategy.py`). Rows differ from `default` in nothing else: same seed, same warm-up
but for what the change itself alters there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.events import Catalogue, Events, Int64
from benchmarks.put_back import put_back
from benchmarks.retail_ours import Ours
from benchmarks.retail_systems import Entry, Window
from models.data.queries import Interactions, Items, Queries
from models.ids.starts import NewIds
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig

if TYPE_CHECKING:
    from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank

MICROS_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class Change:
    """What differs from the default."""

    recipe: dict[str, Any] = field(default_factory=dict)
    """Of the towers' increments."""
    ranker: dict[str, Any] = field(default_factory=dict)
    """Of the ranker's increments."""
    rebuild: dict[str, Any] = field(default_factory=dict)
    """Of the towers' training from scratch."""
    ids: dict[str, Any] = field(default_factory=dict)
    rank: bool = True
    """False: the ranker stays as the warm-up left it."""
    average_releases: int = 1
    maintain: str = "none"
    warm_start: bool = True
    """False: each update starts from nothing and sees its window alone."""
    retrieval: dict[str, Any] = field(default_factory=dict)
    """Of the towers' configuration."""
    shards: int = 1
    """Copies that learn their users' part of a window from the same weights, and are merged."""


def _replay(kind: str) -> dict[str, Any]:
    return {"replay": kind, "replay_share": 0.25}


CHANGES: dict[str, Change] = {
    "no warm start": Change(warm_start=False),
    "scope embeddings": Change(recipe={"scope": "embeddings"}),
    "scope ids": Change(recipe={"scope": "ids"}),
    "scope users": Change(recipe={"scope": "users"}),
    "scope items": Change(recipe={"scope": "items"}),
    "scope touched": Change(recipe={"scope": "touched"}),
    "ranker's head alone": Change(ranker={"scope": "head"}),
    "ranker rests": Change(rank=False),
    "SGD": Change(recipe={"optimizer": "sgd", "learning_rate": 0.05}),
    "momentum": Change(recipe={"optimizer": "momentum", "learning_rate": 0.01}),
    "RMSprop": Change(recipe={"optimizer": "rmsprop", "learning_rate": 0.003}),
    "Adam": Change(recipe={"optimizer": "adam", "learning_rate": 0.01}),
    "schedule linear": Change(recipe={"schedule": "linear"}),
    "schedule cosine": Change(recipe={"schedule": "cosine"}),
    "schedule warmup": Change(recipe={"schedule": "warmup"}),
    "clipping": Change(recipe={"clip_norm": 10.0}),
    "weight decay": Change(recipe={"weight_decay": 0.01}),
    "L2-SP": Change(recipe={"champion_decay": 0.01}),
    "EWC": Change(recipe={"replay": "uniform", "ewc": 1.0}),
    "no dropout": Change(
        recipe={"dropout": 0.0, "user_dropout": 0.0}, rebuild={"dropout": 0.0, "user_dropout": 0.0}
    ),
    "early stopping": Change(recipe={"patience": 1, "epochs": 6}),
    "replay uniform": Change(recipe=_replay("uniform")),
    "replay recency": Change(recipe=_replay("recency")),
    "replay herding": Change(recipe=_replay("herding")),
    "distillation": Change(recipe={"replay": "herding", "distillation": 0.5}),
    "admission from 2 events": Change(ids={"minimum_events": 2}),
    "start co-occurrence": Change(ids={"start": "cooccurrence"}),
    "start mean": Change(ids={"start": "mean"}),
    "expiry after 120 days": Change(ids={"expire_after_days": 120}),
    "average of 3 releases": Change(average_releases=3),
    "pruning": Change(maintain="prune"),
    "float16": Change(maintain="float16"),
    "int8": Change(maintain="int8"),
    "student": Change(maintain="student"),
    "in-batch loss": Change(retrieval={"loss": "in_batch"}),
    "4 shards": Change(shards=4),
    "16 shards": Change(shards=16),
}


class Strategy(Ours):
    """The default, changed."""

    def __init__(self, seed: int, change: Change) -> None:
        from models.learning.recipes import INCREMENT, RANK, REBUILD

        tuned = RetrieveAndRankConfig()
        config = replace(tuned, retrieval=replace(tuned.retrieval, **change.retrieval))
        super().__init__(seed, "increments", config)
        in_batch = config.retrieval.loss == "in_batch"
        # The in-batch loss takes events for examples, not queries with their baskets: larger batches.
        larger = replace(REBUILD, epochs=5, learning_rate=0.1, batch_size=512)
        rebuild = larger if in_batch else REBUILD
        increment = replace(INCREMENT, batch_size=256) if in_batch else INCREMENT
        self._change = change
        self._rebuild = replace(rebuild, seed=seed, **change.rebuild)
        self._first = replace(increment, seed=seed)
        self._increment = replace(increment, seed=seed, **change.recipe)
        self._ranker = replace(RANK, seed=seed, **change.ranker)
        self._ids = NewIds(**change.ids)
        self._kept: deque[RetrieveAndRank] = deque(maxlen=max(change.average_releases - 1, 1))

    def warm_up(
        self,
        history: Events,
        catalogue: Catalogue,
        now: np.datetime64,
        length: np.timedelta64,
    ) -> None:
        self._today, self._days = _day(now), int(length // np.timedelta64(1, "D"))
        super().warm_up(history, catalogue, now, length)

    def _rebuilt(self) -> RetrieveAndRank:
        recent = self._windows[-self._last_windows :]
        model = super()._rebuilt()
        # The rebuild's last weeks are the first of a memory, if there is to be one.
        for age, (queries, interactions) in enumerate(reversed(recent)):
            model.remember(queries, interactions, self._increment, self._today - self._days * age)
        return model

    def learn(self, window: Window) -> None:
        from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
        from models.retrieve_and_rank.shrinking import maintained

        assert self._model is not None
        self._catalogue = window.catalogue
        self._take(window.events, window.end)
        queries, interactions = self._windows.pop()
        if not self._change.warm_start:
            self._model = RetrieveAndRank.create(self._config, self._seed)
            self._add_all(self._model, window.catalogue)
        model = self._model
        self._make_room(model, queries, interactions, window)
        validate = None
        if self._increment.patience:
            newest = np.zeros(len(interactions), bool)
            newest[-len(interactions) // 3 :] = True
            held = _only(interactions, newest)
            interactions = _only(interactions, ~newest)
            validate = lambda: _ndcg(model, queries, held)  # noqa: E731
        if self._change.shards > 1:
            self._fit_in_shards(model, queries, interactions)
        else:
            ranker = self._ranker if self._change.rank else None
            model.fit(queries, interactions, self._increment, ranker=ranker, validate=validate)
        model.remember(queries, interactions, self._increment, _day(window.end))
        if validate is not None:
            model.fit(queries, held, replace(self._increment, patience=0, epochs=3), ranker=None)
        if self._change.average_releases > 1:
            model = self._averaged(model)
        self._model = maintained(model, self._maintenance(), queries)

    def _fit_in_shards(
        self, model: RetrieveAndRank, queries: Queries, interactions: Interactions
    ) -> None:
        """What `recloop.training.sharding` does with workers, in this process: the CPU seconds are of
        all shards together."""
        from models.merging import changes
        from recloop.training.sharding import shard_batch, shard_numbers

        mark = changes.marks_of(model.states)
        owners = shard_numbers(queries.user_keys, self._change.shards)[interactions.query]
        parts = []
        size = shard_batch(self._increment.batch_size, self._change.shards)
        for number in np.unique(owners):
            own = _only(interactions, owners == number)
            rows, query = np.unique(own.query, return_inverse=True)
            asked = queries.take(rows)
            own = Interactions(query.astype(np.int32), own.item_keys, own.weights)
            seed = self._seed + 1000 * int(number)
            ranker = replace(self._ranker, seed=seed)
            recipe = replace(self._increment, batch_size=size, seed=seed)
            model.fit(asked, own, recipe, ranker=ranker)
            parts.append(changes.changes_of(model.states, mark, model.touched_by(asked, own)))
            put_back(model.states, mark)
        changes.merge(model.states, parts, model.merging)

    def _maintenance(self) -> str:
        """A student takes over once; afterwards it only learns."""
        kind = self._change.maintain
        small = self._model is not None and (
            self._model.config.retrieval.dimension < self._config.retrieval.dimension
        )
        return "none" if kind == "student" and small else kind

    def _averaged(self, model: RetrieveAndRank) -> RetrieveAndRank:
        import tempfile
        from pathlib import Path

        others = list(self._kept)
        with tempfile.TemporaryDirectory() as folder:
            places = []
            for number, other in enumerate(others):
                places.append(Path(folder) / str(number))
                other.save(places[-1])
            model.save(Path(folder) / "own")
            mean = model.averaged(places)
            self._kept.append(type(model).restore(Path(folder) / "own"))
        return mean

    def _make_room(
        self, model: RetrieveAndRank, queries: Queries, interactions: Interactions, window: Window
    ) -> None:
        from models.ids.starts import Groups

        shown = np.isin(window.catalogue.item_keys, interactions.item_keys)
        items = Items(window.catalogue.item_keys[shown], window.catalogue.words[shown])
        owners = queries.user_keys[interactions.query]
        users, user_events = np.unique(owners, return_counts=True)
        place = np.searchsorted(items.item_keys, interactions.item_keys)
        item_events = np.bincount(place, minlength=len(items))
        day = _day(window.end)
        groups = Groups(interactions.query.astype(np.int64), interactions.item_keys)
        counts = (user_events.astype(np.int64), item_events.astype(np.int64))
        model.add_ids(users, items, self._ids, counts, groups, day)
        model.note_seen(users, items.item_keys, day)
        if self._ids.expire_after_days:
            model.expire(day - self._ids.expire_after_days)

    def _add_all(self, model: RetrieveAndRank, catalogue: Catalogue) -> None:
        model.add_ids(np.zeros(0, np.int64), Items(catalogue.item_keys, catalogue.words))


def _day(moment: np.datetime64) -> int:
    """Days since 1970-01-01."""
    return int(moment.astype("datetime64[us]").astype(np.int64) // MICROS_PER_DAY)


def _only(interactions: Interactions, chosen: np.ndarray) -> Interactions:
    return Interactions(
        interactions.query[chosen], interactions.item_keys[chosen], interactions.weights[chosen]
    )


def _ndcg(model: RetrieveAndRank, queries: Queries, held: Interactions) -> float:
    from models.metrics.ranking import ndcg_at_k

    keys, _ = model.top_k(queries, 20)
    order = np.argsort(held.query, kind="stable")
    ends = np.cumsum(np.bincount(held.query, minlength=len(queries)))
    offsets: Int64 = np.concatenate([[0], ends]).astype(np.int64)
    return float(np.nanmean(ndcg_at_k(keys, (offsets, held.item_keys[order]), 20)))


def _entry(change: Change) -> Entry:
    def make(seed: int) -> Strategy:
        import models.retrieve_and_rank.retrieve_and_rank  # noqa: F401

        return Strategy(seed, change)

    return Entry(make=make, seeded=True, default=False)


SYSTEMS = {name: _entry(change) for name, change in CHANGES.items()}
DEPENDS = (
    "models/**/*.py",
    "benchmarks/retail_features.py",
    "benchmarks/retail_ours.py",
    "benchmarks/retail_strategies.py",
    "recloop/training/sharding.py",
)
