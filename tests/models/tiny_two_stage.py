"""The default recommender on the small made-up shop: what it is asked, and what was chosen."""

import dataclasses

import numpy as np

from models.data.queries import Interactions, ItemStatistics, OwnItems, Queries
from models.learning.recipes import Recipe
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.two_tower.tower_config import ModelConfig
from tests.models.conftest import World

CONFIG = RetrieveAndRankConfig(
    retrieval=ModelConfig(
        dimension=8, history_length=5, statistics_width=2, word_buckets=32, words_per_item=3,
        loss="basket",
    ),
    item_statistics=2, retrieved=8, popular=3, hidden=(8,),
)  # fmt: skip
TOWERS = Recipe(epochs=10, learning_rate=0.1, batch_size=5, dropout=0.2, seed=3)
RANKER = Recipe(epochs=10, learning_rate=0.1, batch_size=5, seed=3)


def queries_of(world: World) -> Queries:
    """The world's queries; each user's history is also what it owns, bought on one day."""
    history = world.queries.history
    owned = [np.unique(row[row > 0]) for row in history]
    offsets = np.cumsum([0, *map(len, owned)])
    keys = np.concatenate(owned)
    values = np.tile(np.array([2, 1, 9, 9, 1.0, 1.8], np.float32), (len(keys), 1))
    totals = np.column_stack([np.diff(offsets) * 2, np.ones(len(history))]).astype(np.float32)
    popularity = np.linspace(0, 2, len(world.items)).astype(np.float32)
    statistics = np.stack([popularity, popularity], axis=1)[None]
    return dataclasses.replace(
        world.queries,
        own=OwnItems(offsets, keys, values, totals),
        items=ItemStatistics(world.items.item_keys, statistics),
    )


def loyal(world: World) -> Interactions:
    """Users 0 to 9 choose what they own; the others what they don't, of their own taste."""
    query, chosen = [], []
    for user, row in enumerate(world.queries.history):
        owned = np.unique(row[row > 0])
        half = world.items.item_keys.reshape(2, -1)[user % 2]
        choice = owned if user < 10 else np.setdiff1d(half, owned)[:4]
        query += [user] * len(choice)
        chosen += choice.tolist()
    return Interactions(
        np.array(query, np.int32), np.array(chosen), np.ones(len(query), np.float32)
    )


def new_model(world: World, config: RetrieveAndRankConfig = CONFIG) -> RetrieveAndRank:
    model = RetrieveAndRank.create(config, seed=7)
    model.add_ids(world.user_keys, world.items)
    return model


def trained(world: World) -> RetrieveAndRank:
    model = new_model(world)
    queries = queries_of(world)
    model.rebuild(
        (queries, world.interactions),
        [(queries, loyal(world)), (queries, loyal(world))],
        TOWERS,
        dataclasses.replace(TOWERS, epochs=2),
        ranker=RANKER,
    )
    return model
