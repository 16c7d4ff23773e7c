"""EASE: a linear autoencoder of users' items with a zero diagonal, in closed form.

X holds, for each user and item, 0.93 ** weeks since the user last bought it. (Sums over purchases did
better on all pairs and worse on new ones, for which one takes EASE.) With G = X'X + ridge I and
P = G^-1: B = I - P / diag(P), scores X B. Steck, Embarrassingly shallow autoencoders for sparse data,
WWW 2019.

Belongs here: the model, which the demonstration and the benchmarks share. Keep out: where purchases
come from and who is ranked (see `rival.py`, and `benchmarks/retail_peers.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DECAY_PER_WEEK, RIDGE = 0.93, 300.0
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


def fit_ease(
    users: Int64, items: Int64, weeks: Float64, ridge: float = RIDGE
) -> tuple[csr_matrix, Float64]:
    """X (float32, a row per user number and a column per item number) and B (float64, square).

    Args:
        users, items: [N], one purchase each, in any order; small numbers, for both matrices have a
            column for every number up to the greatest.
        weeks: [N], how long ago it was.
    """
    from scipy.sparse import coo_matrix

    width = items.max() + 1
    pairs, place = np.unique(users * width + items, return_inverse=True)
    youngest = np.full(len(pairs), np.inf)
    np.minimum.at(youngest, place, weeks)
    values = (DECAY_PER_WEEK**youngest).astype(np.float32)
    table = coo_matrix((values, (pairs // width, pairs % width))).tocsr()
    gram = (table.T @ table).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += ridge
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return table, weights
