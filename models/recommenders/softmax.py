"""The sampled softmax, in the fewest passes over its logits.

What `tfrs.tasks.Retrieval` computes with sampling probabilities, candidate ids and accidental hits
removed, to float32 tolerance (a test holds one against the other). TFRS makes a row per event and
a column per candidate, subtracts, masks and compares with dense labels. What differs:

- a column per *distinct* candidate, and a row per distinct query. A candidate that is c times in
  the batch counts c times in the sum, except for the event whose positive it is: there its other
  copies are accidental hits;
- the correction rides on the product, as one more dimension (in float32: see `models.tables.backend`);
- the gradient is written out, and reuses the exponentials.

Reference: Yi et al., Sampling-bias-corrected neural modeling for large corpus item
recommendations, RecSys 2019.
"""

from collections.abc import Callable

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.tables.backend import compute_dtype, matmul, tf

LEAST_PROBABILITY = 1e-6
"""Smaller sampling probabilities count as this one, as in TFRS."""


def sampled_softmax(
    queries: tf.Tensor,
    items: tf.Tensor,
    offset: tf.Tensor,
    copies: tf.Tensor,
    query: tf.Tensor,
    positive: tf.Tensor,
    weights: tf.Tensor,
) -> tf.Tensor:
    """Sum over B events of weight * -log softmax, where the logit of item j for query u is
    queries[u] . items[j] + offset[j].

    Args:
        queries: float32 [U, d].
        items: float32 [M, d], distinct candidates.
        offset: float32 [M], for example bias - log Q.
        copies: float32 [M], how many times each candidate was drawn, at least 1.
        query: int32 [B], the query of each event.
        positive: int32 [B], the column of each event's item.
        weights: float32 [B].

    Returns:
        float32 scalar. Its gradient flows to queries, items and offset.
    """

    @tf.custom_gradient
    def loss_of(
        queries: tf.Tensor, items: tf.Tensor, offset: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, ...]]]:
        ones = tf.ones_like(queries[:, :1])
        shift = (offset + tf.math.log(copies))[:, None]
        if compute_dtype() == tf.float32:
            logits = tf.linalg.matmul(
                tf.concat([queries, ones], 1), tf.concat([items, shift], 1), transpose_b=True
            )
        else:
            logits = matmul(queries, items, transpose_b=True) + shift[:, 0]
        highest = tf.reduce_max(logits, axis=1, keepdims=True)
        powers = tf.exp(logits - highest)
        # Each event's positive, in the flat matrix: a gather of B numbers.
        place = query * tf.size(offset) + positive
        all_copies = tf.gather(tf.reshape(powers, [-1]), place)
        one_copy = all_copies / tf.gather(copies, positive)
        total = tf.gather(tf.reduce_sum(powers, axis=1), query) - all_copies + one_copy
        own = tf.gather(tf.reshape(logits, [-1]), place) - tf.gather(highest[:, 0], query)
        loss = tf.math.log(total) - own + tf.math.log(tf.gather(copies, positive))

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            share = upstream * weights / total
            rows = tf.math.unsorted_segment_sum(share, query, tf.shape(queries)[0])[:, None]
            # What is wrong with `powers * rows` at the positive: its copies, and the label.
            there = share * (one_copy - all_copies) - upstream * weights
            to_queries = matmul(powers, items) * rows
            to_queries += tf.math.unsorted_segment_sum(
                there[:, None] * tf.gather(items, positive), query, tf.shape(queries)[0]
            )
            to_items = matmul(powers, rows * queries, transpose_a=True)
            to_items += tf.math.unsorted_segment_sum(
                there[:, None] * tf.gather(queries, query), positive, tf.size(offset)
            )
            to_offset = tf.linalg.matmul(powers, rows, transpose_a=True)[:, 0]
            to_offset += tf.math.unsorted_segment_sum(there, positive, tf.size(offset))
            return to_queries, to_items, to_offset

        return tf.reduce_sum(weights * loss), gradient

    return loss_of(queries, items, offset)


def log_probability(rows: tf.Tensor, counted: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """log Q of some items, float32 [M].

    Args:
        rows: int64 [M].
        counted: int64 [D], ascending, at least one: the rows that have a probability of their own.
        probability: float32 [D + 1], theirs and, last, that of all other rows
            (`models.recommenders.softmax`).
    """
    size = tf.size(counted)
    place = tf.minimum(tf.searchsorted(counted, rows), size - 1)
    place = tf.where(tf.gather(counted, place) == rows, place, size)
    return tf.math.log(tf.maximum(tf.gather(probability, place), LEAST_PROBABILITY))


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
