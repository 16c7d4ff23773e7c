"""Both stages without TensorFlow: what a release answers with.

Candidates and their features are found by the lines that training finds them by
(`models.retrieve_and_rank.candidates`); the towers' logits and the ranker's scores are those of their
arrays.
"""

import threading
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.cooccurrence.pair_memory import PairMemory
from models.cooccurrence.pair_scores import Together
from models.data.checks import Float32Array, Int64Array
from models.data.queries import OwnItems, Queries
from models.data.ragged import look_up
from models.ranker import ranker_answers
from models.ranker.ranker_answers import RankerAnswers
from models.ranker.ranker_config import CandidateLists
from models.recommenders.answers import OWN, POPULAR, TOGETHER, Answerer
from models.retrieve_and_rank.candidates import Hidden, Pool, best_of_lists, candidate_lists
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.two_tower import tower_answers
from models.two_tower.tower_answers import TowerAnswers

if TYPE_CHECKING:
    from models.tables.state import ModelState

STATISTICS = "item_statistics"


def arrays_of(
    towers: "ModelState",
    ranker: "ModelState",
    memory: PairMemory | None,
    item_vectors: np.ndarray,
    statistics: np.ndarray,
) -> dict[str, np.ndarray]:
    """What `TwoStageAnswers` reads, by name.

    Args:
        item_vectors, statistics: float32 [items + 1, …], of every item's row.
    """
    return {
        **tower_answers.arrays_of(towers, item_vectors),
        **ranker_answers.arrays_of(ranker),
        **({} if memory is None else memory.longer(len(towers.items) + 1).to_arrays()),
        STATISTICS: statistics,
    }


class TwoStageAnswers(Answerer):
    """See `models.recommenders.answers.Answerer`."""

    def _open(self) -> None:
        self._config = RetrieveAndRankConfig.of(self.shape)
        self._towers = TowerAnswers(self._config.retrieval, self.arrays)
        self._ranker = RankerAnswers(self._config.ranker, self.arrays)
        self._memory = PairMemory.of(self.arrays) if self._config.neighbours else None
        self._latest = threading.local()
        self._pool = Pool.of(
            self.items,
            self.arrays[STATISTICS][None, 1:],
            self._config.popular,
            self._config.popularity_column,
        )

    def _best(
        self,
        queries: Queries,
        banned: Int64Array,
        shown: np.ndarray | None,
        keys: Int64Array,
        scores: Float32Array,
    ) -> None:
        owner, place = np.nonzero(banned)
        hidden = Hidden(owner, banned[owner, place] - 1, shown)
        lists = self._lists(queries, hidden, max(keys.shape[1], self._config.retrieved))
        ranked = lists.features[:, 0]
        if self._ranker.ranks:
            ranked = self._ranker.score(lists.features)
        keys[:], scores[:] = best_of_lists(lists, ranked, keys.shape[1])

    def _lists(self, queries: Queries, hidden: Hidden, retrieved: int) -> CandidateLists:
        """The candidates of one block of queries."""
        return candidate_lists(
            queries,
            self._pool,
            np.zeros(len(queries), np.int32),
            self._towers.logits(queries, self.users, self.items),
            hidden,
            retrieved,
            self._together(queries),
        )

    def features(self, queries: Queries, keys: Int64Array) -> Float32Array:
        """See `models.recommenders.answers.Answerer`."""
        nowhere = np.zeros(0, np.int64)
        only = Hidden(nowhere, nowhere, np.isin(self.items.keys, keys))
        lists = self._lists(queries, only, max(1, len(keys)))
        order = np.argsort(lists.item_keys)
        return lists.features[order[np.searchsorted(lists.item_keys[order], keys)]]

    def sources(
        self, queries: Queries, keys: Int64Array, shown: np.ndarray | None = None
    ) -> npt.NDArray[np.uint8]:
        """See `models.recommenders.answers.Answerer`."""
        said = super().sources(queries, keys, shown)
        width = len(self.items) + 1
        own = queries.own if queries.own is not None else OwnItems.none(len(queries))
        rows = self.items.rows(keys)
        pairs = np.arange(len(queries))[:, None] * width + rows
        said[(rows > 0) & self._pool.popular[0][rows - 1]] = POPULAR
        mine = np.unique(own.owners() * width + self.items.rows(own.item_keys))
        together = self._together(queries)
        if together is not None:
            beside = together.row * width + together.item
            allowed = ~_among(mine, beside)
            if shown is not None:
                allowed &= shown[together.item - 1]
            best = together.best(allowed)
            said[(rows > 0) & _among(np.sort(beside[best]), pairs)] = TOGETHER
        said[(rows > 0) & _among(mine, pairs)] = OWN
        return said

    def item_vectors(self) -> Float32Array:
        """See `models.recommenders.answers.Answerer`."""
        return self._towers.unbiased_items()

    def _together(self, queries: Queries) -> Together | None:
        """Of the queries that this thread asked last, what it found then: `sources` and `features` ask
        for what `top_k` has found just before."""
        if self._memory is None:
            return None
        last = getattr(self._latest, "found", None)
        if last is not None and last[0] is queries:
            return last[1]  # type: ignore[no-any-return]
        own = queries.own if queries.own is not None else OwnItems.none(len(queries))
        rows = self.items.rows(own.item_keys)
        found = Together.of(self._memory, own, rows, self._config.together)
        self._latest.found = (queries, found)
        return found


def _among(ordered: Int64Array, wanted: Int64Array) -> np.ndarray:
    """Which of the wanted numbers are among the others, which ascend."""
    return look_up(ordered, wanted)[0]
