"""Both stages without TensorFlow: what a release answers with.

Candidates and their features are found by the lines that training finds them by
(`models.retrieve_and_rank.candidates`); the towers' logits and the ranker's scores are those of their
arrays.
"""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from models.cooccurrence.pair_memory import PairMemory
from models.cooccurrence.pair_scores import Together
from models.data.checks import Float32Array, Int64Array
from models.data.queries import OwnItems, Queries
from models.data.ragged import look_up
from models.ranker import ranker_answers
from models.ranker.ranker_answers import RankerAnswers
from models.recommenders.answers import (
    BLOCK_SCORES,
    OWN,
    POPULAR,
    RETRIEVAL,
    TOGETHER,
    Answerer,
)
from models.recommenders.nearest import Nearest
from models.retrieve_and_rank.candidates import (
    Pool,
    best_places,
    candidate_lists,
    candidates_of,
    with_features,
)
from models.retrieve_and_rank.retrieval_scores import Hidden, Scores, ScoresOfMany, ScoreTable
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.two_tower import tower_answers
from models.two_tower.tower_answers import TowerAnswers

if TYPE_CHECKING:
    from models.tables.state import ModelState

STATISTICS = "item_statistics"
MANY = 100_000
"""Items of a catalogue from which on retrieval scores are not held as a table."""


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

    block_scores: ClassVar[int] = 4 * BLOCK_SCORES
    tells: ClassVar[bool] = True

    def _open(self) -> None:
        self._config = RetrieveAndRankConfig.of(self.shape)
        self._towers = TowerAnswers(self._config.retrieval, self.arrays)
        self._ranker = RankerAnswers(self._config.ranker, self.arrays)
        memory = PairMemory.of(self.arrays) if self._config.neighbours else None
        self._memory = memory and memory.opened()
        self._nearest = None
        if len(self.items) >= MANY:
            vectors = np.ascontiguousarray(self._towers.unbiased_items())
            self._nearest = Nearest(vectors, self._towers.item_offsets())
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
        said: npt.NDArray[np.uint8],
    ) -> None:
        # A product of many rows costs half of one of few; what follows meets its scores again and again,
        # and costs least where a core's caches hold them.
        queries = queries.with_kinds(self._config.kinds)
        vectors = self._towers.query_vectors(queries, self.users, self.items)
        logits = self._towers.logits(vectors) if self._nearest is None else None
        size = max(1, BLOCK_SCORES // max(1, len(self.items)))
        for low in range(0, len(queries), size):
            block = slice(low, min(low + size, len(queries)))
            if logits is None:
                found: Scores = self._scores(vectors[block])
            else:
                found = ScoreTable(logits[block])
            asked = queries.take(block), found, banned[block], shown
            self._best_of(*asked, keys[block], scores[block], said[block])

    def _scores(self, vectors: Float32Array) -> Scores:
        """Retrieval's, of queries' vectors."""
        if self._nearest is None:
            return ScoreTable(self._towers.logits(vectors))
        if self._config.retrieval.item_bias:
            vectors = vectors[:, :-1]
        return ScoresOfMany(self._nearest, vectors, self._config.retrieval.temperature)

    def _best_of(
        self,
        queries: Queries,
        retrieval: Scores,
        banned: Int64Array,
        shown: np.ndarray | None,
        keys: Int64Array,
        scores: Float32Array,
        said: npt.NDArray[np.uint8],
    ) -> None:
        config, k = self._config, keys.shape[1]
        owner, place = np.nonzero(banned)
        hidden = Hidden(owner, banned[owner, place] - 1, shown)
        moments, together = np.zeros(len(queries), np.int32), self._together(queries)
        found = candidates_of(
            queries, self._pool, moments, retrieval, hidden, max(k, config.retrieved), together
        )
        lists = with_features(found, queries, self._pool, moments, together)
        ranked = lists.features[:, 0]
        if self._ranker.ranks:
            ranked = self._ranker.score(lists.features)
        owner, rank, kept = best_places(lists.offsets, ranked, k)
        column = found.column[kept]
        keys[owner, rank] = lists.item_keys[kept]
        scores[owner, rank] = ranked[kept]
        why = np.where(self._pool.popular[0][column], POPULAR, RETRIEVAL)
        why[_among(found.beside, owner * len(self.items) + column)] = TOGETHER
        said[owner, rank] = np.where(found.position[kept] >= 0, OWN, why)

    def features(self, queries: Queries, keys: Int64Array) -> Float32Array:
        """See `models.recommenders.answers.Answerer`."""
        queries, nowhere = queries.with_kinds(self._config.kinds), np.zeros(0, np.int64)
        only = Hidden(nowhere, nowhere, np.isin(self.items.keys, keys))
        moments, together = np.zeros(len(queries), np.int32), self._together(queries)
        found = self._scores(self._towers.query_vectors(queries, self.users, self.items))
        retrieved = max(1, len(keys))
        lists = candidate_lists(queries, self._pool, moments, found, only, retrieved, together)
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
        if self._memory is None:
            return None
        own = queries.own if queries.own is not None else OwnItems.none(len(queries))
        return Together.of(self._memory, own, self.items.rows(own.item_keys), self._config.together)


def _among(ordered: Int64Array, wanted: Int64Array) -> np.ndarray:
    """Which of the wanted numbers are among the others, which ascend."""
    return look_up(ordered, wanted)[0]
