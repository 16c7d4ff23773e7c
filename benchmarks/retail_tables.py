"""Tables by user key and item key: counted, and looked up for keys that may be unknown.

Neighbour: `retail_peers`, whose systems keep them. Packages: `scipy`, of `requirements-bench.txt`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.events import Int64

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def counted(users: Int64, items: Int64, weights: np.ndarray | None = None) -> csr_matrix:
    """Sums of the weights (None: counts), float32, a row per user key and a column per item key."""
    from scipy.sparse import coo_matrix

    values = np.ones(len(users), np.float32) if weights is None else weights.astype(np.float32)
    table = coo_matrix((values, (users, items)))
    return table.tocsr()


def looked_up(table: np.ndarray, keys: Int64) -> np.ndarray:
    """Rows of a table by key; zeros for keys that it does not have."""
    known = keys < len(table)
    found = table[np.where(known, keys, 0)]
    found[~known] = 0
    return found


def rows_of(table: csr_matrix, users: Int64) -> csr_matrix:
    """The users' rows; empty ones for users that it does not have."""
    from scipy.sparse import csr_matrix as make

    known = users < table.shape[0]
    found = table[np.where(known, users, 0)]
    return make(found.multiply(known[:, None].astype(np.float32)).tocsr())


def columns_of(scores: np.ndarray, items: Int64) -> np.ndarray:
    """The items' columns; zeros for items that it does not have."""
    return looked_up(scores.T, items).T
