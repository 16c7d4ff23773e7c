"""Taste: what the latent factors say of a user who may be minutes old, as a feature of the ranker.

    surprise = label - expected                            how much better or worse than foreseen
    taste(u, i) = q_i . (n C + lambda)^-1 sum over u's known ratings j of surprise_j q_j

with the items' factors q of a matrix factorisation (`models.factors.factorisation`) that has
learned earlier periods alone, and C their mean square: the ridge regression of the user's surprises
on the factors of what was rated (n ratings of them), if those were a fair sample. What is known, the
clicks' moments say (see `ctr_features`). So the retrieval
model's opinion reaches the ranker for users whom the retrieval model has never seen; sums are kept
per user, as an online feature store would.

Neighbours: `ctr_features` has what needs no model.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.ctr_features import NAMES, Past
from benchmarks.ctr_protocol import Clicks, distinct, items_of
from models.data.ragged import look_up

RIDGE = 0.1
"""lambda, in units of squared surprise."""
EXPECTED = NAMES.index("expected")


class Taste:
    """The factors, and what is summed of each user. Time goes on with `learn`."""

    def __init__(self, seed: int, dimension: int = 16) -> None:
        from models.factors.factorisation_config import FactorisationConfig
        from models.learning.recipes import Recipe
        from models.tables.state import ModelState

        config = FactorisationConfig(dimension=dimension, centre=0.5, l2=0.04, words_per_item=0)
        self._state = ModelState.create(config, seed)
        self._recipe = Recipe(epochs=1, learning_rate=0.05, batch_size=1024, seed=seed)
        self._keys = np.zeros(0, np.int64)
        self._sums = np.zeros((0, dimension))
        self._counts = np.zeros(0)

    def of(self, clicks: Clicks) -> np.ndarray:
        """Taste for each of the clicks that come next: float32 [N]; 0 where nothing is known."""
        factors, surprise, past = self._look(clicks)
        known, at = look_up(self._keys, clicks.user_keys)
        # Along the factors' own axes the regression is one division per axis.
        spread, axes = np.linalg.eigh(factors.T @ factors / max(len(factors), 1))
        sums = np.stack([past.sums(surprise * column) for column in factors.T], axis=1)
        counts = past.counts()
        sums[known] += self._sums[at[known]]
        counts[known] += self._counts[at[known]]
        shrunk = (sums @ axes) / (counts[:, None] * np.maximum(spread, 0.0) + RIDGE)
        return ((factors @ axes) * shrunk).sum(axis=1).astype(np.float32)

    def remember(self, clicks: Clicks) -> None:
        """Adds the clicks to their users' sums, by the factors of before they are learned."""
        factors, surprise, _ = self._look(clicks)
        keys, user = np.unique(clicks.user_keys, return_inverse=True)  # sorts
        merged = np.union1d(self._keys, keys)
        sums = np.zeros((len(merged), factors.shape[1]))
        counts = np.zeros(len(merged))
        old, new = np.searchsorted(merged, self._keys), np.searchsorted(merged, keys)
        sums[old], counts[old] = self._sums, self._counts
        for column in range(factors.shape[1]):
            weights = surprise * factors[:, column]
            sums[new, column] += np.bincount(user, weights, minlength=len(keys))
        counts[new] += np.bincount(user, minlength=len(keys))
        self._keys, self._sums, self._counts = merged, sums, counts

    def learn(self, clicks: Clicks, epochs: int = 1) -> None:
        """Trains the factors on the clicks, by their labels."""
        from models.factors.rating_recommender import RatingBatches, Ratings
        from models.ids.growth import add_ids
        from models.learning.training import fit

        recipe = replace(self._recipe, epochs=epochs)
        add_ids(self._state, distinct(clicks.user_keys), items_of(clicks.item_keys))
        weights = np.ones(len(clicks), np.float32)
        ratings = Ratings(clicks.user_keys, clicks.item_keys, clicks.labels, weights)
        fit(self._state, RatingBatches(self._state, ratings, recipe), recipe)

    def _look(self, clicks: Clicks) -> tuple[np.ndarray, np.ndarray, Past]:
        """Factors [N, d] of the items (0: unknown), surprises [N], and who came before whom."""
        table = self._state.parameters()["item"].astype(np.float64)
        factors = table[self._state.items.rows(clicks.item_keys)]  # row 0, unknown, is 0
        expected = np.clip(clicks.features[:, EXPECTED], 0.0, 1.0)
        return factors, clicks.labels - expected, Past.of(clicks.user_keys, clicks.moments)
