"""Retrieval and ranker as a family: windows of events in, candidates found and ordered."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import numpy as np

from models.data.checks import Int64Array
from models.data.events import Events
from models.data.queries import Queries
from models.learning.recipes import ProgressCallback, Recipe, Training, TrainingReport
from models.ranker.ranker_serving import ServedRanker
from models.recommenders.family import Widths
from models.recommenders.learner import WindowLearner, days_of, weeks_of
from models.retrieve_and_rank import shrinking
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.retrieve_and_rank.two_stage_files import TOWERS
from models.storage import archive


class TwoStageLearner(RetrieveAndRank, WindowLearner):
    """See `models.recommenders.family.Recommender`."""

    @classmethod
    def new(cls, shape: RetrieveAndRankConfig, widths: Widths, seed: int) -> Self:
        towers = replace(
            shape.retrieval, statistics_width=widths.statistics, history_length=widths.history
        )
        config = replace(
            shape,
            retrieval=towers,
            item_statistics=widths.item_statistics,
            kinds=widths.kinds,
            popularity_column=widths.popularity_column,
        )
        return cls.create(config, seed)

    @property
    def words_per_item(self) -> int:  # type: ignore[override]
        return self.config.retrieval.words_per_item

    def learn(
        self,
        events: Events,
        training: Training,
        progress: ProgressCallback | None = None,
        held_out: Events | None = None,
    ) -> TrainingReport:
        return self.fit(
            events.queries(),
            events.interactions(),
            self.patient(training.recipe, held_out),
            progress,
            ranker=training.ranker,
            validate=self.validation(held_out),
        )

    def learn_from_nothing(
        self,
        events: Events,
        end: datetime,
        recent: timedelta,
        training: Training,
        progress: ProgressCallback | None = None,
    ) -> TrainingReport:
        """The history at once, where everything weighs alike; then what is recent, a week at a time,
        which puts the newest first again and teaches the ranker."""
        history, weeks = weeks_of(events, end, recent)
        assert training.recent is not None
        assert training.ranker is not None
        return self.rebuild(
            (history.queries(), history.interactions()),
            [(week.queries(), week.interactions()) for week in weeks],
            replace(training.recipe, patience=0),
            replace(training.recent, patience=0),
            progress,
            ranker=training.ranker,
        )

    def remember_events(self, events: Events, recipe: Recipe) -> None:
        self.remember(events.queries(), events.interactions(), recipe, days_of(events))

    def maintained(self, kind: str, queries: Queries) -> Self:
        return shrinking.maintained(self, kind, queries)

    def touched(self, events: Events) -> dict[str, tuple[float, dict[str, np.ndarray]]]:
        return self.touched_by(events.queries(), events.interactions())

    @classmethod
    def loss_change(
        cls, checkpoint: Path, at_most: int, learnt: Callable[[], Int64Array], anew: bool
    ) -> str:
        """The basket loss looks at every item while there are few (`whole_catalogue`), and at a
        sample of them beyond: cheaper steps, another gradient, other costs than a policy has
        learnt."""
        manifest = archive.read_manifest(checkpoint / TOWERS)
        config = manifest["config"]
        if config.get("loss") != "basket":
            return ""
        limit, before = (
            int(config["whole_catalogue"]),
            int(manifest["arrays"]["item_keys"]["shape"][0]),
        )
        kept = 0 if anew else before
        if before <= limit and kept + at_most <= limit:
            return ""
        keys = learnt()
        after = len(keys)
        if not anew:
            with np.load(checkpoint / TOWERS / archive.ARRAYS, allow_pickle=False) as arrays:
                after = len(np.union1d(keys, arrays["item_keys"]))
        if (before <= limit) == (after <= limit):
            return ""
        looks = "a sample of the items, no longer at all" if after > limit else "all items again"
        return (
            f"the catalogue goes from {before:,} items to {after:,}, past the {limit:,} of "
            f"`whole_catalogue`: the towers' loss looks at {looks}, which changes what a step costs and "
            "teaches"
        )

    @classmethod
    def served(cls, directory: str | Path) -> ServedRanker:
        return ServedRanker(directory)
