"""Ranking everything for everybody: ours in blocks, against FactorizedTopK with its defaults."""

from __future__ import annotations

import numpy as np

from benchmarks.speed_data import ML1M_ITEMS, ML1M_USERS, Ratings, make_ratings
from benchmarks.speed_throughput import DIMENSION, ids_only
from benchmarks.speed_timing import Ratio, costs, cpu_seconds

K = 20
SHARED_KS = (1, 5, 10)
"""Of FactorizedTopK's default values of k, those within our first 20."""


def against_factorized_top_k(
    repeats: int, users: int = ML1M_USERS, items: int = ML1M_ITEMS
) -> tuple[dict[str, Ratio], dict[str, list[float]]]:
    """Hit rates over the whole catalogue, one relevant item per user.

    Returns:
        The ratio, and the metric's values by both, which should be equal.
    """
    from models.learning.recipes import Recipe
    from models.tables.backend import tf, tfrs
    from models.two_tower.tower_recommender import TwoTowerRecommender

    ratings: Ratings = make_ratings(20 * users, users, items)
    model = TwoTowerRecommender.create(ids_only(DIMENSION), seed=0)
    queries = ratings.queries()
    model.add_ids(queries.user_keys, ratings.catalogue())
    model.fit(queries, ratings.interactions(), Recipe(epochs=1, learning_rate=0.1, batch_size=512))
    rng = np.random.default_rng(0)
    relevant = rng.integers(1, items + 1, users)
    found: dict[str, list[float]] = {}

    def ours() -> None:
        keys, _ = model.top_k(queries, K)
        hit = keys == relevant[:, None]
        found["ours"] = [float(hit[:, :k].any(axis=1).mean()) for k in SHARED_KS]

    network = model._state.network
    empty = tf.zeros([users, 0], tf.int64), tf.zeros([users, 0])
    # Rows are keys here: both count from 1.
    query_vectors = network.query_vectors(tf.constant(queries.user_keys), *empty)
    item_vectors = network.item_vectors(tf.range(1, items + 1, dtype=tf.int64))
    names = tf.range(1, items + 1, dtype=tf.int64)
    candidates = tf.data.Dataset.from_tensor_slices((names, item_vectors)).batch(128)
    metric = tfrs.metrics.FactorizedTopK(candidates)
    positives = tf.gather(item_vectors, relevant - 1)
    ids = tf.constant(relevant)[:, None]

    def theirs() -> None:
        metric.reset_states()
        metric.update_state(query_vectors, positives, ids)
        values = dict(zip(metric._ks, metric.result(), strict=True))
        found["theirs"] = [float(values[k]) for k in SHARED_KS]

    seconds = cpu_seconds({"ours": ours, "theirs": theirs}, repeats)
    ratio = costs(seconds["ours"], seconds["theirs"], "CPU s per ranking")
    return {f"FactorizedTopK, {users:,} x {items:,}": ratio}, found
