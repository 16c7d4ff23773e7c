"""Both stages in one graph: what a release answers with, judged and served alike.

    scores  user_row, history_rows, statistics, candidate_rows int64 [B, C]
            -> scores float32 [B, C]; -inf for row 0
    top_k   user_row, history_rows, statistics, exclude_rows int64 [B, E], k
            -> rows, keys, scores, as `models.recommenders.export` gives them
    top_k_of_own    the same, and what each user had chosen before: own_rows int64 [B, O],
            own_values float32 [B, O, 6 + K] (`models.data.queries.OWN_COLUMNS`, then events of each of
            the K kinds that are counted apart; an entry without purchases is padding), own_totals
            float32 [B, 2 + K] (`TOTAL_COLUMNS`, likewise)
    serving_default = top_k

The ranker needs what the user had chosen before, item by item, and statistics of all items, which a
server that has the model alone can look up nowhere. So the export carries both as of the day it
is written: `top_k` and `scores` answer from that, and `top_k_of_own` from what the caller knows.

The arithmetic is that of `models.retrieve_and_rank.two_stages`, line by line; a test holds one against
the other.
"""

import numpy as np

from models.cooccurrence.served_pairs import ServedPairs
from models.data.queries import Queries
from models.ranker.ranker_config import LEAST_RETRIEVAL
from models.ranker.ranker_serving import PairServing, features_of, fixed, placed
from models.recommenders.export import Serving, asked_k, best_rows, without
from models.retrieve_and_rank.candidates import most_popular
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.retrieve_and_rank.two_stages import memory_of
from models.tables.backend import tf
from models.tables.state import ModelState


class TwoStageServing(PairServing):
    """What is needed to answer with both stages."""

    def __init__(
        self,
        config: RetrieveAndRankConfig,
        towers: ModelState,
        ranker: ModelState,
        known: Queries | None,
    ) -> None:
        super().__init__("retrieve_and_rank", towers, ranker, known, config.item_statistics)
        self._config = config
        self.retrieval = Serving(towers)
        popular = np.zeros((1, len(towers.items) + 1), np.bool_)
        if config.popular and 0 <= config.popularity_column < config.item_statistics:
            column = self.statistics.numpy()[None, 1:, config.popularity_column]
            popular[:, 1:] = most_popular(column, config.popular)
        self.popular = fixed(popular)
        memory = memory_of(config, towers)
        self.pairs = (
            None if memory is None else ServedPairs(memory, len(towers.items) + 1, config.together)
        )

    def _of_pairs(self, query, own, pairs):  # type: ignore[no-untyped-def]
        return {"scores": self._ranked(pairs, query[2], self._found(own), *self._seen(query, own))}

    def _best(self, query, own, exclude_rows, k):  # type: ignore[no-untyped-def]
        together = self._found(own)
        scores, position, own = self._seen(query, own)
        k = asked_k(k, scores)
        # The best by retrieval: as many as are asked for, so that whatever is excluded, enough are
        # left. Ties at the edge are all in.
        allowed = without(scores, exclude_rows)
        shown = allowed > -np.inf
        each = tf.minimum(tf.maximum(k, self._config.retrieved), tf.shape(scores)[1])
        sorted_scores = tf.math.top_k(allowed, tf.reduce_max(each, keepdims=True)[0]).values
        edge = tf.gather(sorted_scores, each - 1, batch_dims=1)[:, None]
        chosen = (position >= 0) | (allowed >= edge) | self.popular
        if self.pairs is not None:
            chosen |= self.pairs.candidates(together, shown & (position < 0))
        pairs = tf.cast(tf.where(chosen & shown), tf.int32)
        ranked = self._ranked(pairs, query[2], together, scores, position, own)
        nowhere = tf.fill(tf.shape(scores), -np.float32(np.inf))
        final = tf.tensor_scatter_nd_update(nowhere, pairs, ranked)
        return best_rows(final, k, self.retrieval.item_keys)

    def _found(self, own):  # type: ignore[no-untyped-def]
        """What the memory of pairs says; None without one."""
        return None if self.pairs is None else self.pairs.found(own)

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

    def _ranked(self, pairs, statistics, together, scores, position, own):  # type: ignore[no-untyped-def]
        retrieval = tf.maximum(tf.gather_nd(scores, pairs), LEAST_RETRIEVAL)
        beside = tf.gather(statistics, pairs[:, 0]), tf.gather(self.statistics, pairs[:, 1])
        features = features_of(pairs, retrieval, position, own, *beside)
        if self.pairs is not None:
            more = self.pairs.features(together, pairs, position, own[0])
            features = tf.concat([features, more], axis=1)
        return self.ranker.rank(features)
