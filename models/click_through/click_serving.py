"""A click-through model in one graph, as an export answers: every item is scored.

scores  user_row, history_rows [B, 0], statistics, candidate_rows int64 [B, C]
        -> scores float32 [B, C], logits of the probability of a click; -inf for row 0; and, of a
        model that learned them, values float32 [B, C], what a click would be worth
top_k, top_k_of_own     as `models.retrieve_and_rank.two_stage_serving` has them
serving_default = top_k
"""

import numpy as np

from models.data.queries import Queries
from models.ranker.ranker_config import VALUE_SCALE
from models.ranker.ranker_serving import PairServing, features_of, fixed, placed
from models.recommenders.export import asked_k, best_rows, without
from models.tables.backend import tf
from models.tables.state import ModelState


class ClickServing(PairServing):
    """What is needed to answer."""

    def __init__(self, state: ModelState, known: Queries | None) -> None:
        super().__init__("click_through", state, state, known, state.config.item_statistics)
        self.item_keys = fixed(np.concatenate([np.zeros(1, np.int64), state.items.keys]))
        self.value_scale = None
        if state.config.second_head == "value" and VALUE_SCALE in state.extra:
            self.value_scale = tf.constant(state.extra[VALUE_SCALE])

    def _of_pairs(self, query, own, pairs):  # type: ignore[no-untyped-def]
        score, value = self._logits(query, self._placed(query, own), pairs)
        if self.value_scale is None:
            return {"scores": score}
        return {"scores": score, "values": value * self.value_scale[1] + self.value_scale[0]}

    def _best(self, query, own, exclude_rows, k):  # type: ignore[no-untyped-def]
        mine, width = self._placed(query, own), tf.size(self.item_keys)

        def of_query(row):  # type: ignore[no-untyped-def]
            # One query's features at a time: those of all would be B times as large.
            pairs = tf.stack([tf.fill([width], row), tf.range(width)], axis=1)
            return self._logits(query, mine, pairs)[0]

        rows = tf.range(tf.size(query[0]))
        scores = tf.map_fn(of_query, rows, fn_output_signature=tf.float32)
        return best_rows(without(scores, exclude_rows), asked_k(k, scores), self.item_keys)

    def _placed(self, query, own):  # type: ignore[no-untyped-def]
        return placed(own, [tf.size(query[0]), tf.size(self.item_keys)])

    def _logits(self, query, mine, pairs):  # type: ignore[no-untyped-def]
        """Both heads' logits of pairs int32 [N, 2] of a query and an item row."""
        user_row, _, statistics = query
        row, item = pairs[:, 0], pairs[:, 1]
        beside = tf.gather(statistics, row), tf.gather(self.statistics, item)
        features = features_of(pairs, tf.zeros_like(row, tf.float32), *mine, *beside)
        rows = {"user_rows": tf.gather(user_row, row), "item_rows": tf.cast(item, tf.int64)}
        return self.ranker.logits(features, **rows)
