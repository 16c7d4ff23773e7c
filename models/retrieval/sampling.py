"""In what order events are seen, and how often an item is therefore in a batch.

NumPy only, and a function of its arguments: the same seed gives the same order.
"""

import numpy as np

from models.arrays import Float32Array, Int32Array, Int64Array

SHUFFLES = ("baskets", "events", "none")


def event_order(query: Int32Array, shuffle: str, rng: np.random.Generator) -> Int64Array:
    """The order in which one epoch sees its events.

    Args:
        query: int32 [N], the query of each event.
        shuffle: "baskets" shuffles the queries and keeps the events of each together, so that the
            query tower is computed once per basket; "events" shuffles the events; "none" keeps
            the order given (chronological, if the caller sorted by time).
        rng: the source of the order.

    Returns:
        int64 [N], a permutation.
    """
    if shuffle == "none":
        return np.arange(len(query))
    if shuffle == "events":
        return rng.permutation(len(query))
    if shuffle == "baskets":
        place = rng.permutation(int(query.max()) + 1 if len(query) else 0)
        return np.argsort(place[query], kind="stable")
    raise ValueError(f"`shuffle` should be one of {', '.join(SHUFFLES)}. Received: {shuffle!r}.")


def batch_bounds(events: int, batch_size: int) -> Int64Array:
    """Bounds [steps + 1] of the fewest batches of at most `batch_size`, equal to within one.

    Equal, because a last batch of three events would have two negatives.
    """
    steps = -(-events // batch_size)
    return np.linspace(0, events, steps + 1).round().astype(np.int64)


def sampling_probability(
    item_rows: Int64Array, items: int, batch_size: int, uniform_negatives: int = 0
) -> tuple[Int64Array, Float32Array]:
    """How likely each item is to be a candidate of a batch, relative to the likeliest.

    An item is drawn by being in one of `batch_size` events, or by being one of
    `uniform_negatives` drawn from the catalogue:
    Q(j) = (B * count(j) / N + K / M) / (B + K). Counted on the training set given, exactly
    (Yi et al. 2019 estimate it from a stream, since they never hold one).

    Only ratios matter to a softmax, so Q is divided by its maximum: TFRS clips at 1e-6, which
    absolute probabilities reach with a catalogue of a million items. Told apart for the items of the
    training set alone: all others have one probability, and the catalogue may be large.

    Args:
        item_rows: int64 [N], rows of the items of the training set.
        items: M, how many there are in the catalogue.

    Returns:
        The distinct rows, int64 [D], ascending, and float32 [D + 1] in [0, 1]: the probability of
        each of them and, last, that of any other item.
    """
    rows, counts = np.unique(item_rows, return_counts=True)
    uniform = uniform_negatives / max(items, 1)
    expected = np.append(batch_size * counts / max(len(item_rows), 1), 0.0) + uniform
    return rows, (expected / max(expected.max(), 1e-30)).astype(np.float32)
