"""Made-up interactions of a known size, for speed alone: nothing in them can be learned.

Popularity follows Zipf's law, because the repeats that it makes in a batch are what row-sparse
training lives on. Neighbours: `speed_throughput`, `speed_scaling` and `speed_ranking` measure on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.data.checks import Int64Array
from models.data.queries import Interactions, Items, Queries

ML1M_EVENTS, ML1M_USERS, ML1M_ITEMS = 1_000_000, 6_040, 3_706
USER_EXPONENT, ITEM_EXPONENT = 0.6, 0.9
"""Of rank in the popularity of users and of items; MovieLens 1M's own are close to these."""


@dataclass(frozen=True, eq=False)
class Ratings:
    """int64 [N] each: keys in [1, users] and in [1, items]."""

    user_keys: Int64Array
    item_keys: Int64Array
    users: int
    items: int

    def __len__(self) -> int:
        return len(self.user_keys)

    def head(self, events: int) -> Ratings:
        """The first so many."""
        return Ratings(self.user_keys[:events], self.item_keys[:events], self.users, self.items)

    def queries(self) -> Queries:
        """One query per user, of whom nothing but the id is known; row n is user n + 1."""
        return Queries(
            np.arange(1, self.users + 1),
            np.zeros((self.users, 0), np.int64),
            np.zeros((self.users, 0), np.float32),
        )

    def interactions(self) -> Interactions:
        """The events, pointing to `queries()`."""
        return Interactions(
            (self.user_keys - 1).astype(np.int32),
            self.item_keys,
            np.ones(len(self), np.float32),
        )

    def catalogue(self) -> Items:
        """The items, without words."""
        return Items(np.arange(1, self.items + 1), np.zeros((self.items, 0), np.int32))


def make_ratings(
    events: int = ML1M_EVENTS, users: int = ML1M_USERS, items: int = ML1M_ITEMS, seed: int = 0
) -> Ratings:
    """Ratings of MovieLens 1M's size, unless told otherwise."""
    rng = np.random.default_rng(seed)
    return Ratings(
        _zipf(rng, users, USER_EXPONENT, events),
        _zipf(rng, items, ITEM_EXPONENT, events),
        users,
        items,
    )


def _zipf(rng: np.random.Generator, count: int, exponent: float, draws: int) -> Int64Array:
    """int64 [draws] in [1, count]; which key is popular is left to chance."""
    chance = np.arange(1, count + 1) ** -exponent
    edges = np.cumsum(chance) / chance.sum()
    ranks = np.minimum(np.searchsorted(edges, rng.random(draws)), count - 1)
    return rng.permutation(count)[ranks] + 1
