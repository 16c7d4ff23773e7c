"""Both stages in one graph: what a release answers with, judged and served alike.

    scores  user_row, history_rows, statistics, candidate_rows int64 [B, C]
            -> scores float32 [B, C]; -inf for row 0
    top_k   user_row, history_rows, statistics, exclude_rows int64 [B, E], k
            -> rows, keys, scores, as `models.recommenders.export` gives them
    top_k_of_own    the same, and what each user had chosen before: own_rows int64 [B, O],
            own_values float32 [B, O, 6] (`point_in_time.OWN_COLUMNS`; an entry without purchases is
            padding), own_totals float32 [B, 2] (`point_in_time.TOTAL_COLUMNS`)
    serving_default = top_k

The ranker needs what the user had chosen before, item by item, and statistics of all items, which a
server that has the model alone can look up nowhere. So the export carries both as of the day it
is written: `top_k` and `scores` answer from that, and `top_k_of_own` from what the caller knows.

The arithmetic is that of `models.retrieve_and_rank.two_stages` and `two_stages.best_of_lists`, line by
line; a test holds one against the other.
"""

import numpy as np

from models.data.queries import OWN_COLUMNS, TOTAL_COLUMNS, OwnItems, Queries
from models.ranker.list_batches import LARGEST, MEAN, SCALE
from models.ranker.ranker import KNOWN_FEATURE
from models.ranker.ranker_config import LEAST_RETRIEVAL
from models.recommenders.export import (
    Served,
    Serving,
    asked_k,
    best_rows,
    endpoint,
    query_signature,
)
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.retrieve_and_rank.two_stages import most_popular
from models.tables.backend import tf
from models.tables.state import ModelState

PURCHASES, DAYS, LAST_AGE = (OWN_COLUMNS.index(name) for name in ("purchases", "days", "last_age"))


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
        statistics = np.zeros((len(keys) + 1, config.item_statistics), np.float32)
        if known is not None and known.items is not None and config.item_statistics:
            statistics[1:] = known.items.of(keys)[0]
        popular = np.zeros((1, len(keys) + 1), np.bool_)
        if config.popular and 0 <= config.popularity_column < config.item_statistics:
            popular[:, 1:] = most_popular(
                statistics[None, 1:, config.popularity_column], config.popular
            )
        self.statistics = _fixed(statistics)
        self.popular = _fixed(popular)
        self.own = _OwnOfUsers(towers, known)
        spec, query = tf.TensorSpec, query_signature(towers.config)
        lists = [spec([None, None], tf.int64, "exclude_rows"), spec(None, tf.int32, "k")]
        own = [
            spec([None, None], tf.int64, "own_rows"),
            spec([None, None, len(OWN_COLUMNS)], tf.float32, "own_values"),
            spec([None, len(TOTAL_COLUMNS)], tf.float32, "own_totals"),
        ]
        candidates = spec([None, None], tf.int64, "candidate_rows")
        top_k = endpoint(self._top_k, [*query, *lists])
        self.endpoints = {
            "scores": endpoint(self._scores, [*query, candidates]),
            "top_k": top_k,
            "top_k_of_own": endpoint(self._top_k_of_own, [*query, *lists, *own]),
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
        there = own_values[:, :, PURCHASES] > 0
        owner = tf.cast(tf.where(there)[:, 0], tf.int32)
        own = (owner, own_rows[there], own_values[there], own_totals)
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
        owner, rows, values, totals = own
        count = tf.shape(scores)[0]
        known = tf.where(rows > 0)[:, 0]
        where = tf.stack(
            [tf.gather(owner, known), tf.cast(tf.gather(rows, known), tf.int32)], axis=1
        )
        position = tf.tensor_scatter_nd_update(
            tf.fill(tf.shape(scores), -1), where, tf.cast(known, tf.int32)
        )
        latest = tf.math.unsorted_segment_min(values[:, LAST_AGE], owner, count)
        some = tf.math.unsorted_segment_sum(tf.ones_like(owner), owner, count) > 0
        return scores, position, (values, totals, tf.where(some, latest, 0.0))

    def _features(self, pairs, scores, position, own, statistics):  # type: ignore[no-untyped-def]
        """`CandidateLists.features` of pairs int32 [N, 2] of a query and an item row."""
        values, totals, latest = own
        row, item = pairs[:, 0], pairs[:, 1]
        place = tf.gather_nd(position, pairs)
        known = tf.cast(place >= 0, tf.float32)[:, None]
        # Row 0 of the values is that of a pair that isn't known: zeros.
        mine = tf.gather(tf.pad(values, [[1, 0], [0, 0]]), place + 1)
        totals, latest = tf.gather(totals, row), tf.gather(latest, row)[:, None]
        columns = [
            tf.maximum(tf.gather_nd(scores, pairs), LEAST_RETRIEVAL)[:, None],
            known,
            tf.math.log1p(mine),
            mine[:, DAYS : DAYS + 1] / tf.maximum(totals[:, 1:2], 1.0),
            known * tf.cast(mine[:, LAST_AGE : LAST_AGE + 1] <= latest, tf.float32),
            tf.math.log1p(tf.concat([totals, latest], axis=1)),
            tf.gather(statistics, row),
            tf.gather(self.statistics, item),
        ]
        return tf.concat(columns, axis=1)


class RankerServing(tf.Module):
    """The ranker's weights and the scale of its features."""

    def __init__(self, ranker: ModelState) -> None:
        super().__init__(name="recloop_ranker")
        width = ranker.config.feature_width
        self.tables = dict(ranker.network.tables)
        self.mean = tf.constant(ranker.extra.get(MEAN, np.zeros(width, np.float32)))
        self.scale = tf.constant(ranker.extra.get(SCALE, np.ones(width, np.float32)))
        self._scaled = MEAN in ranker.extra
        self._ranks = ranker.steps > 0
        self._logits = ranker.network.logits

    def rank(self, features):  # type: ignore[no-untyped-def]
        """float32 [N, F], in the order of `CandidateLists.features`, to float32 [N]."""
        if not self._ranks:
            return features[:, 0]
        scaled = features
        if self._scaled:
            scaled = tf.clip_by_value((features - self.mean) / self.scale, -LARGEST, LARGEST)
        known = tf.cast(features[:, KNOWN_FEATURE] > 0, tf.float32)
        score, _ = self._logits({"features": scaled, "known": known})
        return score


class _OwnOfUsers(tf.Module):
    """What each user that the towers know had chosen before, as of the release."""

    def __init__(self, towers: ModelState, known: Queries | None) -> None:
        super().__init__(name="own_items")
        users = np.zeros(0, np.int64)
        own = OwnItems.none(0)
        if known is not None and known.own is not None:
            rows = towers.users.rows(known.user_keys)
            order = np.argsort(rows, kind="stable")
            order = order[rows[order] > 0]
            users, own = rows[order], known.own.take(order)
        lengths = np.zeros(len(towers.users) + 2, np.int64)
        lengths[users + 1] = np.diff(own.offsets)
        totals = np.zeros((len(towers.users) + 1, len(TOTAL_COLUMNS)), np.float32)
        totals[users] = own.totals
        self.offsets = _fixed(np.cumsum(lengths))
        self.rows = _fixed(towers.items.rows(own.item_keys))
        self.values = _fixed(own.values)
        self.totals = _fixed(totals)

    def of(self, user_row):  # type: ignore[no-untyped-def]
        """Of users int64 [B]: owner int32 [n], rows int64 [n], values [n, 6], totals [B, 2]."""
        entries = tf.ragged.range(
            tf.gather(self.offsets, user_row), tf.gather(self.offsets, user_row + 1)
        )
        owner = tf.cast(entries.value_rowids(), tf.int32)
        return (
            owner,
            tf.gather(self.rows, entries.values),
            tf.gather(self.values, entries.values),
            tf.gather(self.totals, user_row),
        )


def _fixed(array: np.ndarray) -> tf.Variable:
    return tf.Variable(array, trainable=False)


class ServedTwoStage(Served):
    """The cascade in a folder, loaded; it answers with both stages, from the queries' `own` and from
    the items' statistics that the release carries.

    Raises:
        RestoreError: there is no SavedModel of a cascade, or it is damaged.
    """

    signature = "top_k_of_own"

    def _more(self, queries: Queries) -> dict[str, np.ndarray]:
        own = queries.own if queries.own is not None else OwnItems.none(len(queries))
        owner = own.owners()
        place = np.arange(len(owner)) - own.offsets[owner]
        width = int(np.diff(own.offsets).max(initial=0))
        rows = np.zeros((len(queries), width), np.int64)
        values = np.zeros((len(queries), width, len(OWN_COLUMNS)), np.float32)
        rows[owner, place] = self._items.rows(own.item_keys)
        values[owner, place] = own.values
        return {"own_rows": rows, "own_values": values, "own_totals": own.totals}
