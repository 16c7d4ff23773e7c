"""SessionRecommender: the sequential Transformer's facade, with what co-occurs beside it.

    score = query vector . item vector / temperature
            + memory_weight * log(1 + share of co-occurrence / memory_floor)

The network generalises, the memory (`models.sessions.cooccurrence`) knows what was seen: it
learns at once, forgets nothing but by its decay, and an increment to it is a pass over the window.
`SessionLearner` is the family in the loop: windows of sessions in, the next item out.
"""

from collections.abc import Callable
from typing import Self

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.events import Events
from models.data.queries import Items, Queries
from models.data.sessions import Sessions, queries_of, sessions_of
from models.ids.starts import Groups, NewIds
from models.learning.graphs import compiled
from models.learning.recipes import ProgressCallback, Recipe, TrainingReport
from models.learning.rehearsal import past_of, remember
from models.learning.training import fit
from models.recommenders.export import exported_vectors
from models.recommenders.family import Widths
from models.recommenders.learner import K, NetworkLearner, days_of
from models.recommenders.retriever import RetrievalFacade
from models.sessions import session_answers, session_batches
from models.sessions.cooccurrence import Cooccurrence, follow, start_rows
from models.sessions.transformer_config import FAMILY, WEEK, TransformerConfig
from models.tables.backend import tf

NOBODY = np.zeros(0, np.int64)
CLOCK = "clock"
"""Name of the array that has the day of the newest event that was ever counted."""


class SessionRecommender(RetrievalFacade):
    """A sequential recommender that grows and learns in place.

    It takes the same queries as the other families', and looks at their history only.

    >>> model = SessionRecommender.create(TransformerConfig(), seed=1)   # doctest: +SKIP
    >>> model.meet(sessions)                                             # doctest: +SKIP
    >>> model.fit(sessions, recipe)                                      # doctest: +SKIP
    >>> model.top_k(queries_of(history), 20)                             # doctest: +SKIP
    """

    config_class = TransformerConfig
    uses_memory = True
    """Whether what co-occurs counts in scores; off, the network answers alone."""

    def meet(self, sessions: Sessions, days: float = WEEK) -> int:
        """Grows by the sessions' new items, counts what co-occurs in them, and moves the items'
        rows accordingly; returns how many items were new. Call it once a window, before `fit`.

        Args:
            days: how much time the sessions stand for; what is older decays by it.
        """
        new = self._add_items(sessions)
        before = self._cooccurrence()
        self.count(sessions, days)
        self._align(before, days)
        return new

    def _add_items(self, sessions: Sessions) -> int:
        """Rows for the new items, in the order in which they came; how many they are."""
        keys, first = np.unique(sessions.item_keys, return_index=True)
        together = Groups(sessions.of_item, sessions.item_keys) if len(self.item_keys) else None
        _, new = self.add_ids(
            NOBODY,
            Items(keys[np.argsort(first)], np.zeros((len(keys), 0), np.int32)),
            # The first items have nothing known to start from: `_align` places them.
            NewIds(start="cooccurrence" if together else "mean"),
            cooccurrence=together,
        )
        return new

    def count(self, sessions: Sessions, days: float = WEEK) -> None:
        """Adds the sessions to what is known to co-occur, and lets the older ones decay. Each
        session is to be counted once in the model's life."""
        config = self.config
        if config.memory_weight or config.follow_steps or config.spectral_start:
            decay = config.decay_of(days)
            memory = self._cooccurrence().updated(sessions, config, decay)
            self._state.extra |= memory.to_arrays()

    def _align(self, before: Cooccurrence, days: float) -> None:
        """Moves items' rows to where their co-occurrences are. See `models.sessions.cooccurrence`.

        Before any training they start there; later they follow what has come since `before`, and an
        item without news stays bit-identical.
        """
        state, config = self._state, self.config
        memory = self._cooccurrence()
        rows = state.items.rows(memory.keys)
        table = state.network.tables["item"].numpy()
        if state.steps == 0 and config.spectral_start:
            moved = start_rows(memory, config.dimension, state.seed)
            moving = rows > 0
        elif state.steps and config.follow_steps:
            news = memory.news_since(before, config.decay_of(days))
            moved = follow(memory, table[rows], news, config.follow_steps)
            moving = (rows > 0) & (news > 0)
        else:
            return
        table[rows[moving]] = moved[moving] * np.float32(config.row_length)
        state.network.tables["item"].assign(table)
        state.forget_origin()

    def fit(
        self,
        sessions: Sessions,
        recipe: Recipe,
        progress: ProgressCallback | None = None,
        validate: Callable[[], float] | None = None,
    ) -> TrainingReport:
        """Learns from every item but the first of each session, in place; items that the model
        doesn't know are passed over. See `training.fit`."""
        batches = session_batches.batches_of_sessions(self._state, sessions, recipe)
        past = past_of(self._state, recipe, batches.targets, session_batches.batches_of)
        return fit(self._state, batches, recipe, progress, past, validate)

    def remember(self, sessions: Sessions, recipe: Recipe, day: float | np.ndarray) -> int:
        """Offers what was learned to the memory that the next `fit` rehearses. See
        `rehearsal.remember`."""
        examples = session_batches.examples_of(self._state, sessions)
        return remember(
            self._state,
            examples,
            recipe,
            session_batches.vectors_of,
            day,
            session_batches.batches_of,
        )

    def _cooccurrence(self) -> Cooccurrence:
        return Cooccurrence.of(self._state.extra) or Cooccurrence.empty()

    def _item_vectors(self, rows: Int64Array) -> tuple[Int64Array, tf.Tensor]:  # type: ignore[override]
        return rows, super()._item_vectors(rows)

    def _scores(self, queries: Queries, items: tuple[Int64Array, tf.Tensor]) -> tf.Tensor:  # type: ignore[override]
        rows, vectors = items
        history = self._state.items.rows(queries.history[:, : self.config.history_length])
        asked = self._compiled()(tf.constant(history, tf.int64))
        scores = (
            tf.linalg.matmul(asked, vectors, transpose_b=True) / self._state.network.temperature
        )
        if not (self.uses_memory and self.config.memory_weight):
            return scores
        where, bonus = self._bonus(queries, rows)
        return tf.tensor_scatter_nd_add(scores, where, bonus)

    def _compiled(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The query side: int64 [B, H'] item rows to float32 [B, d]. Compiled: many small ops."""
        network = self._state.network
        history = tf.TensorSpec([None, None], tf.int64)
        query = tf.function(lambda rows: network.query_vectors(rows, rows, rows), autograph=False)
        return compiled(self._state, "query", lambda: query.get_concrete_function(history))

    def _bonus(self, queries: Queries, rows: Int64Array) -> tuple[Int64Array, Float32Array]:
        """What co-occurrence adds: places int64 [e, 2] in [B, len(rows)]; how much, float32 [e]."""
        memory, config = self._cooccurrence(), self.config
        history = queries.history[:, : config.history_length]
        # As in what is served: an item that has expired, or was not admitted yet, asks nothing.
        history = np.where(self._state.items.rows(history) > 0, history, 0)
        owner, position, share = memory.shares(history, config.memory_recency)
        column = np.full(len(self.item_keys) + 1, -1, np.int64)
        column[rows] = np.arange(len(rows))
        column[0] = -1
        at = column[self._state.items.rows(memory.keys)][position]
        bonus = config.memory_weight * np.log1p(share / config.memory_floor)
        shown = at >= 0
        return np.stack([owner, at], axis=1)[shown], bonus[shown].astype(np.float32)


class SessionLearner(NetworkLearner, SessionRecommender):
    """See `models.recommenders.family.Recommender`. A query is a session, its events in order."""

    family_name = FAMILY.name

    @classmethod
    def new(cls, shape: TransformerConfig, widths: Widths, seed: int) -> Self:
        del widths
        return cls.create(shape, seed)

    def make_room(self, events: Events, ids: NewIds) -> None:
        """Rows for new items, and co-occurrences counted, a week at a time: what is older decays by the
        time that has passed since the newest event before."""
        before = self._cooccurrence()
        days = days_of(events)
        clock = float(self._state.extra.get(CLOCK, np.array([days.min()]))[0])
        start, total = clock, 0.0
        for low in np.arange(days.min(), days.max() + 1e-9, WEEK):
            here = (days >= low) & (days < low + WEEK)
            if not here.any():
                continue
            piece = sessions_of(events.where(here))
            self._add_items(piece)
            passed = max(float(days[here].max()) - start, 0.0)
            self.count(piece, passed)
            start, total = max(start, float(days[here].max())), total + passed
        self._align(before, total)
        self._state.extra[CLOCK] = np.array([start])
        whole_days = days.astype(np.int64)
        for day in np.unique(whole_days):
            self.note_seen(NOBODY, np.unique(events.item_keys[whole_days == day]), int(day))
        if ids.expire_after_days:
            self.expire(int(whole_days.max()) - ids.expire_after_days)

    def taught(self, events: Events, recipe: Recipe) -> Sessions:
        """All sessions alike: what is recent weighs more by its co-occurrences."""
        del recipe
        return sessions_of(events)

    def remember_events(self, events: Events, recipe: Recipe) -> None:
        sessions = sessions_of(events)
        follows = np.arange(len(sessions.item_keys)) > sessions.offsets[sessions.of_item]
        counted = events.where(events.weights > 0)  # as in the sessions
        days = days_of(counted)[np.argsort(counted.query, kind="stable")]
        self.remember(sessions, recipe, days[follows])

    def answer_arrays(self) -> dict[str, np.ndarray]:
        return session_answers.arrays_of(self._state, exported_vectors(self._state))

    def can_watch(self, held_out: Events) -> bool:
        return len(np.unique(held_out.query)) < len(held_out.query)

    def held_out_score(self, held_out: Events) -> float:
        """The mean reciprocal rank of the next items, among the best 20."""
        history, targets = sessions_of(held_out).prefixes(self.config.history_length)
        keys, _ = self.top_k(queries_of(history), K)
        hits = keys == targets[:, None]
        ranks = np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1.0), 0.0)
        return float(ranks.mean())
