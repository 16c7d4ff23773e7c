"""Learning from examples: recipes of a plan, room for new ids, an increment, a training from scratch.

Belongs here: what is done to a model in memory. Keep out: which events are held out, files and
leases (`candidate.py`). Everything is seeded, so that on CPU the same events give the same weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from models.data.queries import Items
from models.ids.starts import NewIds
from models.learning.recipes import (
    INCREMENT,
    RANK,
    RANK_REBUILD,
    REBUILD,
    Recipe,
    TrainingProgress,
    TrainingReport,
)
from models.metrics.ranking import ndcg_at_k
from recloop.contracts import UpdatePlan
from recloop.features.examples import Examples

if TYPE_CHECKING:
    from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank

Progress = Callable[[TrainingProgress], None]
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
K = 20


def recipe_of(plan: UpdatePlan, seed: int, base: Recipe, purpose: str = "") -> Recipe:
    """The towers' recipe: a kind's defaults, with the plan's overrides."""
    return replace(base, **plan.strategy.recipe, seed=seed_of(seed, plan.target + purpose))


def ranker_recipe_of(plan: UpdatePlan, seed: int, base: Recipe, purpose: str = "") -> Recipe:
    """The ranker's, likewise."""
    return replace(base, **plan.strategy.ranker, seed=seed_of(seed, plan.target + purpose))


def ids_of(plan: UpdatePlan) -> NewIds:
    """How ids come and go, by the plan."""
    return NewIds(**plan.strategy.ids)


def seed_of(seed: int, window: str) -> int:
    """A seed for one window's update, so that a replay draws the same numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{window}".encode()).digest()[:3], "big")


def learn(
    recommender: RetrieveAndRank,
    examples: Examples,
    plan: UpdatePlan,
    seed: int,
    progress: Progress,
    purpose: str = "",
    held_out: Examples | None = None,
) -> TrainingReport:
    """Make room for what is new, then an increment on these events by the plan's recipes.

    Args:
        held_out: what early stopping looks at, if the recipe has `patience`.
    """
    make_room(recommender, examples, ids_of(plan))
    report = take_in(recommender, examples, plan, seed, progress, purpose, held_out)
    remember(recommender, examples, recipe_of(plan, seed, INCREMENT, purpose))
    return report


def take_in(
    recommender: RetrieveAndRank,
    examples: Examples,
    plan: UpdatePlan,
    seed: int,
    progress: Progress,
    purpose: str = "",
    held_out: Examples | None = None,
) -> TrainingReport:
    """The increment alone: there is room already, and nothing is remembered. See `learn`."""
    recipe = recipe_of(plan, seed, INCREMENT, purpose)
    if held_out is None:
        recipe = replace(recipe, patience=0)
    return recommender.fit(
        examples.queries(),
        examples.interactions(),
        recipe,
        progress,
        ranker=ranker_recipe_of(plan, seed, RANK, purpose) if plan.strategy.rank else None,
        validate=None if held_out is None else lambda: ndcg(recommender, held_out),
    )


def remember(recommender: RetrieveAndRank, examples: Examples, recipe: Recipe) -> None:
    """Offer these events to the model's memory; nothing happens unless the recipe has replay."""
    days = (examples.times - np.datetime64(0, "us")) / np.timedelta64(1, "D")
    recommender.remember(examples.queries(), examples.interactions(), recipe, days)


def ndcg(recommender: RetrieveAndRank, examples: Examples) -> float:
    """Mean NDCG@20 over the queries of these examples, all pairs; 0 without any."""
    if not len(examples.item_keys):
        return 0.0
    keys, _ = recommender.top_k(examples.queries(), K)
    order = np.argsort(examples.query, kind="stable")
    counts = np.bincount(examples.query, minlength=len(keys))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return float(np.nanmean(ndcg_at_k(keys, (offsets, examples.item_keys[order]), K)))


def rebuild(
    recommender: RetrieveAndRank,
    seen: Examples,
    end: datetime,
    recent: timedelta,
    plan: UpdatePlan,
    seed: int,
    progress: Progress,
) -> TrainingReport:
    """Learn from scratch: the history at once, where everything weighs alike; then what is recent,
    a week at a time, which puts the newest first again and teaches the ranker.
    """
    make_room(recommender, seen, ids_of(plan))
    first = datetime.fromtimestamp(seen.times.min().astype("datetime64[s]").astype(int), UTC)
    recent = min(recent, (end - first) / 2)
    start = end - recent
    weeks = [seen.between(t, min(t + WEEK, end)) for t in _steps(start, end)]
    history = seen.between(BEGINNING, start)
    increment = replace(recipe_of(plan, seed, INCREMENT, "/recent"), patience=0)
    report = recommender.rebuild(
        (history.queries(), history.interactions()),
        [(week.queries(), week.interactions()) for week in weeks if len(week.item_keys)],
        replace(recipe_of(plan, seed, REBUILD), patience=0),
        increment,
        progress,
        ranker=ranker_recipe_of(plan, seed, RANK_REBUILD),
    )
    remember(recommender, seen, increment)
    return report


def _steps(start: datetime, end: datetime) -> list[datetime]:
    """`start`, and every week after it, before `end`."""
    return [start + n * WEEK for n in range(-(-(end - start) // WEEK))]


def make_room(recommender: RetrieveAndRank, examples: Examples, ids: NewIds) -> None:
    """Rows for the users and items of these events, and none any more for those long gone.

    Of the items only those of these events: one that first shows in held-out events must stay
    unknown.
    """
    from models.ids.starts import Groups

    shown = np.isin(examples.catalogue, examples.item_keys)
    width = recommender.config.retrieval.words_per_item
    items = Items(examples.catalogue[shown], examples.words[shown, :width])
    owners = examples.user_keys[examples.query]
    users, user_events = np.unique(owners, return_counts=True)
    item_events = np.bincount(
        np.searchsorted(items.item_keys, examples.item_keys), minlength=len(items)
    )
    days = examples.times.astype("datetime64[D]").astype(np.int64)
    recommender.add_ids(
        users,
        items,
        ids,
        (user_events.astype(np.int64), item_events.astype(np.int64)),
        Groups(examples.query.astype(np.int64), examples.item_keys),
        int(days.max()),
    )
    for day in np.unique(days):
        here = days == day
        recommender.note_seen(
            np.unique(owners[here]), np.unique(examples.item_keys[here]), int(day)
        )
    if ids.expire_after_days:
        recommender.expire(int(days.max()) - ids.expire_after_days)
