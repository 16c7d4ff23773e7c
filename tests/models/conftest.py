"""A small made-up shop: two tastes, each with its own users, items and words."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from models.data.queries import Interactions, Items, Queries
from models.learning.recipes import Recipe
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.two_tower.tower_config import ModelConfig
from models.two_tower.tower_recommender import TwoTowerRecommender

CONFIG = ModelConfig(
    dimension=8,
    history_length=5,
    statistics_width=2,
    word_buckets=32,
    words_per_item=3,
    temperature=0.2,
    uniform_negatives=0,
)
RECIPE = Recipe(epochs=3, learning_rate=0.1, batch_size=16, dropout=0.2, user_dropout=0.2, seed=3)
WARM_UP = dataclasses.replace(RECIPE, epochs=10)
"""Ten epochs of eight steps: enough to tell the two tastes apart."""


@dataclass(frozen=True)
class World:
    """20 users (keys 1001…), 30 items (keys 501…); even users buy the first 15 items."""

    user_keys: np.ndarray
    items: Items
    queries: Queries
    interactions: Interactions


def make_world(seed: int = 0, users: int = 20, items: int = 30) -> World:
    rng = np.random.default_rng(seed)
    user_keys = 1001 + np.arange(users)
    item_keys = 501 + np.arange(items)
    half = items // 2
    words = np.zeros((items, 3), np.int32)
    words[:, 0] = np.where(np.arange(items) < half, 1, 2)
    words[:, 1] = 3 + np.arange(items) % 20
    history = np.zeros((users, 5), np.int64)
    query, chosen = [], []
    for user in range(users):
        pool = item_keys[:half] if user % 2 == 0 else item_keys[half:]
        history[user, :4] = rng.choice(pool, 4)
        query += [user] * 6
        chosen += rng.choice(pool, 6, replace=False).tolist()
    return World(
        user_keys,
        Items(item_keys, words),
        Queries(user_keys, history, rng.random((users, 2)).astype(np.float32)),
        Interactions(
            np.array(query, np.int32),
            np.array(chosen, np.int64),
            np.ones(len(query), np.float32),
        ),
    )


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def recipe() -> Recipe:
    return RECIPE


@pytest.fixture
def make_model(world: World) -> Callable[..., TwoTowerRecommender]:
    """Makes a model of the small shop that has grown, and is trained unless told otherwise."""

    def make(
        config: ModelConfig = CONFIG, trained: bool = True, seed: int = 7
    ) -> TwoTowerRecommender:
        model = TwoTowerRecommender.create(config, seed)
        model.add_ids(world.user_keys, world.items)
        if trained:
            model.fit(world.queries, world.interactions, WARM_UP)
        return model

    return make


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small shop's trained model, saved: restoring is faster than training again."""
    world = make_world()
    model = TwoTowerRecommender.create(CONFIG, seed=7)
    model.add_ids(world.user_keys, world.items)
    model.fit(world.queries, world.interactions, WARM_UP)
    folder = tmp_path_factory.mktemp("trained") / "model"
    model.save(folder)
    return folder


@pytest.fixture
def model(trained_folder: Path) -> TwoTowerRecommender:
    """The small shop's trained model, a fresh copy for each test."""
    return TwoTowerRecommender.restore(trained_folder)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default recommender, trained on the small shop and saved."""
    from tests.models.tiny_two_stage import trained

    folder = tmp_path_factory.mktemp("cascade") / "saved"
    trained(make_world()).save(folder)
    return folder


@pytest.fixture
def cascade(model_folder: Path) -> RetrieveAndRank:
    """The small shop's default recommender, a fresh copy for each test."""
    return RetrieveAndRank.restore(model_folder)


def wordless(item_keys: np.ndarray) -> Items:
    """Items without content."""
    return Items(item_keys, np.zeros((len(item_keys), 0), np.int32))
