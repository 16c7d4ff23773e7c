"""Matrix factorisation without TensorFlow: `models.factors.factorisation`'s predictions from an export's
arrays."""

from typing import TYPE_CHECKING

import numpy as np

from models.data.checks import Float32Array
from models.data.queries import Queries
from models.recommenders.answers import Answerer, product

if TYPE_CHECKING:
    from models.tables.state import ModelState

ITEM_VECTORS = "item_vectors"


def arrays_of(state: "ModelState", item_vectors: np.ndarray) -> dict[str, np.ndarray]:
    """What `RatingAnswers` reads, by name; item vectors float32 [items + 1, d + 2], as exported."""
    tables = {name: state.network.tables[name].numpy() for name in state.network.query_tables}
    return {ITEM_VECTORS: item_vectors, **tables}


class RatingAnswers(Answerer):
    """See `models.recommenders.answers.Answerer`; scores are ratings, not cut to the scale's ends."""

    def all_scores(self, queries: Queries) -> Float32Array:
        rows = self.users.rows(queries.user_keys)
        known = (rows > 0).astype(np.float32)[:, None]
        factors = self.arrays["user"][rows] * known
        bias = self.arrays["user_bias"][rows] * known + self.arrays["bias"]
        vectors = np.concatenate([factors, np.ones_like(bias), bias], axis=1)
        return product(vectors, self.arrays[ITEM_VECTORS][1:])

    def item_vectors(self) -> Float32Array:
        """The factors."""
        return self.arrays[ITEM_VECTORS][1:, :-2]
