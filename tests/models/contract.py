"""The families under contract: each as one class that makes its small model and its examples.

A family joins by a subclass of `Family` in `FAMILIES`; `test_contract.py` does the rest. The shop
is that of conftest: users 1001…1020, items 501…530, even users buy the first half.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sessions_protocol import sessions_of
from models.data.queries import Interactions, Items, OwnItems, Queries
from models.data.sessions import Sessions
from models.factors.factorisation_config import FactorisationConfig
from models.factors.rating_recommender import RatingBatches, RatingRecommender, Ratings
from models.learning.batch_source import BatchSource
from models.learning.recipes import Recipe, TrainingReport
from models.ranker.list_batches import PairBatches, RankingExamples
from models.ranker.ranker_config import RankerConfig
from models.ranker.ranker_serving import ServedRanker
from models.ranker.ranking_recommender import RankingRecommender
from models.recommenders.export import Served
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.sessions.session_batches import batches_of_sessions
from models.sessions.session_recommender import SessionRecommender
from models.sessions.transformer_config import TransformerConfig
from models.tables.network import Config
from models.tables.state import ModelState
from models.two_tower.basket_batches import EventBatches, tower_batches
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.conftest import CONFIG, make_world, wordless
from tests.models.scoring import scored
from tests.models.tiny_two_stage import queries_of

WORLD = make_world()
RECIPE = Recipe(epochs=2, learning_rate=0.1, batch_size=16, seed=3)


class Family:
    """What the suite needs of a family. Methods whose default suits need no override.

    Attributes:
        facade: with create, restore, grow, save and parameters; if `answers`, with user_keys,
            item_keys, score and top_k, and export.
        config: small, and otherwise as it is used.
        untouched: rows of the keyed tables that `fit(few=True)` doesn't touch, by entity.
        answers: whether it retrieves: scores every item for a query.
        one_network: whether all of it is one network with one batches.
        served: what answers from what `export` wrote.
    """

    facade: type
    config: Config
    untouched: dict[str, np.ndarray] = {}
    answers = True
    one_network = True
    served: type = Served

    def create(self, seed: int = 7) -> Any:
        """The model, grown to know the shop, not trained."""
        model = self.facade.create(self.config, seed)
        model.add_ids(WORLD.user_keys, WORLD.items)
        return model

    def restore(self, folder: Path) -> Any:
        return self.facade.restore(folder)

    def states(self, model: Any) -> dict[str, ModelState]:
        """All that it consists of, by name."""
        return {"": model._state}

    def batches(self, model: Any, recipe: Recipe) -> BatchSource:
        """All examples of the shop."""
        raise NotImplementedError

    def fit(self, model: Any, recipe: Recipe, few: bool = False) -> TrainingReport:
        """Trains on the shop's examples, or on a few of users 1001 and 1003 alone."""
        raise NotImplementedError

    def add_ids(self, model: Any) -> tuple[int, int]:
        """Two users and three items more, and a known one of each."""
        words = np.array([[1, 3, 0], [2, 0, 0], [0, 0, 0], [1, 3, 0]], np.int32)
        return model.add_ids(
            np.array([2001, 1001, 2002]), Items(np.array([901, 902, 903, 501]), words)
        )

    def queries(self) -> Queries:
        """One query per user of the shop."""
        return WORLD.queries

    def strangers(self) -> Queries:
        """An unknown user and an anonymous one, of whom nothing else is known."""
        return Queries(
            np.array([88_888, 0], np.int64),
            np.zeros((2, 5), np.int64),
            np.zeros((2, 2), np.float32),
        )

    def export(self, model: Any, folder: Path) -> None:
        model.export(folder)

    def answer(self, model: Any) -> np.ndarray:
        """What it says of the shop's users and items: float32."""
        return scored(model, self.queries(), WORLD.items.item_keys)

    def answer_strangers(self, model: Any) -> np.ndarray:
        """What it says to whom it doesn't know: float32, one row for each of two."""
        return scored(model, self.strangers(), WORLD.items.item_keys)


class TwoTowerFamily(Family):
    facade = TwoTowerRecommender
    config = CONFIG
    # The histories of users 1001 and 1003 are among the first 15 items.
    untouched = {"users": np.array([2, *range(4, 21)]), "items": np.arange(16, 31)}

    def batches(self, model, recipe):  # type: ignore[no-untyped-def]
        return EventBatches(model._state, WORLD.queries, WORLD.interactions, recipe)

    def fit(self, model, recipe, few=False):  # type: ignore[no-untyped-def]
        interactions = WORLD.interactions
        if few:
            query = np.array([0, 2, 0], np.int32)
            interactions = Interactions(query, np.array([501, 502, 503]), np.ones(3, np.float32))
        return model.fit(WORLD.queries, interactions, recipe)


class RatingFamily(Family):
    facade = RatingRecommender
    config = FactorisationConfig(
        dimension=4, centre=3.5, lowest=1.0, highest=5.0, word_buckets=32, words_per_item=3
    )
    untouched = {"users": np.array([2, *range(4, 21)]), "items": np.arange(4, 31)}

    def ratings(self, few: bool = False) -> Ratings:
        """Four stars for what was bought, and two for an item of the other half."""
        if few:
            users, items = np.array([1001, 1003, 1001]), np.array([501, 502, 503])
            return Ratings(users, items, np.full(3, 4.0, np.float32), np.ones(3, np.float32))
        bought = WORLD.interactions.item_keys
        users = WORLD.user_keys[WORLD.interactions.query]
        other = 501 + (bought - 501 + 15) % 30
        return Ratings(
            np.concatenate([users, users]),
            np.concatenate([bought, other]),
            np.repeat([4.0, 2.0], len(users)).astype(np.float32),
            np.ones(2 * len(users), np.float32),
        )

    def batches(self, model, recipe):  # type: ignore[no-untyped-def]
        return RatingBatches(model._state, self.ratings(), recipe)

    def fit(self, model, recipe, few=False):  # type: ignore[no-untyped-def]
        return model.fit(self.ratings(few), recipe)


class ImplicitFamily(RatingFamily):
    """Choices, and zeros drawn from the whole catalogue: any item may be touched."""

    config = FactorisationConfig(
        dimension=4, uniform_negatives=8, word_buckets=32, words_per_item=3
    )
    untouched = {"users": np.array([2, *range(4, 21)])}

    def ratings(self, few: bool = False) -> Ratings:
        ratings = super().ratings(few)
        bought = ratings.take(ratings.values > 3)
        return Ratings(
            bought.user_keys, bought.item_keys, np.ones_like(bought.values), bought.weights
        )


class BasketFamily(TwoTowerFamily):
    """Two towers that learn baskets: every item of the catalogue is a negative."""

    config = dataclasses.replace(CONFIG, loss="basket")
    untouched = {"users": np.array([2, *range(4, 21)])}

    def batches(self, model, recipe):  # type: ignore[no-untyped-def]
        return tower_batches(model._state, WORLD.queries, WORLD.interactions, recipe)


class TransformerFamily(Family):
    """Sessions: what each user bought, in order. Rows of items alone."""

    facade = SessionRecommender
    config = TransformerConfig(
        dimension=8, history_length=5, heads=2, uniform_negatives=8, memory_neighbours=8
    )
    # Negatives are drawn among the update's own items.
    untouched = {"items": np.arange(16, 31)}

    def sessions(self, few: bool = False) -> Sessions:
        kept = np.isin(WORLD.interactions.query, [0, 2]) if few else slice(None)
        return sessions_of(
            WORLD.interactions.query[kept].astype(np.int64), WORLD.interactions.item_keys[kept]
        )

    def create(self, seed=7):  # type: ignore[no-untyped-def]
        model = super().create(seed)
        model.meet(self.sessions())
        return model

    def batches(self, model, recipe):  # type: ignore[no-untyped-def]
        return batches_of_sessions(model._state, self.sessions(), recipe)

    def fit(self, model, recipe, few=False):  # type: ignore[no-untyped-def]
        return model.fit(self.sessions(few), recipe)


class RankerFamily(Family):
    """Single examples with ids and features. It ranks what others retrieve."""

    facade = RankingRecommender
    config = RankerConfig(
        feature_width=3, dimension=4, hidden=(4,), second_head="value", loss="pointwise"
    )
    untouched = {"users": np.array([2, *range(4, 21)]), "items": np.arange(4, 31)}
    answers = False

    def create(self, seed=7):  # type: ignore[no-untyped-def]
        model = self.facade.create(self.config, seed)
        model.add_ids(WORLD.user_keys, wordless(WORLD.items.item_keys))
        return model

    def add_ids(self, model):  # type: ignore[no-untyped-def]
        return model.add_ids(np.array([2001, 1001, 2002]), wordless(np.array([501, 901, 902, 903])))

    def examples(self, few: bool = False) -> RankingExamples:
        """What was bought and, for each, what wasn't; the first feature nearly tells."""
        bought = WORLD.interactions.item_keys
        users = WORLD.user_keys[WORLD.interactions.query]
        if few:
            bought, users = np.array([501, 502, 503]), np.array([1001, 1003, 1001])
        other = bought if few else 501 + (bought - 501 + 15) % 30
        labels = np.repeat([1.0, 0.0], len(users)).astype(np.float32)
        features = np.random.default_rng(0).random((2 * len(users), 3)).astype(np.float32)
        features[:, 0] += labels
        keys = np.concatenate([users, users]), np.concatenate([bought, other])
        return RankingExamples(*keys, features, labels, np.ones_like(labels), 2 * labels)

    def batches(self, model, recipe):  # type: ignore[no-untyped-def]
        return PairBatches(model._state, self.examples(), recipe)

    def fit(self, model, recipe, few=False):  # type: ignore[no-untyped-def]
        return model.fit(self.examples(few), recipe)

    def answer(self, model):  # type: ignore[no-untyped-def]
        examples = self.examples()
        return model.predict(examples.user_keys, examples.item_keys, examples.features)

    def answer_strangers(self, model):  # type: ignore[no-untyped-def]
        features = np.tile(self.examples().features[:1], (2, 1))
        keys = np.array([88_888, 0], np.int64)
        return model.predict(keys, np.array([77_777, 0]), features)[:, None]


class RetrieveAndRankFamily(Family):
    """The default recommender. Every item is a candidate, so top_k is the sort of the scores."""

    facade = RetrieveAndRank
    config = RetrieveAndRankConfig(
        retrieval=dataclasses.replace(CONFIG, loss="basket"),
        item_statistics=2,
        retrieved=60,
        hidden=(8,),
    )
    untouched = {"users": np.array([2, *range(4, 21)])}
    one_network = False
    served = ServedRanker

    def export(self, model, folder):  # type: ignore[no-untyped-def]
        model.export(folder, self.queries())

    def states(self, model):  # type: ignore[no-untyped-def]
        return {"towers ": model.towers, "ranker ": model.ranker_state}

    def fit(self, model, recipe, few=False):  # type: ignore[no-untyped-def]
        interactions = WORLD.interactions
        if few:
            query = np.array([0, 2, 0], np.int32)
            interactions = Interactions(query, np.array([501, 502, 503]), np.ones(3, np.float32))
        first = model.fit(self.queries(), interactions, recipe, ranker=recipe)
        if model.ranks:
            return first
        # The ranker learns from what trained towers say of a window that they haven't learned.
        last = model.fit(self.queries(), interactions, recipe, ranker=recipe)
        return dataclasses.replace(last, first_loss=first.first_loss)

    def queries(self):  # type: ignore[no-untyped-def]
        return queries_of(WORLD)

    def strangers(self):  # type: ignore[no-untyped-def]
        known = self.queries()
        return dataclasses.replace(super().strangers(), own=OwnItems.none(2), items=known.items)


FAMILIES: dict[str, type[Family]] = {
    "two_tower": TwoTowerFamily,
    "basket": BasketFamily,
    "factorisation": RatingFamily,
    "implicit": ImplicitFamily,
    "transformer": TransformerFamily,
    "ranker": RankerFamily,
    "cascade": RetrieveAndRankFamily,
}
