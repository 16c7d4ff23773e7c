"""Items' rows from what co-occurs, before any training: where they start, and how they follow.

Both work on S = D^(-1/2) W D^(-1/2), the co-occurrences W with their row sums D divided out:

    start    the leading eigenvectors of S, row by row scaled to length 1 (a spectral embedding; Ng,
             Jordan and Weiss, On spectral clustering, NIPS 2001; found by block power iteration,
             Halko, Martinsson and Tropp, SIAM Review 2011)
    follow   x_i <- unit((1 - n_i) * unit(x_i) + n_i * unit((S x)_i)), a few times, where n_i is the
             share of item i's co-occurrences that is new: a new item (n = 1) gets a place among
             those it was seen with, a well-known one hardly moves, one that wasn't seen stays
             (label propagation; Zhou et al., Learning with local and global consistency, NIPS 2003;
             on item embeddings: He et al., LightGCN, SIGIR 2020)

The second keeps the space that the other weights have learned; a new start each time would turn it.
Rejected: moving all items alike (n the same for all, 1/2), which over several updates makes the
rows of different items alike: on DIGINETICA the network's own Recall@20 was then 49.8 % in period
4, and is 51.4 %. Rejected: `tf.sparse`, whose product takes four times as long on a CPU.
"""

import numpy as np
from scipy.sparse import csr_array

from models.data.checks import Float32Array
from models.data.ragged import owners
from models.sessions.cooccurrence import Cooccurrence

POWER_STEPS = 4
OVERSAMPLING = 20


def start_rows(memory: Cooccurrence, width: int, seed: int) -> Float32Array:
    """float32 [n, width]: a row of length 1 for each of the memory's n items.

    Where there are fewer items than coordinates, the others are 0.
    """
    rng = np.random.default_rng([seed, *b"spectral"])
    links = _links(memory)
    size = len(memory.keys)
    basis = rng.standard_normal((size, min(size, width + OVERSAMPLING))).astype(np.float32)
    for _ in range(POWER_STEPS):
        basis, _ = np.linalg.qr(links @ basis)
    values, vectors = np.linalg.eigh(basis.T @ (links @ basis))
    leading = np.argsort(-values)[:width]
    scaled = basis @ vectors[:, leading] * np.sqrt(np.maximum(values[leading], 1e-3))
    rows = np.zeros((size, width), np.float32)
    rows[:, : len(leading)] = scaled
    return _unit(rows)


def follow(
    memory: Cooccurrence, rows: Float32Array, news: Float32Array, steps: int
) -> Float32Array:
    """The rows (float32 [n, d], one per item of the memory) after so many steps: of length 1.

    `news` is float32 [n], in [0, 1]: what `Cooccurrence.news_since` says.
    """
    moving = np.flatnonzero(news > 0)
    links = _links(memory)[moving]
    moved = _unit(rows)
    share = news[moving, None]
    for _ in range(steps):
        moved[moving] = _unit((1.0 - share) * moved[moving] + share * _unit(links @ moved))
    return moved


def _links(memory: Cooccurrence) -> csr_array:
    """S, float32 [n, n]."""
    size = len(memory.keys)
    owner = owners(memory.offsets)
    total = np.bincount(owner, weights=memory.weights, minlength=size)
    scale = (1.0 / np.sqrt(np.maximum(total, 1e-6))).astype(np.float32)
    values = memory.weights * scale[owner] * scale[memory.neighbours]
    return csr_array((values, memory.neighbours, memory.offsets), shape=(size, size))


def _unit(vectors: np.ndarray) -> Float32Array:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6), np.float32)
