"""A click-through model in one graph, as an export answers: every item is scored.

scores  user_row, history_rows [B, 0], statistics, candidate_rows int64 [B, C]
        -> scores float32 [B, C], logits of the probability of a click; -inf for row 0; and, of a
        model that learned them, values float32 [B, C], what a click would be worth
top_k, top_k_of_own     as `models.retrieve_and_rank.two_stage_serving` has them
serving_default = top_k
"""

import numpy as np

from models.data.queries import Queries
from models.ranker.list_batches import VALUE_SCALE
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
from models.recommenders.export import asked_k, best_rows, endpoint, query_signature
from models.tables.backend import tf
from models.tables.state import ModelState


class ClickServing(tf.Module):
    """What is needed to answer.

    Args:
        known: of users, `own`; of items, `items`; as of the release, one moment. None: nothing.
    """

    def __init__(self, state: ModelState, known: Queries | None) -> None:
        super().__init__(name="recloop_click_through")
        self.ranker = RankerServing(state)
        self.item_keys = fixed(np.concatenate([np.zeros(1, np.int64), state.items.keys]))
        self.statistics = fixed(statistics_of_rows(state, known, state.config.item_statistics))
        self.own = OwnOfUsers(state, known)
        self.value_scale = None
        if state.config.second_head == "value" and VALUE_SCALE in state.extra:
            self.value_scale = tf.constant(state.extra[VALUE_SCALE])
        spec, query = tf.TensorSpec, query_signature(state.config)
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
        del history_rows
        count = tf.size(user_row)
        position, own = placed(self.own.of(user_row), [count, tf.size(self.item_keys)])
        row = tf.repeat(tf.range(count), tf.shape(candidate_rows)[1])
        pairs = tf.stack([row, tf.cast(tf.reshape(candidate_rows, [-1]), tf.int32)], axis=1)
        score, value = self._logits(pairs, position, own, user_row, statistics)
        shape = tf.shape(candidate_rows)
        answer = {"scores": tf.where(candidate_rows > 0, tf.reshape(score, shape), -np.inf)}
        if self.value_scale is not None:
            scaled = value * self.value_scale[1] + self.value_scale[0]
            answer["values"] = tf.reshape(scaled, shape)
        return answer

    def _top_k(self, user_row, history_rows, statistics, exclude_rows, k):  # type: ignore[no-untyped-def]
        del history_rows
        return self._best(user_row, statistics, exclude_rows, k, self.own.of(user_row))

    def _top_k_of_own(  # type: ignore[no-untyped-def]
        self, user_row, history_rows, statistics, exclude_rows, k, own_rows, own_values, own_totals
    ):
        del history_rows
        own = own_given(own_rows, own_values, own_totals)
        return self._best(user_row, statistics, exclude_rows, k, own)

    def _best(self, user_row, statistics, exclude_rows, k, own):  # type: ignore[no-untyped-def]
        count, width = tf.size(user_row), tf.size(self.item_keys)
        position, own = placed(own, [count, width])

        def of_query(query):  # type: ignore[no-untyped-def]
            # One query's features at a time: those of all would be B times as large.
            pairs = tf.stack([tf.fill([width], query), tf.range(width)], axis=1)
            return self._logits(pairs, position, own, user_row, statistics)[0]

        scores = tf.map_fn(of_query, tf.range(count), fn_output_signature=tf.float32)
        # The padding of exclude_rows is row 0, which is never to be shown either.
        banned = tf.concat([exclude_rows, tf.zeros([count, 1], tf.int64)], axis=1)
        owner = tf.repeat(tf.range(count), tf.shape(banned)[1])
        where = tf.stack([owner, tf.cast(tf.reshape(banned, [-1]), tf.int32)], axis=1)
        nowhere = tf.fill([tf.size(owner)], -np.float32(np.inf))
        scores = tf.tensor_scatter_nd_update(scores, where, nowhere)
        return best_rows(scores, asked_k(k, count, width - 1), self.item_keys)

    def _logits(self, pairs, position, own, user_row, statistics):  # type: ignore[no-untyped-def]
        """Both heads' logits of pairs int32 [N, 2] of a query and an item row."""
        row, item = pairs[:, 0], pairs[:, 1]
        beside = tf.gather(statistics, row), tf.gather(self.statistics, item)
        features = features_of(pairs, tf.zeros_like(row, tf.float32), position, own, *beside)
        rows = {"user_rows": tf.gather(user_row, row), "item_rows": tf.cast(item, tf.int64)}
        return self.ranker.logits(features, **rows)
