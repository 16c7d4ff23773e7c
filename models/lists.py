"""Lists of different lengths, one after another in one array, and the offsets at which each begins.

`offsets` is int64 [B + 1], from 0 and not falling: the elements of list i are those at
[offsets[i], offsets[i + 1]). NumPy only. Neighbours: `models.ranking` makes such a pair of a list
of arrays; in the graph, `models.learning.feed.owners_of`.
"""

import numpy as np

from models.arrays import Int64Array, check_array


def check_offsets(offsets: Int64Array, elements: int, of: str) -> None:
    """Raises ValueError unless these are the offsets of lists of so many elements (`of`) in all."""
    check_array("offsets", offsets, np.int64, 1)
    ends = (int(offsets[0]), int(offsets[-1])) if len(offsets) else None
    if ends != (0, elements) or (np.diff(offsets) < 0).any():
        raise ValueError(
            f"`offsets` should rise from 0 to {elements}, the number of `{of}`. Received: "
            f"{len(offsets)} of them, from and to {ends}. Make them of the lists' lengths, with "
            "np.cumsum([0, *lengths])."
        )


def owners(offsets: Int64Array) -> Int64Array:
    """The list of each element: int64 [n]."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def picked(offsets: Int64Array, chosen: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Some of the lists, in another order.

    Args:
        offsets: int64 [B + 1], of the B lists.
        chosen: int64 [b], which of them, in which order; repeats allowed.

    Returns:
        The offsets of the picked lists (int64 [b + 1]), and the places of their elements.
    """
    lengths = offsets[chosen + 1] - offsets[chosen]
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return ends, np.repeat(offsets[chosen] - ends[:-1], lengths) + np.arange(ends[-1])
