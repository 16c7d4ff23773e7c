"""Judging ratings: how far was the expected rating from the given one, and did what a user liked
rank high?

RMSE and MAE are over the held-out ratings of items seen before the cut. A like is a rating of at
least `learn_from.minimum_value`; NDCG@20 of a user's held-out likes is over the items that the user
had not rated before. Units are ratings; a user's ranking stands with the user's first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from psycopg2.extensions import cursor as Cursor

from models.data.events import Events
from models.data.queries import Queries
from models.metrics.ranking import ndcg_at_k
from models.recommenders.family import Recommender
from recloop.config.learnable import LEARNABLE
from recloop.evaluation.scoring import Float64, Int64, Judge, K, Measure, Scores, best_of, distinct
from recloop.features.heldout import CSR, Past, csr_of


@dataclass(frozen=True, eq=False)
class HeldRatings:
    """N ratings of U users.

    Attributes:
        events: the ratings.
        catalogue: int64 [C], items rated before the cut, ascending.
        rated: what each user had rated before: offsets int64 [U + 1] and item keys.
        users: int64 [U], ascending; first: int64 [U], the place of each user's first rating.
        likes: per user, the item keys of the held-out likes.
        means: float64 [C], the items' mean ratings before the cut; mean: of all.
    """

    events: Events
    catalogue: Int64
    rated: CSR
    users: Int64
    first: Int64
    likes: list[Int64]
    means: Float64
    mean: float

    @property
    def queries(self) -> Queries:
        """One for each user."""
        return self.events.queries().take(self.events.query[self.first])


class RatingsJudge(Judge):
    name = "ratings"
    unit = "users"
    held_out = "users with ratings of known items"
    measures = (
        Measure("rmse", "RMSE of ratings", -1),
        Measure("mae", "MAE of ratings", -1),
        Measure("likes_ndcg@20", "NDCG@20 of likes"),
    )
    metrics = ("rmse", "mae", "likes_ndcg@20")
    headline = ("rmse", "likes_ndcg@20")
    quality = ("rmse", "likes_ndcg@20")
    baseline = "item_means"

    def hold_out(self, cursor: Cursor, events: Events, past: Past) -> HeldRatings:
        like_from = past.meaning.like_from
        cursor.execute(
            "select item_key, count(*), sum(value) from behavior.event "
            f"where event_timestamp < %(cut)s and {LEARNABLE} group by 1 order by 1",
            past.parameters(),
        )
        items = np.array(cursor.fetchall(), np.float64).reshape(-1, 3)
        catalogue = items[:, 0].astype(np.int64)
        events = events.where(np.isin(events.item_keys, catalogue))
        owners = events.user_keys[events.query]
        users, first = np.unique(owners, return_index=True)
        cursor.execute(
            "select distinct user_key, item_key from behavior.event "
            f"where user_key = any(%(users)s) and event_timestamp < %(cut)s and {LEARNABLE} "
            "order by 1, 2",
            past.parameters() | {"users": users.tolist()},
        )
        pairs = np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
        values = np.zeros(0) if events.values is None else events.values
        liked = values >= (np.inf if like_from is None else like_from)
        return HeldRatings(
            events=events,
            catalogue=catalogue,
            rated=csr_of(users, pairs),
            users=users,
            first=first.astype(np.int64),
            likes=[events.item_keys[(owners == user) & liked] for user in users],
            means=items[:, 2] / np.maximum(items[:, 1], 1),
            mean=float(items[:, 2].sum() / max(items[:, 1].sum(), 1)),
        )

    def score(self, model: Recommender, heldout: HeldRatings) -> Scores:
        asked, catalogue = heldout.queries, heldout.catalogue
        keys, _ = model.top_k(asked, K, candidates=catalogue, exclude=heldout.rated)
        return _scores(heldout, model.expected(heldout.events).astype(np.float64), keys)

    def owners(self, heldout: HeldRatings) -> Int64:
        return heldout.events.user_keys[heldout.events.query]

    def no_skill(self, heldout: HeldRatings) -> Mapping[str, float]:
        """By expecting the mean of all ratings before, always."""
        values = heldout.events.values
        if values is None or not len(values):
            return {}
        errors = values.astype(np.float64) - heldout.mean
        return {"rmse": float(np.sqrt(np.mean(errors**2))), "mae": float(np.abs(errors).mean())}

    def counts(self, heldout: HeldRatings) -> dict[str, float]:
        return {"users": float(len(heldout.users)), "ratings": float(len(heldout.events.item_keys))}

    def baselines(self) -> Mapping[str, Callable[[Any], Scores]]:
        return {"item_means": _item_means}


JUDGE = RatingsJudge()


def _item_means(heldout: HeldRatings) -> Scores:
    """Every item's mean before the cut, for everybody."""
    place = np.searchsorted(heldout.catalogue, heldout.events.item_keys)
    best = heldout.catalogue[np.lexsort((heldout.catalogue, -heldout.means))]
    return _scores(heldout, heldout.means[place], best_of(best, K, heldout.rated))


def _scores(heldout: HeldRatings, expected: Float64, keys: Int64) -> Scores:
    assert heldout.events.values is not None
    errors = expected - heldout.events.values.astype(np.float64)
    ranked = np.full(len(errors), np.nan)
    ranked[heldout.first] = ndcg_at_k(keys, heldout.likes, K)
    values = {"rmse": np.square(errors), "mae": np.abs(errors), "likes_ndcg@20": ranked}
    return Scores(values, shown=distinct(keys), roots=("rmse",))
