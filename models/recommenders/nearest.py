"""The largest of very many dot products, found exactly through whole numbers.

One product of a query with 10^6 vectors reads 400 MB. In int8 it reads a quarter of that, by
instructions made for it, and says each product up to a bound that is known; only what may be among the
best within that bound is computed in float32:

    |q . v - q' . v'| <= |q - q'| |v| + |q'| |v - v'|         q', v' rounded to int8

So the answer is that of all products, whatever the vectors are like; there is no index to build, and no
recall to tune. (Rejected: HNSW and inverted lists, which build for minutes and find less where vectors
have no clusters; measured in docs/adr/0031.) Sums of whole numbers are the same in any order.
"""

import numpy as np

from models.data.best_of_rows import kth_best
from models.data.checks import Float32Array, Int64Array

STEPS = 127
"""Of int8, on either side of zero."""


class Nearest:
    """M vectors, each with a number that is added to its products.

    Args:
        vectors: float32 [M, d].
        offsets: float32 [M].
    """

    def __init__(self, vectors: Float32Array, offsets: Float32Array) -> None:
        import numkong  # a catalogue of usual size needs none of its 40 MB

        self.vectors, self.offsets = vectors, offsets
        self._dots_packed = numkong.dots_packed
        self._scale = max(float(np.abs(vectors).max(initial=0.0)), 1e-12) / STEPS
        whole, self._longest, self._error = np.empty(vectors.shape, np.int8), 0.0, 0.0
        for low in range(0, len(vectors), 65_536):
            block = vectors[low : low + 65_536]
            rounded = np.rint(block / np.float32(self._scale))
            whole[low : low + 65_536] = rounded
            lost = block - rounded * np.float32(self._scale)
            self._longest = max(self._longest, _longest(block))
            self._error = max(self._error, _longest(lost))
        self._packed = numkong.dots_pack(whole)

    def __len__(self) -> int:
        return len(self.vectors)

    def rough(self, query: Float32Array) -> tuple[Float32Array, float]:
        """All products with offsets, nearly: float32 [M]; and how far the exact ones may be from them.

        Args:
            query: float32 [d].
        """
        scale = np.float32(max(float(np.abs(query).max(initial=0.0)), 1e-12) / STEPS)
        rounded = np.rint(query / scale)
        products = self._dots_packed(rounded.astype(np.int8)[None], self._packed)
        found = np.asarray(products)[0].astype(np.float32)
        found *= scale * np.float32(self._scale)
        found += self.offsets
        meant = rounded * scale
        bound = (
            _longest((query - meant)[None]) * self._longest + _longest(meant[None]) * self._error
        )
        # Both sides are rounded to float32 on their way.
        return found, bound + 1e-5 * float(np.abs(self.offsets).max(initial=1.0) + 1.0)

    def exact(self, query: Float32Array, places: Int64Array) -> Float32Array:
        """The products with offsets of some vectors: float32 [n] from int64 [n]."""
        found = np.einsum("d,nd->n", query, self.vectors[places])
        return np.asarray(found + self.offsets[places], np.float32)

    def best(
        self, query: Float32Array, rough: Float32Array, bound: float, count: int
    ) -> Int64Array:
        """Places of the `count` largest, ascending; of ties at the edge all, and none that is -inf in
        `rough`, where the caller may have hidden some."""
        edge = kth_best(rough[None], count)[0]
        some = np.flatnonzero((rough >= edge - 2 * bound) & (rough > -np.inf))
        values = self.exact(query, some)
        return some[values >= kth_best(values[None], count)[0]]


def _longest(vectors: Float32Array) -> float:
    """The length of the longest row."""
    return float(np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1).max(initial=0.0)))
