"""The ranker in the graph of an export: features of pairs, and their scores.

What a ranker asks of a user beside the query, item by item, is called `own`: owner int32 [n] (which of
the B queries), rows int64 [n], values float32 [n, 6 + K] (`models.data.queries.OWN_COLUMNS`, then events
of each kind), totals float32 [B, 2 + K] (`TOTAL_COLUMNS`, likewise). An export carries it as of the day
that it is written (`OwnOfUsers`); `top_k_of_own` takes it from the caller.

The arithmetic is that of `models.ranker.pair_features`, line by line.
"""

import numpy as np

from models.data.queries import OWN_COLUMNS, TOTAL_COLUMNS, OwnItems, Queries
from models.ranker.ranker_config import KNOWN_FEATURE, LARGEST, MEAN, SCALE
from models.recommenders.export import Served, endpoint, endpoints_of, pairs_of, top_k_signature
from models.tables.backend import tf
from models.tables.packing import PACKINGS, PackedTable, packable, packing_of
from models.tables.state import ModelState

PURCHASES, DAYS, LAST_AGE = (OWN_COLUMNS.index(name) for name in ("purchases", "days", "last_age"))


def placed(own, shape):  # type: ignore[no-untyped-def]
    """Where in `own` each pair of a query and an item row stands (int32, of `shape` [B, items + 1];
    -1: nowhere), and values, totals and the age of each user's latest event [B]."""
    owner, rows, values, totals = own
    known = tf.where(rows > 0)[:, 0]
    where = tf.stack([tf.gather(owner, known), tf.cast(tf.gather(rows, known), tf.int32)], axis=1)
    position = tf.tensor_scatter_nd_update(tf.fill(shape, -1), where, tf.cast(known, tf.int32))
    latest = tf.math.unsorted_segment_min(values[:, LAST_AGE], owner, shape[0])
    some = tf.math.unsorted_segment_sum(tf.ones_like(owner), owner, shape[0]) > 0
    return position, (values, totals, tf.where(some, latest, 0.0))


def features_of(pairs, retrieval, position, own, statistics, item_statistics):  # type: ignore[no-untyped-def]
    """`CandidateLists.features` of pairs int32 [N, 2] of a query and an item row.

    Args:
        retrieval: float32 [N].
        position, own: see `placed`.
        statistics, item_statistics: float32 [N, S], of the user and of the item of each pair.
    """
    values, totals, latest = own
    row = pairs[:, 0]
    place = tf.gather_nd(position, pairs)
    known = tf.cast(place >= 0, tf.float32)[:, None]
    # Row 0 of the values is that of a pair that isn't known: zeros.
    mine = tf.gather(tf.pad(values, [[1, 0], [0, 0]]), place + 1)
    totals, latest = tf.gather(totals, row), tf.gather(latest, row)[:, None]
    mine, kinds = mine[:, : len(OWN_COLUMNS)], mine[:, len(OWN_COLUMNS) :]
    user, user_kinds = totals[:, : len(TOTAL_COLUMNS)], totals[:, len(TOTAL_COLUMNS) :]
    columns = [
        retrieval[:, None],
        known,
        tf.math.log1p(mine),
        mine[:, DAYS : DAYS + 1] / tf.maximum(totals[:, 1:2], 1.0),
        known * tf.cast(mine[:, LAST_AGE : LAST_AGE + 1] <= latest, tf.float32),
        tf.math.log1p(tf.concat([kinds, user, latest, user_kinds], axis=1)),
        statistics,
        item_statistics,
    ]
    return tf.concat(columns, axis=1)


class RankerServing(tf.Module):
    """The ranker's weights and the scale of its features."""

    def __init__(self, ranker: ModelState) -> None:
        super().__init__(name="recloop_ranker")
        width, network, packing = ranker.config.feature_width, ranker.network, packing_of(ranker)
        packed = packable(network) if packing != PACKINGS[0] else []
        self.tables = {
            name: PackedTable(table.numpy(), packing) if name in packed else table
            for name, table in network.tables.items()
        }
        self.mean = tf.constant(ranker.extra.get(MEAN, np.zeros(width, np.float32)))
        self.scale = tf.constant(ranker.extra.get(SCALE, np.ones(width, np.float32)))
        self._scaled = MEAN in ranker.extra
        self._ranks = ranker.steps > 0

        # A closure: an attribute would make the whole network, in float32, a part of what is saved.
        def logits(inputs: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            with network.borrowing(self.tables):
                return network.logits(inputs)

        self._logits = logits

    def rank(self, features):  # type: ignore[no-untyped-def]
        """float32 [N, F], in the order of `CandidateLists.features`, to float32 [N]; the retrieval
        score, until something was learned."""
        return self.logits(features)[0] if self._ranks else features[:, 0]

    def logits(self, features, **rows):  # type: ignore[no-untyped-def]
        """The same to both heads' logits, float32 [N] each.

        Args:
            rows: user_rows and item_rows int64 [N], of a ranker with ids.
        """
        scaled = features
        if self._scaled:
            scaled = tf.clip_by_value((features - self.mean) / self.scale, -LARGEST, LARGEST)
        known = tf.cast(features[:, KNOWN_FEATURE] > 0, tf.float32)
        return self._logits({"features": scaled, "known": known, **rows})


class OwnOfUsers(tf.Module):
    """What each user that a state knows had chosen before, as of the release."""

    def __init__(self, state: ModelState, known: Queries | None, kinds: int) -> None:
        super().__init__(name="own_items")
        users = np.zeros(0, np.int64)
        own = OwnItems.none(0, kinds)
        if known is not None and known.own is not None:
            rows = state.users.rows(known.user_keys)
            order = np.argsort(rows, kind="stable")
            order = order[rows[order] > 0]
            users, own = rows[order], known.own.take(order)
        lengths = np.zeros(len(state.users) + 2, np.int64)
        lengths[users + 1] = np.diff(own.offsets)
        totals = np.zeros((len(state.users) + 1, own.totals.shape[1]), np.float32)
        totals[users] = own.totals
        self.offsets = fixed(np.cumsum(lengths))
        self.rows = fixed(state.items.rows(own.item_keys))
        self.values = fixed(own.values)
        self.totals = fixed(totals)

    def of(self, user_row):  # type: ignore[no-untyped-def]
        """`own` of users int64 [B]."""
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


def statistics_of_rows(state: ModelState, known: Queries | None, width: int) -> np.ndarray:
    """Statistics of every item row as of the release: float32 [items + 1, width]."""
    statistics = np.zeros((len(state.items) + 1, width), np.float32)
    if known is not None and known.items is not None and width:
        statistics[1:] = known.items.of(state.items.keys)[0]
    return statistics


def fixed(array: np.ndarray) -> tf.Variable:
    """A variable that is saved and never trained."""
    return tf.Variable(array, trainable=False)


class PairServing(tf.Module):
    """A model in one graph that ends with a ranker. A subclass adds `_of_pairs` and `_best`.

    Args:
        state: the one with the ids.
        known: of users, `own`; of items, `items`; as of the release, one moment; of as many kinds as the
            ranker takes. None: nothing.
        width: how many statistics of items there are.
    """

    def __init__(
        self, name: str, state: ModelState, ranker: ModelState, known: Queries | None, width: int
    ) -> None:
        super().__init__(name=f"recloop_{name}")
        self.ranker = RankerServing(ranker)
        self.statistics = fixed(statistics_of_rows(state, known, width))
        kinds = ranker.config.kinds
        self.own = OwnOfUsers(state, known, kinds)
        spec = tf.TensorSpec
        own = [
            spec([None, None], tf.int64, "own_rows"),
            spec([None, None, len(OWN_COLUMNS) + kinds], tf.float32, "own_values"),
            spec([None, len(TOTAL_COLUMNS) + kinds], tf.float32, "own_totals"),
        ]
        self.endpoints = {
            **endpoints_of(state.config, self._scores, self._top_k),
            "top_k_of_own": endpoint(self._top_k_of_own, [*top_k_signature(state.config), *own]),
        }

    def _of_pairs(self, query, own, pairs):  # type: ignore[no-untyped-def]
        """What signature `scores` says of pairs int32 [N, 2], by name, float32 [N] each."""
        raise NotImplementedError

    def _best(self, query, own, exclude_rows, k):  # type: ignore[no-untyped-def]
        """The answer of `top_k`."""
        raise NotImplementedError

    def _scores(self, user_row, history_rows, statistics, candidate_rows):  # type: ignore[no-untyped-def]
        query = (user_row, history_rows, statistics)
        found = self._of_pairs(query, self.own.of(user_row), pairs_of(candidate_rows))
        answer = {name: tf.reshape(a, tf.shape(candidate_rows)) for name, a in found.items()}
        return {**answer, "scores": tf.where(candidate_rows > 0, answer["scores"], -np.inf)}

    def _top_k(self, user_row, history_rows, statistics, exclude_rows, k):  # type: ignore[no-untyped-def]
        query = (user_row, history_rows, statistics)
        return self._best(query, self.own.of(user_row), exclude_rows, k)

    def _top_k_of_own(  # type: ignore[no-untyped-def]
        self, user_row, history_rows, statistics, exclude_rows, k, own_rows, own_values, own_totals
    ):
        # The caller's are padded: an entry without purchases is none.
        there = own_values[:, :, PURCHASES] > 0
        owner = tf.cast(tf.where(there)[:, 0], tf.int32)
        own = (owner, own_rows[there], own_values[there], own_totals)
        return self._best((user_row, history_rows, statistics), own, exclude_rows, k)


class ServedRanker(Served):
    """An exported recommender with a ranker, loaded: it answers from the queries' `own`, and from the
    items' statistics that the release carries.

    Raises:
        RestoreError: there is no such SavedModel, or it is damaged.
    """

    signature = "top_k_of_own"

    def _more(self, queries: Queries) -> dict[str, np.ndarray]:
        takes = self._answer.structured_input_signature[1]
        queries = queries.with_kinds(takes["own_totals"].shape[1] - len(TOTAL_COLUMNS))
        own = queries.own if queries.own is not None else OwnItems.none(len(queries))
        owner = own.owners()
        place = np.arange(len(owner)) - own.offsets[owner]
        width = int(np.diff(own.offsets).max(initial=0))
        rows = np.zeros((len(queries), width), np.int64)
        values = np.zeros((len(queries), width, own.values.shape[1]), np.float32)
        rows[owner, place] = self._items.rows(own.item_keys)
        values[owner, place] = own.values
        return {"own_rows": rows, "own_values": values, "own_totals": own.totals}
