"""The two stages of a cascade, as functions of its states: logits, candidates, scores, the best.

Neighbours: `models.ordering.candidates` makes features from arrays; `models.ordering.cascade` is
the facade.
"""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from models.arrays import Float32Array, Int64Array, Interactions, Queries
from models.asking import blocks
from models.backend import tf
from models.learning.graphs import compiled
from models.ordering.candidates import CandidateLists, candidate_lists
from models.ordering.ranker_config import CascadeConfig
from models.ordering.ranking_feed import labels_of
from models.ordering.ranking_recommender import pair_scores
from models.retrieval.interaction_feed import translate
from models.state import ModelState

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
            table = network.item_vectors(tf.range(1, items + 1))
            return tf.linalg.matmul(vectors, table, transpose_b=True) / network.temperature

        return logits.get_concrete_function()

    result: Float32Array = compiled(towers, "logits", trace)(
        *translate(towers, queries), np.int64(len(towers.items))
    ).numpy()
    return result


def candidates_of(
    config: CascadeConfig, towers: ModelState, queries: Queries, shown: np.ndarray, retrieved: int
) -> CandidateLists:
    """Candidates of one block of queries; shown bool [B, items], in row order."""
    return candidate_lists(
        queries,
        towers.items.keys,
        retrieval_logits(towers, queries),
        shown,
        retrieved,
        config.popular,
        config.popularity_column,
        config.item_statistics,
    )


def tested(
    config: CascadeConfig, towers: ModelState, queries: Queries, interactions: Interactions
) -> Tested:
    """A window's candidates, by towers that are about to learn from it."""
    items = len(towers.items)
    parts = [
        candidates_of(
            config,
            towers,
            queries.take(block),
            np.broadcast_to(np.True_, (block.stop - block.start, items)),
            config.retrieved,
        )
        for block in blocks(len(queries), items)
    ]
    lists = joined(parts)
    return lists, labels_of(lists, interactions)


def for_retrieval(
    config: CascadeConfig, queries: Queries, interactions: Interactions
) -> Interactions:
    """The interactions as the towers learn them: repeats weigh less."""
    if queries.own is None or config.repeat_weight == 1.0:
        return interactions
    repeated = queries.own.holds(interactions.query, interactions.item_keys)
    if not config.repeat_weight and repeated.all():
        return interactions
    scale = np.where(repeated, np.float32(config.repeat_weight), np.float32(1.0))
    return replace(interactions, weights=interactions.weights * scale)


def ranked_scores(ranker: ModelState, lists: CandidateLists) -> Float32Array:
    """float32 [N]; those of retrieval, until the ranker has learned something."""
    if not ranker.steps:
        return lists.features[:, 0]
    return pair_scores(ranker, lists.features)


def best_of_lists(
    lists: CandidateLists, scores: Float32Array, k: int
) -> tuple[Int64Array, Float32Array]:
    """The k best of each list: keys int64 [B, k] and scores float32 [B, k], 0 and -inf after its
    end. Ties go to the earlier candidate."""
    owners = lists.owners()
    order = np.lexsort((-scores, owners))
    rank = np.arange(len(order)) - lists.offsets[owners]
    kept, place = order[rank < k], rank[rank < k]
    keys = np.zeros((len(lists), k), np.int64)
    best = np.full((len(lists), k), -np.inf, np.float32)
    keys[owners[kept], place] = lists.item_keys[kept]
    best[owners[kept], place] = scores[kept]
    return keys, best


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
