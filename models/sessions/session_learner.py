"""Sessions as a family: windows of sessions in, the next item out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Self

import numpy as np

from models.data.events import Events
from models.data.queries import Items
from models.data.sessions import Sessions, queries_of, sessions_of
from models.ids.starts import Groups, NewIds
from models.learning.recipes import ProgressCallback, Recipe, Training, TrainingReport
from models.recommenders.family import Widths
from models.recommenders.learner import K, NetworkLearner, days_of
from models.sessions.session_recommender import NOBODY, SessionRecommender
from models.sessions.transformer_config import FAMILY, WEEK, TransformerConfig

CLOCK = "clock"
"""Name of the array that has the day of the newest event that was ever counted."""


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

    def _add_items(self, sessions: Sessions) -> None:
        keys, first = np.unique(sessions.item_keys, return_index=True)
        together = Groups(sessions.of_item, sessions.item_keys) if len(self.item_keys) else None
        self.add_ids(
            NOBODY,
            Items(keys[np.argsort(first)], np.zeros((len(keys), 0), np.int32)),
            NewIds(start="cooccurrence" if together else "mean"),
            cooccurrence=together,
        )

    def learn(
        self,
        events: Events,
        training: Training,
        progress: ProgressCallback | None = None,
        held_out: Events | None = None,
    ) -> TrainingReport:
        recipe = self.patient(training.recipe, held_out)
        return self.fit(sessions_of(events), recipe, progress, self.validation(held_out))

    def learn_from_nothing(
        self,
        events: Events,
        end: datetime,
        recent: timedelta,
        training: Training,
        progress: ProgressCallback | None = None,
    ) -> TrainingReport:
        """All sessions at once: what is recent weighs more by its co-occurrences."""
        del end, recent
        return self.fit(sessions_of(events), replace(training.recipe, patience=0), progress)

    def remember_events(self, events: Events, recipe: Recipe) -> None:
        self.remember(sessions_of(events), recipe, float(days_of(events).max()))

    def validation(self, held_out: Events | None) -> Callable[[], float] | None:
        """What early stopping watches: the mean reciprocal rank of the next items, among the best 20."""
        if held_out is None:
            return None
        history, targets = sessions_of(held_out).prefixes(self.config.history_length)

        def reciprocal_rank() -> float:
            if not len(targets):
                return 0.0
            keys, _ = self.top_k(queries_of(history), K)
            hits = keys == targets[:, None]
            ranks = np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1.0), 0.0)
            return float(ranks.mean())

        return reciprocal_rank
