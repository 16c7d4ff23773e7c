"""The two-tower's past examples: events with the query that led to each, in keys."""

import dataclasses

import numpy as np

from models.arrays import Float32Array, Interactions, Queries
from models.backend import tf
from models.learning.feed import Feed
from models.learning.memory import Examples, take
from models.learning.recipes import Recipe
from models.retrieval.basket_feed import tower_feed
from models.retrieval.interaction_feed import translate
from models.state import ModelState

BLOCK_QUERIES = 8192


def examples_of(state: ModelState, queries: Queries, interactions: Interactions) -> Examples:
    """One example per event: `user_keys` int64 [N], `history` int64 [N, H] item keys (H: the
    configuration's), `statistics` float32 [N, S], `item_keys` int64 [N], `weights` float32 [N].

    For the basket loss also `group` int64 [N], the basket of each event: what reservoirs keep are
    then whole baskets, which the loss looks at once for all their events.
    """
    asked = interactions.query
    baskets = {}
    if state.config.loss == "basket":
        baskets["group"] = np.unique(asked, return_inverse=True)[1].astype(np.int64)
    return baskets | {
        "user_keys": queries.user_keys[asked],
        "history": queries.latest(state.config.history_length)[asked],
        "statistics": queries.statistics[asked],
        "item_keys": interactions.item_keys,
        "weights": interactions.weights,
    }


def arrays_of(examples: Examples) -> tuple[Queries, Interactions]:
    """The examples as arrays to learn from: a query per group, or per example."""
    first = np.arange(len(examples["item_keys"]))
    query = first
    if "group" in examples:
        _, first, query = np.unique(examples["group"], return_index=True, return_inverse=True)
    asked = take(examples, first)
    return (
        Queries(asked["user_keys"], asked["history"], asked["statistics"]),
        Interactions(query.astype(np.int32), examples["item_keys"], examples["weights"]),
    )


def feed_of(state: ModelState, examples: Examples, recipe: Recipe) -> Feed:
    """The examples as training takes them.

    Their sampling probabilities are those of a rehearsed batch, which is of `replay_share` times
    the size of a new one.
    """
    size = max(2, round(recipe.batch_size * (recipe.replay_share or 1.0)))
    return tower_feed(state, *arrays_of(examples), dataclasses.replace(recipe, batch_size=size))


def vectors_of(state: ModelState, examples: Examples) -> Float32Array:
    """What the model makes of each example's query, nothing hidden: float32 [n, d]."""
    queries, interactions = arrays_of(examples)
    vectors = [np.zeros((0, state.config.dimension), np.float32)]
    for low in range(0, len(queries), BLOCK_QUERIES):
        block = translate(state, queries.take(slice(low, low + BLOCK_QUERIES)))
        answered = state.network.query_vectors(*(tf.constant(array) for array in block))
        # A bias is one more column of ones: it tells no query from another.
        vectors.append(answered.numpy()[:, : state.config.dimension])
    return np.concatenate(vectors)[interactions.query]
