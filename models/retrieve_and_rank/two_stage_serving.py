"""Both stages in one graph: what a release answers with, judged and served alike.

    scores  user_row, history_rows, statistics, candidate_rows int64 [B, C]
            -> scores float32 [B, C]; -inf for row 0
    top_k   user_row, history_rows, statistics, exclude_rows int64 [B, E], k
            -> rows, keys, scores, as `models.recommenders.export` gives them
    top_k_of_own    the same, and what each user had chosen before: own_rows int64 [B, O],
            own_values float32 [B, O, 6] (`models.data.queries.OWN_COLUMNS`; an entry without
            purchases is padding), own_totals float32 [B, 2] (`TOTAL_COLUMNS`)
    serving_default = top_k

The ranker needs what the user had chosen before, item by item, and statistics of all items, which a
server that has the model alone can look up nowhere. So the export carries both as of the day it
is written: `top_k` and `scores` answer from that, and `top_k_of_own` from what the caller knows.

The arithmetic is that of `models.retrieve_and_rank.two_stages`, line by line; a test holds one against
the other.
"""

import numpy as np

from models.data.queries import Queries
from models.ranker.ranker_config import LEAST_RETRIEVAL
from models.ranker.ranker_serving import (
    OwnOfUsers,
    RankerServing,
    features_of,
    fixed,
    own_given,
    own_signature,
    placed,
    statistics_of_rows,
)
from models.recommenders.export import Serving, asked_k, best_rows, endpoint, query_signature
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.retrieve_and_rank.two_stages import most_popular
from models.tables.backend import tf
from models.tables.state import ModelState


class TwoStageServing(tf.Module):
    """What is needed to answer with both stages.

    Args:
        known: of users, `own`; of items, `items`; as of the release, one moment. None: nothing.
    """

    def __init__(
        self,
        config: RetrieveAndRankConfig,
        towers: ModelState,
        ranker: ModelState,
        known: Queries | None,
    ) -> None:
        super().__init__(name="recloop_retrieve_and_rank")
        self._config = config
        self.retrieval = Serving(towers)
        self.ranker = RankerServing(ranker)
        keys = towers.items.keys
        statistics = statistics_of_rows(towers, known, config.item_statistics)
        popular = np.zeros((1, len(keys) + 1), np.bool_)
        if config.popular and 0 <= config.popularity_column < config.item_statistics:
            popular[:, 1:] = most_popular(
                statistics[None, 1:, config.popularity_column], config.popular
            )
        self.statistics = fixed(statistics)
        self.popular = fixed(popular)
        self.own = OwnOfUsers(towers, known)
        spec, query = tf.TensorSpec, query_signature(towers.config)
        lists = [spec([None, None], tf.int64, "exclude_rows"), spec(None, tf.int32, "k")]
        candidates = spec([None, None], tf.int64, "candidate_rows")
        top_k = endpoint(self._top_k, [*query, *lists])
        self.endpoints = {
            "scores": endpoint(self._scores, [*query, candidates]),
            "top_k": top_k,
            "top_k_of_own": endpoint(self._top_k_of_own, [*query, *lists, *own_signature()]),
            "serving_default": top_k,
        }

    def _scores(self, user_row, history_rows, statistics, candidate_rows):  # type: ignore[no-untyped-def]
        query = (user_row, history_rows, statistics)
        scores, position, own = self._seen(query, self.own.of(user_row))
        row = tf.repeat(tf.range(tf.size(user_row)), tf.shape(candidate_rows)[1])
        pairs = tf.stack([row, tf.cast(tf.reshape(candidate_rows, [-1]), tf.int32)], axis=1)
        ranked = self.ranker.rank(self._features(pairs, scores, position, own, statistics))
        shaped = tf.reshape(ranked, tf.shape(candidate_rows))
        return {"scores": tf.where(candidate_rows > 0, shaped, -np.inf)}

    def _top_k(self, user_row, history_rows, statistics, exclude_rows, k):  # type: ignore[no-untyped-def]
        query = (user_row, history_rows, statistics)
        return self._best(query, exclude_rows, k, self.own.of(user_row))

    def _top_k_of_own(  # type: ignore[no-untyped-def]
        self, user_row, history_rows, statistics, exclude_rows, k, own_rows, own_values, own_totals
    ):
        own = own_given(own_rows, own_values, own_totals)
        return self._best((user_row, history_rows, statistics), exclude_rows, k, own)

    def _best(self, query, exclude_rows, k, own):  # type: ignore[no-untyped-def]
        scores, position, own = self._seen(query, own)
        count, width = tf.shape(scores)[0], tf.shape(scores)[1]
        k = asked_k(k, count, width - 1)
        shown = scores > -np.inf
        owner = tf.repeat(tf.range(count), tf.shape(exclude_rows)[1])
        banned = tf.stack([owner, tf.cast(tf.reshape(exclude_rows, [-1]), tf.int32)], axis=1)
        shown = tf.tensor_scatter_nd_update(shown, banned, tf.zeros_like(owner, tf.bool))
        # The best by retrieval: as many as are asked for, so that whatever is excluded, enough are
        # left. Ties at the edge are all in.
        allowed = tf.where(shown, scores, -np.inf)
        each = tf.minimum(tf.maximum(k, self._config.retrieved), width)
        sorted_scores = tf.math.top_k(allowed, tf.reduce_max(each, keepdims=True)[0]).values
        edge = tf.gather(sorted_scores, each - 1, batch_dims=1)[:, None]
        chosen = (position >= 0) | (allowed >= edge) | self.popular
        pairs = tf.cast(tf.where(chosen & shown), tf.int32)
        ranked = self.ranker.rank(self._features(pairs, scores, position, own, query[2]))
        nowhere = tf.fill(tf.shape(scores), -np.float32(np.inf))
        final = tf.tensor_scatter_nd_update(nowhere, pairs, ranked)
        return best_rows(final, k, self.retrieval.item_keys)

    def _seen(self, query, own):  # type: ignore[no-untyped-def]
        """Log probabilities by retrieval [B, items + 1] (row 0: -inf), where in `own` each pair
        stands [B, items + 1] (-1: nowhere), and `own` with the age of each user's latest."""
        logits = self.retrieval.logits(*query)
        largest = tf.reduce_max(logits, axis=1, keepdims=True)
        sums = tf.reduce_sum(tf.exp(logits - largest), axis=1, keepdims=True)
        scores = logits - (tf.math.log(sums) + largest)
        scores = tf.pad(scores, [[0, 0], [1, 0]], constant_values=-np.float32(np.inf))
        position, own = placed(own, tf.shape(scores))
        return scores, position, own

    def _features(self, pairs, scores, position, own, statistics):  # type: ignore[no-untyped-def]
        retrieval = tf.maximum(tf.gather_nd(scores, pairs), LEAST_RETRIEVAL)
        beside = tf.gather(statistics, pairs[:, 0]), tf.gather(self.statistics, pairs[:, 1])
        return features_of(pairs, retrieval, position, own, *beside)
