"""The two stages as functions of their states: logits, candidates, features, scores, the best.

A query's candidates are the items that its user chose before, the best of retrieval and the most
popular of late. Each has one row of features, all of them known before the query: the retrieval score
(by a model that hasn't learned from the query yet: test, then train), the user's own purchases of the
item, the user's and the item's statistics. `models.retrieve_and_rank.retrieve_and_rank` is the facade.
"""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from models.cooccurrence.pair_memory import PairMemory
from models.cooccurrence.pair_scores import Together
from models.data.checks import Float32Array, Int64Array
from models.data.queries import Interactions, OwnItems, Queries
from models.data.ragged import look_up
from models.learning.graphs import compiled
from models.learning.recipes import Recipe
from models.ranker.list_batches import labels_of
from models.ranker.pair_features import statistics_of_pool
from models.ranker.ranker_config import CandidateLists
from models.ranker.ranking_recommender import pair_scores
from models.recommenders.retriever import translate
from models.recommenders.top_k import blocks
from models.retrieve_and_rank.candidates import Pool, candidate_lists
from models.retrieve_and_rank.retrieval_scores import NOTHING, Hidden, ScoreTable
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.tables.backend import tf
from models.tables.packing import as_exported, packing_of
from models.tables.state import ModelState

Learned = tuple[Queries, Interactions]
"""What was asked and what was chosen."""
MOST_LISTS = 40_000
"""Queries that a ranker learns from at a time. Lists take 24 KB each in memory and more time than all
else, and a ranker has some thousand weights."""
Tested = tuple[CandidateLists, Float32Array]
"""Candidates as the towers saw them before they learned, and the weight with which each was
chosen."""


def retrieval_logits(towers: ModelState, queries: Queries) -> Float32Array:
    """The towers' logits of every item known, in row order: float32 [B, items]."""
    network, config = towers.network, towers.config

    def trace() -> Any:
        spec = tf.TensorSpec

        @tf.function(
            autograph=False,
            input_signature=[
                spec([None], tf.int64),
                spec([None, config.history_length], tf.int64),
                spec([None, config.statistics_width], tf.float32),
                spec([], tf.int64),
            ],
        )
        def logits(users, history, statistics, items):  # type: ignore[no-untyped-def]
            vectors = network.query_vectors(users, history, statistics)
            table = as_exported(towers, network.item_vectors(tf.range(1, items + 1)))
            return tf.linalg.matmul(vectors, table, transpose_b=True) / network.temperature

        return logits.get_concrete_function()

    result: Float32Array = compiled(towers, f"logits, {packing_of(towers)}", trace)(
        *translate(towers, queries), np.int64(len(towers.items))
    ).numpy()
    return result


def candidates_of(
    config: RetrieveAndRankConfig,
    towers: ModelState,
    queries: Queries,
    hidden: Hidden,
    retrieved: int,
) -> CandidateLists:
    """Candidates of one block of queries, of all items in row order."""
    queries = queries.with_kinds(config.kinds)
    statistics, moments = statistics_of_pool(queries, towers.items.keys, config.item_statistics)
    return candidate_lists(
        queries,
        Pool.of(towers.items, statistics, config.popular, config.popularity_column),
        moments,
        ScoreTable(retrieval_logits(towers, queries)),
        hidden,
        retrieved,
        found_together(config, towers, queries),
    )


def memory_of(config: RetrieveAndRankConfig, towers: ModelState) -> PairMemory | None:
    """What the recommender remembers of pairs of items; None: its configuration has none."""
    if not config.neighbours:
        return None
    return PairMemory.of(towers.extra) or PairMemory.empty(config.neighbours)


def found_together(
    config: RetrieveAndRankConfig, towers: ModelState, queries: Queries
) -> Together | None:
    """What the memory says of these queries; None: there is none."""
    memory = memory_of(config, towers)
    if memory is None:
        return None
    own = queries.own if queries.own is not None else OwnItems.none(len(queries))
    return Together.of(memory, own, towers.items.rows(own.item_keys), config.together)


def tested(
    config: RetrieveAndRankConfig,
    towers: ModelState,
    queries: Queries,
    interactions: Interactions,
    recipe: Recipe,
    windows: int,
) -> Tested:
    """A window's candidates, by towers that are about to learn from it.

    Args:
        recipe: the ranker's; where there are many queries, its seed draws those that it learns from.
        windows: how many are tested, and learnt from together.
    """
    most = max(1, MOST_LISTS // windows)
    if len(queries) > most:
        drawn = np.random.default_rng(recipe.seed).choice(len(queries), most, replace=False)
        queries, interactions = _of_queries(queries, interactions, np.sort(drawn))
    items = len(towers.items)
    parts = [
        candidates_of(
            config,
            towers,
            queries.take(block),
            NOTHING,
            config.retrieved,
        )
        for block in blocks(len(queries), items)
    ]
    lists = joined(parts)
    return lists, labels_of(lists, interactions)


def _of_queries(queries: Queries, interactions: Interactions, chosen: Int64Array) -> Learned:
    """These queries (int64 [n], ascending), with what they chose."""
    found, place = look_up(chosen, np.asarray(interactions.query, np.int64))
    kept = Interactions(
        place[found].astype(np.int32), interactions.item_keys[found], interactions.weights[found]
    )
    return queries.take(chosen), kept


def for_retrieval(
    config: RetrieveAndRankConfig, queries: Queries, interactions: Interactions
) -> Interactions:
    """The interactions as the towers learn them: repeats weigh less."""
    if queries.own is None or config.repeat_weight == 1.0:
        return interactions
    repeated = queries.own.holds(interactions.query, interactions.item_keys)
    if not config.repeat_weight and repeated.all():
        return interactions
    scale = np.where(repeated, np.float32(config.repeat_weight), np.float32(1.0))
    return replace(interactions, weights=interactions.weights * scale)


def touched_rows(
    towers: ModelState, queries: Queries, interactions: Interactions
) -> dict[str, np.ndarray]:
    """How many times these events are about each row of the towers' keyed tables: [rows] by table."""
    users = towers.users.rows(queries.user_keys[interactions.query])
    items = towers.items.rows(interactions.item_keys)
    history = towers.items.rows(queries.history[:, : towers.config.history_length]).ravel()
    counts = {
        "users": np.bincount(users, minlength=len(towers.users) + 1),
        "items": np.bincount(items, minlength=len(towers.items) + 1),
        "history": np.bincount(history, minlength=len(towers.items) + 1),
    }
    for array in counts.values():
        array[0] = 0
    keyed = towers.network.keyed.items()
    return {n: counts["history" if n == "history" else entity] for n, entity in keyed}


def ranked_scores(ranker: ModelState, lists: CandidateLists) -> Float32Array:
    """float32 [N]; those of retrieval, until the ranker has learned something."""
    if not ranker.steps:
        return lists.features[:, 0]
    return pair_scores(ranker, lists.features)


def joined(parts: list[CandidateLists]) -> CandidateLists:
    """The lists of all parts, in order; at least one part.

    Each part is taken out of `parts` as soon as it is copied: the features are large.
    """
    if len(parts) == 1:
        return parts.pop()
    starts = np.cumsum([0, *(len(part.item_keys) for part in parts)])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts, strict=False)]
    keys = np.empty(starts[-1], np.int64)
    features = np.empty((starts[-1], parts[0].features.shape[1]), np.float32)
    for low, high in itertools.pairwise(starts.tolist()):
        part = parts.pop(0)
        keys[low:high], features[low:high] = part.item_keys, part.features
    return CandidateLists(np.concatenate([*offsets, starts[-1:]]), keys, features)
