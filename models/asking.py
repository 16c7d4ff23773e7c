"""What a model is asked: which items, how many, without which; and in blocks of what size.

Belongs here: the arguments of `score` and `top_k`, checked and in rows. Keep out: answers
(`models.retriever`, `models.ordering.cascade`). NumPy only.
"""

from collections.abc import Iterator

import numpy as np

from models.arrays import Float32Array, Int64Array
from models.ids.vocabulary import Vocabulary
from models.lists import owners
from models.ranking import Relevant, to_csr

BLOCK_SCORES = 4_000_000
"""How many scores are held at a time: 16 MB of float32."""


def blocks(queries: int, width: int) -> Iterator[slice]:
    """The queries in blocks of so many that `width` numbers for each are not too much to hold."""
    size = max(1, BLOCK_SCORES // max(width, 1))
    for low in range(0, queries, size):
        yield slice(low, min(low + size, queries))


class TopKRequest:
    """The arguments of a top-k.

    Attributes:
        rows: int64 [C], of the candidates that are known, in their order.
        keys, scores: int64 and float32 [B, k], the answer to fill: key 0 and -inf everywhere.
    """

    def __init__(
        self,
        items: Vocabulary,
        queries: int,
        k: int,
        candidates: Int64Array | None,
        exclude: Relevant | None,
    ) -> None:
        """Checks them.

        Args:
            items: those that the model knows.
            queries: B, how many ask.
            k: how many items each wants.
            candidates: int64 [C'], unique; None is every item known. Unknown keys are left out.
            exclude: per query, item keys not to return: a list of B int64 arrays, or a CSR pair
                (offsets int64 [B + 1], keys int64 [n]).

        Raises:
            ValueError: k isn't positive, candidates repeat, or there isn't one list per query.
        """
        if k < 1:
            raise ValueError(f"`k` should be a positive integer. Received: `k` = {k}.")
        if candidates is None:
            self.rows = np.arange(1, len(items) + 1)
        else:
            rows = items.rows(np.asarray(candidates, np.int64))
            self.rows = rows[rows > 0]
            distinct = len(np.unique(self.rows))
            if distinct != len(self.rows):
                raise ValueError(
                    f"`candidates` should be unique. Received: {len(self.rows)} known keys, "
                    f"{distinct} distinct. Pass np.unique(candidates)."
                )
        nothing = (np.zeros(queries + 1, np.int64), np.zeros(0, np.int64))
        self._offsets, excluded = to_csr(nothing if exclude is None else exclude, queries)
        self._excluded = items.rows(excluded)
        self.keys: Int64Array = np.zeros((queries, k), np.int64)
        self.scores: Float32Array = np.full((queries, k), -np.inf, np.float32)

    def excluded(self, block: slice) -> tuple[Int64Array, Int64Array]:
        """What these queries don't want: (query within the block, item row), int64 [e] each."""
        offsets = self._offsets[block.start : block.stop + 1]
        rows = self._excluded[offsets[0] : offsets[-1]]
        known = rows > 0
        return owners(offsets)[known], rows[known]
