"""Click-through as a family: windows of impressions in, the probability of a click out."""

from pathlib import Path
from typing import Self

import numpy as np

from models.click_through import click_answers
from models.click_through.click_config import FAMILY, ClickShape
from models.click_through.click_serving import ClickServing
from models.click_through.negatives import labelled
from models.data.checks import Float32Array, Int64Array
from models.data.events import Events
from models.data.queries import Queries
from models.ids.starts import NewIds
from models.learning.recipes import Recipe
from models.metrics.classification import log_loss
from models.metrics.ranking import Relevant
from models.ranker.list_batches import RankingExamples, fix_value_scale
from models.ranker.pair_features import features_of
from models.ranker.ranker_config import RankerConfig, feature_width
from models.ranker.ranker_serving import ServedRanker, statistics_of_rows
from models.ranker.ranking_recommender import RankingRecommender, pair_logits
from models.recommenders import export
from models.recommenders.family import Widths
from models.recommenders.learner import NetworkLearner
from models.recommenders.top_k import TopKRequest


class ClickLearner(NetworkLearner, RankingRecommender):
    """See `models.recommenders.family.Recommender`.

    An event is an impression, `Events.labels` says whether it was clicked, and `Events.values` what
    that was worth. Without labels every event is a click, and what was not clicked is drawn
    (`models.click_through.negatives`).
    """

    family_name = FAMILY.name

    @classmethod
    def new(cls, shape: ClickShape, widths: Widths, seed: int) -> Self:
        config = RankerConfig(
            feature_width=feature_width(widths.statistics, widths.item_statistics, widths.kinds),
            dimension=shape.dimension,
            cross_layers=shape.cross_layers,
            hidden=shape.hidden,
            second_head="value" if shape.value_head else "none",
            loss="pointwise",
            statistics_width=widths.statistics,
            kinds=widths.kinds,
        )
        return cls.create(config, seed)

    def make_room(self, events: Events, ids: NewIds) -> None:
        """Also fixes the scale of worth, of all events: shards must learn on one."""
        super().make_room(events, ids)
        fix_value_scale(self._state, _worths(events))

    def touched(self, events: Events) -> dict[str, tuple[float, dict[str, np.ndarray]]]:
        return super().touched(labelled(events, self.item_keys, 0))

    def remember_events(self, events: Events, recipe: Recipe) -> None:
        super().remember_events(labelled(events, self.item_keys, recipe.seed), recipe)

    def held_out_score(self, held_out: Events) -> float:
        """The log loss, negative."""
        told = labelled(held_out, self.item_keys, 0)
        assert told.labels is not None
        return -log_loss(told.labels, self.expected(told))

    def expected(self, events: Events) -> Float32Array:
        users = events.user_keys[events.query]
        return self.predict(users, events.item_keys, self._features(events))

    def expected_values(self, events: Events) -> Float32Array:
        users = events.user_keys[events.query]
        return self.predict_values(users, events.item_keys, self._features(events))

    def top_k(
        self,
        queries: Queries,
        k: int,
        candidates: Int64Array | None = None,
        exclude: Relevant | None = None,
    ) -> tuple[Int64Array, Float32Array]:
        """The k items most likely to be clicked, of all; scores are logits of the probability. Cost
        follows the number of candidates."""
        state, widths = self._state, (self.config.item_statistics, self.config.kinds)
        asked = TopKRequest(state.items, len(queries), k, candidates, exclude)
        pool = asked.pool
        for block in asked.blocks(self.config.feature_width):
            part = queries.take(block)
            row = np.repeat(np.arange(len(part)), len(pool))
            items = np.tile(pool, len(part))
            scores = pair_logits(
                state,
                features_of(part, row, items, *widths),
                state.users.rows(part.user_keys)[row],
                np.tile(asked.rows, len(part)),
            )[0].reshape(len(part), len(pool))
            banned = asked.banned(block)
            scores[banned[:, 0], banned[:, 1]] = -np.inf
            at = np.argsort(-scores, axis=1, kind="stable")[:, : asked.shown]
            asked.fill(block, np.take_along_axis(scores, at, axis=1), at)
        return asked.keys, asked.scores

    def export(self, directory: str | Path, known: Queries | None = None) -> None:
        state = self._state
        known = None if known is None else known.with_kinds(self.config.kinds)
        statistics = statistics_of_rows(state, known, self.config.item_statistics)
        export.export(
            state,
            Path(directory),
            FAMILY.name,
            module=ClickServing(state, known),
            arrays=click_answers.arrays_of(state, statistics),
        )

    @classmethod
    def served(cls, directory: str | Path) -> ServedRanker:
        return ServedRanker(directory)

    def taught(self, events: Events, recipe: Recipe) -> RankingExamples:
        """All impressions alike: what is known of a user and an item says how recent they are."""
        events = labelled(events, self.item_keys, recipe.seed)
        labels = np.zeros(0, np.float32) if events.labels is None else events.labels
        users = events.user_keys[events.query]
        return RankingExamples(
            users, events.item_keys, self._features(events), labels, events.weights, _worths(events)
        )

    def _features(self, events: Events) -> Float32Array:
        widths = self.config.item_statistics, self.config.kinds
        return features_of(events.queries(), events.query, events.item_keys, *widths)


def _worths(events: Events) -> Float32Array:
    """What each click was worth: float32 [N]; NaN where nobody said, and of what was not clicked."""
    if events.values is None:
        return np.full(len(events.item_keys), np.nan, np.float32)
    worths = events.values.astype(np.float32)
    return worths if events.labels is None else np.where(events.labels > 0, worths, np.nan)
