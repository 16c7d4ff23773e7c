"""The largest of very many dot products, found exactly through whole numbers.

One product of a query with 10^6 vectors reads 400 MB. In int8 it reads a quarter of that, by
instructions made for it, and says each product up to a bound that is known; only what may be among the
best within that bound is computed in float32:

    |q . v - q' . v'| <= |q - q'| |v| + |q'| |v - v'|         q', v' rounded to int8

So the answer is that of all products, whatever the vectors are like; there is no index to build, and no
recall to tune. (Rejected: HNSW and inverted lists, which build for minutes and find less where vectors
have no clusters; measured in docs/adr/0031.) Sums of whole numbers are the same in any order.
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from models.data.best_of_rows import LOWEST, kth_best
from models.data.checks import Float32Array, Int64Array

STEPS = 127
"""Of int8, on either side of zero."""
STRETCH = 250_000
"""Vectors that a core is given at least: fewer do not pay. Whatever the cores, the same stretches: their
sums are the same bits on every machine."""
BLOCK = 65_536
"""Vectors that are rounded at a time."""


@dataclass(frozen=True, eq=False)
class Rough:
    """What is known of one query's products with M vectors without their exact values.

    Attributes:
        products: float32 [M], with offsets.
        bound: how far the exact ones may be from them.
        log_sum: log of the sum over all of exp(product / temperature).
    """

    products: Float32Array
    bound: float
    log_sum: np.float32


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
        for low in range(0, len(vectors), BLOCK):
            block = vectors[low : low + BLOCK]
            rounded = np.rint(block / np.float32(self._scale))
            whole[low : low + BLOCK] = rounded
            lost = block - rounded * np.float32(self._scale)
            self._longest = max(self._longest, _longest(block))
            self._error = max(self._error, _longest(lost))
        parts = max(1, len(vectors) // STRETCH)
        edges = np.linspace(0, len(vectors), parts + 1, dtype=np.int64).tolist()
        self._stretches = [slice(*edge) for edge in itertools.pairwise(edges)]
        self._packed = [numkong.dots_pack(whole[stretch]) for stretch in self._stretches]

    def __len__(self) -> int:
        return len(self.vectors)

    def rough(self, query: Float32Array, temperature: np.float32) -> Rough:
        """All products, nearly; of a very large catalogue each stretch by a core of its own.

        Args:
            query: float32 [d].
            temperature: positive.
        """
        scale = np.float32(max(float(np.abs(query).max(initial=0.0)), 1e-12) / STEPS)
        rounded = np.rint(query / scale)
        whole, step = rounded.astype(np.int8)[None], scale * np.float32(self._scale)
        products = np.empty(len(self), np.float32)

        def of_stretch(stretch: slice, packed: Any) -> tuple[np.float32, float]:
            here = products[stretch]
            found = np.asarray(self._dots_packed(whole, packed))[0]
            np.multiply(found, step, out=here, casting="unsafe")
            here += self.offsets[stretch]
            powers = here / temperature
            largest = powers.max()
            np.subtract(powers, largest, out=powers)
            return largest, float(np.exp(powers, out=powers).sum(dtype=np.float64))

        several = len(self._stretches) > 1 and (os.cpu_count() or 1) > 1
        work = self._cores.map if several else map
        parts = list(work(of_stretch, self._stretches, self._packed))
        largest = max(top for top, _ in parts)
        total = sum(part * np.exp(np.float64(top - largest)) for top, part in parts)
        meant = rounded * scale
        bound = (
            _longest((query - meant)[None]) * self._longest + _longest(meant[None]) * self._error
        )
        # Both sides are rounded to float32 on their way.
        bound += 1e-5 * float(np.abs(self.offsets).max(initial=1.0) + 1.0)
        return Rough(products, bound, np.float32(np.log(total) + largest))

    def exact(self, query: Float32Array, places: Int64Array) -> Float32Array:
        """The products with offsets of some vectors: float32 [n] from int64 [n]."""
        found = np.einsum("d,nd->n", query, self.vectors[places])
        return np.asarray(found + self.offsets[places], np.float32)

    def best(self, query: Float32Array, rough: Rough, count: int) -> Int64Array:
        """Places of the `count` largest, ascending; of ties at the edge all, and none that is -inf in
        `rough.products`, where the caller may have hidden some."""
        edge = kth_best(rough.products[None], count)[0]
        some = np.flatnonzero(rough.products >= max(edge - 2 * rough.bound, LOWEST))
        values = self.exact(query, some)
        return some[values >= kth_best(values[None], count)[0]]

    @cached_property
    def _cores(self) -> ThreadPoolExecutor:
        """Made when it is needed first: threads do not live on in a process that is forked later."""
        return ThreadPoolExecutor(min(len(self._stretches), os.cpu_count() or 1), "nearest")


def _longest(vectors: Float32Array) -> float:
    """The length of the longest row."""
    return float(np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1).max(initial=0.0)))
