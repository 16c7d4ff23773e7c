"""Fisher information: how much each weight matters to examples of the past (for EWC).

The diagonal of the *empirical* Fisher information: the mean over examples of the squared gradient
of their loss, at labels that did occur (rejected: labels drawn from the model, the true Fisher,
which needs another forward and backward pass per draw).

Squares are of the gradient of a *batch*, summed over batches and divided by the number of examples.
An example's own gradient doesn't exist in an in-batch softmax, and costs a backward pass each where
it does. Near an optimum examples' gradients are independent with mean zero, the cross terms of the
square cancel on average, and both say the same; in one-example batches they are the same.

From one window to the next, the information of older ones fades by a factor: Schwarz et al.,
Progress & compress, ICML 2018 (online EWC). Kirkpatrick et al., PNAS 2017 (EWC).
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from models.backend import tf
from models.learning.feed import Feed
from models.learning.graphs import compiled
from models.learning.row_sparse import distinct
from models.retrieval.sampling import batch_bounds
from models.state import ModelState

PREFIX = "fisher/"
FADING = 0.9
"""What is left of the older windows' information when a new one is added: a half-life of 6.6
windows."""


def fisher(
    state: ModelState, feed: Feed, batch_size: int, seed: int = 0, batches: int | None = None
) -> dict[str, np.ndarray]:
    """Estimates the diagonal of the Fisher information on these examples.

    Args:
        state: what has been trained; it isn't changed.
        feed: examples, from a recipe without dropout.
        batch_size: examples per gradient.
        seed: of the order and of negatives.
        batches: look at so many batches only, drawn without replacement; None: at all.

    Returns:
        Float32 arrays by table, of the tables' shapes: 0 or more; 0 where no example looked.
    """
    squares = _compiled(state, feed)
    total = {
        name: np.zeros(tuple(tf.shape(table).numpy()), np.float32)
        for name, table in state.network.tables.items()
    }
    order = feed.order(np.random.default_rng([seed, state.steps]))
    bounds = batch_bounds(len(feed), batch_size)[: None if batches is None else batches + 1]
    for step, (low, high) in enumerate(pairwise(bounds)):
        chunk = feed.chunk(order[low:high])
        of_rows, of_tables = squares(chunk, high - low, np.array([seed, step], np.int32))
        for name, (rows, values) in of_rows.items():
            total[name][rows.numpy()] += values.numpy()  # the rows are distinct
        for name, values in of_tables.items():
            total[name] += values.numpy()
    return {name: values / np.float32(bounds[-1]) for name, values in total.items()}


def consolidate(
    state: ModelState,
    feed: Feed,
    batch_size: int,
    seed: int = 0,
    fading: float = FADING,
) -> None:
    """Adds these examples' information to the model's own, in `state.extra["fisher/<table>"]`.

    Call it after a training, on what it has seen; `known_fisher` gives it to the next one.
    """
    for name, values in fisher(state, feed, batch_size, seed).items():
        older = state.extra.get(PREFIX + name)
        if older is not None:  # rows that have grown since have no past
            values[: len(older)] += np.float32(fading) * older
        state.extra[PREFIX + name] = values


def known_fisher(state: ModelState) -> dict[str, np.ndarray]:
    """The information that travels with the model, by table; empty if there was none yet."""
    return {
        name.removeprefix(PREFIX): array
        for name, array in state.extra.items()
        if name.startswith(PREFIX)
    }


def _compiled(state: ModelState, feed: Feed) -> Callable[..., tuple[dict, dict]]:
    """The squared gradient of a batch, by table: of distinct rows, and of whole tables."""
    network = state.network

    def trace() -> Any:
        @tf.function(
            input_signature=[
                feed.signature,
                tf.TensorSpec([], tf.int64),
                tf.TensorSpec([2], tf.int32),
            ],
            autograph=False,
        )
        def squares(chunk, size, seed):  # type: ignore[no-untyped-def]
            batch = feed.batch(chunk, tf.constant(0, tf.int64), size, seed)
            with tf.GradientTape() as tape:
                loss = network.compute_loss(batch, training=False)
            of_rows, of_tables = {}, {}
            for name, gradient in tape.gradient(loss, dict(network.tables)).items():
                if gradient is None:
                    continue
                rows, values = distinct(gradient)
                if rows is None:
                    of_tables[name] = tf.square(values)
                else:
                    of_rows[name] = rows, tf.square(values)
            return of_rows, of_tables

        return squares.get_concrete_function()

    shapes = tuple(sorted(feed.signature.items()))
    return compiled(state, ("fisher", feed.kind, shapes), trace)
