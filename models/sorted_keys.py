"""Finding numbers among others that are in order. NumPy only."""

import numpy as np

from models.arrays import Int64Array


def look_up(ordered: Int64Array, wanted: Int64Array) -> tuple[np.ndarray, Int64Array]:
    """Which of the wanted numbers are there, and the place of each.

    Args:
        ordered: int64 [n], ascending.
        wanted: int64 of any shape.

    Returns:
        Both of `wanted`'s shape: bool, whether it is in `ordered`; int64, its first place there,
        or where it would be inserted (n beyond the last).
    """
    place = np.asarray(np.searchsorted(ordered, wanted), np.int64)
    known = np.asarray(place < len(ordered))
    known[known] = ordered[place[known]] == wanted[known]
    return known, place
