"""RetrieveAndRank: the default recommender. Retrieval finds candidates, the ranker orders them.

    queries -> two towers -> logits of all items -> candidates -> features -> ranker -> the k best

Learning is *test, then train*: the features of a window's candidates are computed with towers that
haven't learned from the window, as they will be when the ranker is asked; then both learn. A ranker
trained on scores of towers that had seen the answers would trust them too much.

Neighbours: `models.retrieve_and_rank.two_stages` finds and describes candidates,
`models.ranker.ranker` scores them, `models.retrieve_and_rank.two_stages` is both stages in order;
`models.two_tower.tower_recommender` is retrieval alone; `models.retrieve_and_rank.two_stage_files`
saves, restores and exports.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from models.cooccurrence.window_pairs import learnt
from models.data.checks import Float32Array, Int64Array
from models.data.queries import Interactions, Queries
from models.ids.admission import admitted
from models.learning import rehearsal, training
from models.learning.batch_source import BatchSource
from models.learning.recipes import RANK, RANK_REBUILD, ProgressCallback, Recipe, TrainingReport
from models.metrics.ranking import Relevant
from models.ranker.list_batches import ListBatches
from models.recommenders.facade import KnowsIds
from models.recommenders.top_k import TopKRequest, blocks
from models.retrieve_and_rank import two_stage_files
from models.retrieve_and_rank import two_stages as stages
from models.retrieve_and_rank.candidates import best_of_lists
from models.retrieve_and_rank.retrieval_scores import Hidden
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.retrieve_and_rank.two_stages import Learned
from models.storage import checkpoint
from models.tables.backend import prepare_devices
from models.tables.state import ModelState
from models.two_tower import tower_recommender
from models.two_tower.basket_batches import tower_batches
from models.two_tower.tower_recommender import TwoTowerRecommender


class RetrieveAndRank(KnowsIds):
    """Retrieval and ranker that grow and learn in place, as one.

    >>> model = RetrieveAndRank.create(RetrieveAndRankConfig(), seed=1)            # doctest: +SKIP
    >>> model.add_ids(user_keys, items)                               # doctest: +SKIP
    >>> model.rebuild(history, last_windows, REBUILD, INCREMENT)   # doctest: +SKIP
    >>> model.fit(queries, interactions, INCREMENT)                # doctest: +SKIP
    >>> keys, scores = model.top_k(queries, k=20)                  # doctest: +SKIP
    """

    merging: ClassVar[dict[str, tuple[float, float]]] = {
        two_stage_files.TOWERS: (0.35, 8.0),
        two_stage_files.RANKER: (0.0, 0.0),
    }
    """`stretch` and `pushed` of a merge. On UCI Online Retail, 27 weeks in 4 shards, the towers' NDCG@20
    on new pairs loses (against one process, with a stretch of 0.5 and whole batches) 1.9 % with pushed =
    0, 1.5 % with 1, 1.2 % with 4, 1.1 % with 16, 1.2 % with 10^6. With 8 and the smaller batches of
    `recloop.training.sharding`: 0.9 % with a stretch of 0.35, 1.0 % with 0.5, 1.1 % with 0.6. On all
    pairs all lose 0.3 to 0.5 %. The ranker's mean lost 0.1 % as it is."""

    def __init__(
        self, config: RetrieveAndRankConfig, towers: ModelState, ranker: ModelState
    ) -> None:
        """Wraps both states; use `create` or `restore`. It is the towers that know the ids."""
        self._config = config
        self._state = towers
        self._ranker = ranker

    @classmethod
    def create(cls, config: RetrieveAndRankConfig, seed: int) -> Self:
        """A recommender that knows no user and no item."""
        prepare_devices()
        towers = ModelState.create(config.retrieval, seed)
        return cls(config, towers, ModelState.create(config.ranker, seed))

    @classmethod
    def restore(
        cls, directory: str | Path, magnitude_limit: float = checkpoint.MAGNITUDE_LIMIT
    ) -> Self:
        """The recommender saved in `directory`, slots and all.

        Raises:
            RestoreError: what is there can't be used; the message names the array and the remedy.
        """
        prepare_devices()
        return cls(*two_stage_files.restore(Path(directory), magnitude_limit))

    @property
    def config(self) -> RetrieveAndRankConfig:
        return self._config

    @property
    def steps(self) -> int:
        """Optimizer steps that the towers have taken in the model's life."""
        return self.towers.steps

    @property
    def ranks(self) -> bool:
        """Whether the ranker has learned anything; until then, retrieval's order stands."""
        return self._ranker.steps > 0

    @property
    def towers(self) -> ModelState:
        """Retrieval's state: what maintenance works on."""
        return self._state

    @property
    def ranker_state(self) -> ModelState:
        """The ranker's state, likewise."""
        return self._ranker

    @property
    def states(self) -> dict[str, ModelState]:
        """Both, by name."""
        return {two_stage_files.TOWERS: self.towers, two_stage_files.RANKER: self._ranker}

    def fit(
        self,
        queries: Queries,
        interactions: Interactions,
        recipe: Recipe,
        progress: ProgressCallback | None = None,
        ranker: Recipe | None = RANK,
        validate: Callable[[], float] | None = None,
    ) -> TrainingReport:
        """Learns from a window, in place: an increment.

        Args:
            queries: with `own` and `items`, if the ranker is to learn.
            interactions: the window's events; those on items that wait for admission are left out.
            recipe: of the towers.
            progress: of the towers, then of the ranker; see `training.fit`.
            ranker: its recipe; None: it stays as it is. It does, too, when `queries.own` is None,
                when the towers knew nothing before, or when none of the candidates was chosen.
            validate: of the towers' training; see `training.fit`.

        Returns:
            The towers' report; its CPU seconds are those of both.

        Raises:
            BadTrainingData, NonFiniteWeights: see `training.fit`.
        """
        started = time.process_time()
        interactions = admitted(self.towers, interactions)
        seen = None
        if ranker is not None and self.steps and queries.own is not None:
            seen = stages.tested(self._config, self.towers, queries, interactions, ranker, 1)
        batches = self._tower_batches(queries, interactions, recipe)
        report = rehearsal.learn(
            self.towers, batches, recipe, tower_recommender.batches_of, progress, validate
        )
        if seen is not None and ranker is not None:
            self._train_ranker([seen], ranker, progress)
        self._learn_pairs(queries, interactions)
        return replace(report, cpu_seconds=time.process_time() - started)

    @property
    def remembers(self) -> bool:
        """Whether the towers have past examples to rehearse."""
        return bool(rehearsal.remembered(self.towers))

    def remember(
        self, queries: Queries, interactions: Interactions, recipe: Recipe, day: float | np.ndarray
    ) -> int:
        """Offers what was learned to the towers' memory, which the next `fit` rehearses. See
        `TwoTowerRecommender.remember`."""
        return TwoTowerRecommender(self.towers).remember(queries, interactions, recipe, day)

    def rebuild(
        self,
        history: Learned,
        windows: Sequence[Learned],
        recipe: Recipe,
        increment: Recipe,
        progress: ProgressCallback | None = None,
        ranker: Recipe = RANK_REBUILD,
    ) -> TrainingReport:
        """Learns from nothing: the history at once, then the last windows one by one.

        The ranker learns at the end, from all of `windows` together, each seen with the towers as
        they were before it.

        Args:
            history: everything but the last windows.
            windows: the last windows, oldest first.
            recipe: of the towers, on the history.
            increment: of the towers, on each window.
            progress: told of each training, one after the other.
            ranker: its recipe.

        Returns:
            The report of the training on the history.
        """
        started = time.process_time()
        queries, interactions = history
        known = admitted(self.towers, interactions)
        report = training.fit(
            self.towers, self._tower_batches(queries, known, recipe), recipe, progress
        )
        self._learn_pairs(queries, known)
        learned = []
        for queries, interactions in windows:
            known = admitted(self.towers, interactions)
            if not known.weights.any():  # all on items that still wait
                continue
            if queries.own is not None:
                seen = self._config, self.towers, queries, known
                learned.append(stages.tested(*seen, ranker, len(windows)))
            batches = self._tower_batches(queries, known, increment)
            training.fit(self.towers, batches, increment, progress)
            self._learn_pairs(queries, known)
        self._train_ranker(learned, ranker, progress)
        return replace(report, cpu_seconds=time.process_time() - started)

    def top_k(
        self,
        queries: Queries,
        k: int,
        candidates: Int64Array | None = None,
        exclude: Relevant | None = None,
    ) -> tuple[Int64Array, Float32Array]:
        """The k best items of each query, best first; ties go to the item that is known longer.

        Arguments, answer and errors are those of `models.recommenders.retriever.RetrievalFacade.top_k`.
        """
        asked = TopKRequest(self.towers.items, len(queries), k, candidates, exclude)
        pool = np.zeros(len(self.towers.items), bool)
        pool[asked.rows - 1] = True
        for block in blocks(len(queries), len(pool)) if pool.any() else ():
            part = queries.take(block)
            owner, rows = asked.excluded(block)
            hidden = Hidden(owner, rows - 1, None if pool.all() else pool)
            retrieved = max(k, self._config.retrieved)
            lists = stages.candidates_of(self._config, self.towers, part, hidden, retrieved)
            scores = stages.ranked_scores(self._ranker, lists)
            asked.keys[block], asked.scores[block] = best_of_lists(lists, scores, k)
        return asked.keys, asked.scores

    def expire(self, before_day: int) -> tuple[int, int]:
        """Removes ids last seen before a day, and their pairs; returns how many users and items. See
        `models.ids.admission`."""
        before = np.array(self.item_keys)
        removed = super().expire(before_day)
        memory = stages.memory_of(self._config, self.towers)
        if memory is not None and removed[1]:
            stay = 1 + np.flatnonzero(np.isin(before, self.item_keys))
            self.towers.extra |= memory.kept(np.append(0, stay)).to_arrays()
        return removed

    def averaged(self, directories: Sequence[str | Path]) -> Self:
        """The mean of this one's weights and of those saved in these folders, oldest first. See
        `checkpoint.average`."""
        towers, ranker = (
            checkpoint.average([*(Path(folder) / stage for folder in directories), state])
            for stage, state in self.states.items()
        )
        return type(self)(self._config, towers, ranker)

    def save(self, directory: str | Path, base: str | Path | None = None) -> str:
        """Writes all of it, slots included, to `directory` (new, or replaced as a whole); with
        `base`, the folder that it was restored from, only what changed since."""
        return two_stage_files.save(
            self._config, self.states, Path(directory), None if base is None else Path(base)
        )

    def export(self, directory: str | Path, known: Queries | None = None) -> None:
        """Writes a SavedModel for serving, which answers from what is `known` of users and items as
        of now. See `models.retrieve_and_rank.two_stage_files` and `two_stage_serving`."""
        two_stage_files.export(self._config, self.towers, self._ranker, Path(directory), known)

    def parameters(self) -> dict[str, np.ndarray]:
        """Copies of the trained tables (float32): the towers' by name, the ranker's with
        `ranker/` before it."""
        ranker = {f"ranker/{name}": table for name, table in self._ranker.parameters().items()}
        return {**self.towers.parameters(), **ranker}

    def touched_by(
        self, queries: Queries, interactions: Interactions
    ) -> dict[str, tuple[float, dict[str, np.ndarray]]]:
        """For each state, how many examples these events are, and how many times they are about each
        row of each keyed table: [rows] by table.

        A user and an item once for each event, an item of the history once for each query that looks
        back on it. Row 0, of what isn't known, is nobody's.
        """
        asked = float(len(np.unique(interactions.query)))
        times = stages.touched_rows(self.towers, queries, interactions)
        return {
            two_stage_files.TOWERS: (float(len(interactions)), times),
            two_stage_files.RANKER: (asked, {}),
        }

    def _tower_batches(
        self, queries: Queries, interactions: Interactions, recipe: Recipe
    ) -> BatchSource:
        learned = stages.for_retrieval(self._config, queries, interactions)
        return tower_batches(self.towers, queries, learned, recipe)

    def _learn_pairs(self, queries: Queries, interactions: Interactions) -> None:
        """Counts a window that was ranked."""
        memory = stages.memory_of(self._config, self.towers)
        if memory is not None:
            memory = learnt(memory, self.towers.items, queries, interactions)
            self.towers.extra |= memory.to_arrays()

    def _train_ranker(
        self, learned: list[stages.Tested], recipe: Recipe, progress: ProgressCallback | None
    ) -> None:
        """Empties `learned`: the lists are large, and go as soon as the batches has its copy."""
        if not any(labels.any() for _, labels in learned):
            return
        labels = np.concatenate([labels for _, labels in learned])
        parts = [lists for lists, _ in learned]
        learned.clear()
        batches = ListBatches(self._ranker, stages.joined(parts), labels, recipe)
        training.fit(self._ranker, batches, recipe, progress)
