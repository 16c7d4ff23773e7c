"""The systems of the click-through benchmark, by name.

default        the ranker, warm-started, one epoch on each new period
batch          the same model, one epoch on the last seven periods each time (ASMG's "BU")
static         the same model, never updated; only the features go on
factorisation  matrix factorisation of the labels, incrementally
logistic       logistic regression on the features, refitted on all that was seen
item mean      the share of likes that the item had before
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.ctr_features import NAMES
from benchmarks.ctr_protocol import Clicks, System, distinct, items_of

BATCH_PERIODS = 7
"""ASMG's window for batch updates."""
SMALLEST_BATCH, LARGEST_BATCH, STEPS = 32, 1024, 64
"""ASMG's batch, or a smaller one if that would be fewer steps a period than this."""
WARM_UP_EPOCHS = 4
"""Passes over the periods that are learned at once; updates make one pass."""


class RankerSystem:
    """The ranker family, pointwise, on ids, features, and a matrix factorisation's taste.

    As in the cascade, the ranker learns from what the retrieval model said of clicks that it hadn't
    learned yet.

    Args:
        seed: of weights and order.
        remembered: how many of the latest periods are trained on each time, the new one included;
            0: none, the models stay as warm-up left them.
    """

    def __init__(self, seed: int, remembered: int = 1) -> None:
        from benchmarks.ctr_taste import Taste
        from models.learning.recipes import Recipe
        from models.ranker.ranker_config import RankerConfig
        from models.ranker.ranking_recommender import RankingRecommender

        config = RankerConfig(
            feature_width=len(NAMES) + 1, dimension=8, cross_layers=2, hidden=(32,),
            second_head="none", loss="pointwise",
        )  # fmt: skip
        self._ranker = RankingRecommender.create(config, seed)
        self._recipe = Recipe(
            epochs=1, learning_rate=1e-3, batch_size=LARGEST_BATCH, optimizer="adam", seed=seed
        )
        self._taste = Taste(seed)
        self._remembered = remembered
        self._periods: list[Clicks] = []

    def warm_up(self, periods: Sequence[Clicks]) -> None:
        batch_size = int(np.clip(len(periods[0]) // STEPS, SMALLEST_BATCH, LARGEST_BATCH))
        self._recipe = replace(self._recipe, batch_size=batch_size)
        for clicks in periods:
            self._periods.append(self._seen(clicks))
            self._taste.learn(clicks, epochs=WARM_UP_EPOCHS)
        # Before the first period has been learned, taste is silent: not a lesson for the ranker.
        self._train(self._periods[1:] or self._periods, WARM_UP_EPOCHS)

    def learn(self, clicks: Clicks) -> None:
        self._periods = [*self._periods, self._seen(clicks)][-max(self._remembered, 1) :]
        if self._remembered:
            self._taste.learn(Clicks.joined(self._periods))
            self._train(self._periods)

    def _seen(self, clicks: Clicks) -> Clicks:
        """The clicks with their taste, which from now on is in the past."""
        complete = clicks.with_features(self._taste.of(clicks))
        self._taste.remember(clicks)
        return complete

    def _train(self, parts: list[Clicks], epochs: int = 1) -> None:
        from models.ranker.list_batches import RankingExamples

        clicks = Clicks.joined(parts)
        examples = RankingExamples(
            clicks.user_keys, clicks.item_keys, clicks.features, clicks.labels,
            np.ones_like(clicks.labels),
        )  # fmt: skip
        self._ranker.add_ids(distinct(clicks.user_keys), items_of(clicks.item_keys))
        self._ranker.fit(examples, replace(self._recipe, epochs=epochs))

    def predict(self, clicks: Clicks) -> np.ndarray:
        complete = clicks.with_features(self._taste.of(clicks))
        return self._ranker.predict(clicks.user_keys, clicks.item_keys, complete.features)


class FactorisationSystem:
    """Matrix factorisation of the labels as ratings from 0 to 1; predictions are the chances."""

    def __init__(self, seed: int) -> None:
        from models.factors.factorisation_config import FactorisationConfig
        from models.factors.rating_recommender import RatingRecommender
        from models.learning.recipes import Recipe

        config = FactorisationConfig(
            dimension=16, centre=0.5, lowest=0.01, highest=0.99, l2=0.01, words_per_item=0
        )
        self._model = RatingRecommender.create(config, seed)
        self._recipe = Recipe(epochs=1, learning_rate=0.05, batch_size=1024, seed=seed)

    def warm_up(self, periods: Sequence[Clicks]) -> None:
        self.learn(Clicks.joined(periods))

    def learn(self, clicks: Clicks) -> None:
        from models.factors.rating_recommender import Ratings

        self._model.add_ids(distinct(clicks.user_keys), items_of(clicks.item_keys))
        weights = np.ones(len(clicks), np.float32)
        self._model.fit(
            Ratings(clicks.user_keys, clicks.item_keys, clicks.labels, weights), self._recipe
        )

    def predict(self, clicks: Clicks) -> np.ndarray:
        return self._model.predict(clicks.user_keys, clicks.item_keys)


class LogisticSystem:
    """Logistic regression on the features, by Newton's method, on all periods so far."""

    RIDGE = 1.0
    STEPS = 6

    def __init__(self) -> None:
        self._seen: list[Clicks] = []
        self._weights = np.zeros(len(NAMES) + 1)

    def warm_up(self, periods: Sequence[Clicks]) -> None:
        clicks = Clicks.joined(periods)
        self._mean = clicks.features.mean(axis=0, dtype=np.float64)
        self._scale = clicks.features.std(axis=0, dtype=np.float64) + 1e-6
        self.learn(clicks)

    def learn(self, clicks: Clicks) -> None:
        self._seen.append(clicks)
        for _ in range(self.STEPS):
            slope = self.RIDGE * self._weights
            curve = self.RIDGE * np.eye(len(self._weights))
            for part in self._seen:
                inputs = self._inputs(part)
                chances = _sigmoid(inputs @ self._weights)
                slope += inputs.T @ (chances - part.labels)
                curve += (inputs * (chances * (1 - chances))[:, None]).T @ inputs
            step = np.linalg.solve(curve, slope)
            self._weights -= step
            if np.abs(step).max() < 1e-4:
                break

    def predict(self, clicks: Clicks) -> np.ndarray:
        return _sigmoid(self._inputs(clicks) @ self._weights)

    def _inputs(self, clicks: Clicks) -> np.ndarray:
        scaled = (clicks.features - self._mean) / self._scale
        return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)


class ItemMeanSystem:
    """The share of likes that the item had before, pulled towards that of all items."""

    def warm_up(self, periods: Sequence[Clicks]) -> None: ...

    def learn(self, clicks: Clicks) -> None: ...

    def predict(self, clicks: Clicks) -> np.ndarray:
        return clicks.features[:, NAMES.index("item_likes")]


SYSTEMS: dict[str, tuple[Callable[[int], System], bool]] = {
    "default": (RankerSystem, True),
    "batch": (lambda seed: RankerSystem(seed, BATCH_PERIODS), True),
    "static": (lambda seed: RankerSystem(seed, 0), True),
    "factorisation": (FactorisationSystem, True),
    "logistic": (lambda _: LogisticSystem(), False),
    "item mean": (lambda _: ItemMeanSystem(), False),
}
"""name -> (seed to system, whether the seed changes anything)."""


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -50, 50)))
