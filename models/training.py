"""Training: the loop that follows a recipe.

The loop is compiled, but gives control back to Python after every chunk of steps, so that a
caller can beat its heart, log, or stop it. What to train on, and with which recipe, is decided in
`recloop`.
"""

import time
from collections.abc import Callable

import numpy as np

from models.arrays import Int64Array, Interactions, Queries
from models.backend import tf
from models.errors import BadTrainingData, NonFiniteWeights
from models.recipes import (
    INCREMENT,
    REBUILD,
    ProgressCallback,
    Recipe,
    TrainingProgress,
    TrainingReport,
)
from models.sampling import batch_bounds, event_order, sampling_probability
from models.state import ModelState

__all__ = [
    "INCREMENT",
    "REBUILD",
    "ProgressCallback",
    "Recipe",
    "TrainingProgress",
    "TrainingReport",
    "fit",
    "translate",
]

CHUNK_STEPS = 32


def fit(
    state: ModelState,
    queries: Queries,
    interactions: Interactions,
    recipe: Recipe,
    progress: ProgressCallback | None = None,
) -> TrainingReport:
    """Trains `state` in place.

    Deterministic on CPU: the same state, arrays and recipe give the same bits.

    Args:
        state: what has been grown to know the items (and the users) of the interactions.
        queries: the B queries; their history must be as wide as the model's, or narrower.
        interactions: the N events.
        recipe: how.
        progress: called after each chunk of at most 32 steps; what it raises stops training, and
            the state is then between two steps: sound, but partly trained.

    Raises:
        BadTrainingData: there is nothing to learn from, an item is unknown, an index is beyond
            the queries, or the statistics are of another width. Nothing was trained.
        NonFiniteWeights: the loss became NaN or infinite. Throw the state away.
    """
    item_rows = _check(state, queries, interactions)
    started = time.process_time()
    inputs = translate(state, queries)
    probability = tf.constant(
        sampling_probability(
            item_rows, len(state.items) + 1, recipe.batch_size, state.config.uniform_negatives
        )
    )
    bounds = batch_bounds(len(interactions), recipe.batch_size)
    per_epoch = len(bounds) - 1
    run_chunk = _compiled_chunk(state)
    losses: list[float] = []
    done = 0
    start = state.steps
    for epoch in range(recipe.epochs):
        rng = np.random.default_rng([recipe.seed, start, epoch])
        order = event_order(interactions.query, recipe.shuffle, rng)
        for low in range(0, per_epoch, CHUNK_STEPS):
            edges = bounds[low : low + CHUNK_STEPS + 1]
            events = order[edges[0] : edges[-1]]
            distinct, query = np.unique(interactions.query[events], return_inverse=True)
            weights = interactions.weights[events]
            total = run_chunk(
                *(array[distinct] for array in inputs),
                query.astype(np.int32),
                item_rows[events],
                weights,
                edges - edges[0],
                probability,
                np.array([recipe.seed, state.steps], np.int32),
                np.array([recipe.dropout, recipe.user_dropout], np.float32),
                np.float32(recipe.learning_rate),
                np.float32(recipe.clip_norm),
            )
            loss = float(total) / max(float(weights.sum()), 1e-12)
            state.steps += len(edges) - 1
            done += len(events)
            losses.append(loss)
            if not np.isfinite(loss):
                raise NonFiniteWeights(
                    f"The loss became {loss} in epoch {epoch + 1}, by step {state.steps - start}, "
                    f"with learning_rate={recipe.learning_rate}. Lower the learning rate or set "
                    "clip_norm, and start again from the last saved model."
                )
            if progress is not None:
                progress(
                    TrainingProgress(
                        epoch=epoch + 1,
                        epochs=recipe.epochs,
                        step=state.steps - start,
                        steps=per_epoch * recipe.epochs,
                        examples=done,
                        loss=loss,
                    )
                )
    return TrainingReport(
        examples=done,
        steps=state.steps - start,
        first_loss=losses[0],
        last_loss=losses[-1],
        cpu_seconds=time.process_time() - started,
    )


def translate(state: ModelState, queries: Queries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries as the graph takes them: user rows [B], history rows [B, H], statistics [B, S]."""
    width = state.config.history_length
    history = np.zeros((len(queries), width), np.int64)
    kept = state.items.rows(queries.history[:, :width])
    history[:, : kept.shape[1]] = kept
    return state.users.rows(queries.user_keys), history, queries.statistics


def _check(state: ModelState, queries: Queries, interactions: Interactions) -> Int64Array:
    """The items' rows, int64 [N]; BadTrainingData if these arrays can't be learned from."""
    if len(interactions) == 0 or not interactions.weights.any():
        raise BadTrainingData(
            f"There is nothing to learn from: {len(interactions)} interactions, none with a "
            "positive weight. Skip the update, or widen its window."
        )
    if interactions.query.max() >= len(queries):
        raise BadTrainingData(
            f"Interaction {int(interactions.query.argmax())} points to query "
            f"{interactions.query.max()}, of {len(queries)}. Build `query` against these queries."
        )
    if queries.statistics.shape[1] != state.config.statistics_width:
        raise BadTrainingData(
            f"The model takes {state.config.statistics_width} statistics per query. Received: "
            f"{queries.statistics.shape[1]}. Select the same features, or rebuild the model."
        )
    rows = state.items.rows(interactions.item_keys)
    if (rows == 0).any():
        unknown = np.unique(interactions.item_keys[rows == 0])
        raise BadTrainingData(
            f"{len(unknown)} item(s) of the interactions are unknown to the model, the first is "
            f"{unknown[0]}. Call grow() with the window's items before fit()."
        )
    return rows


def _compiled_chunk(state: ModelState) -> Callable[..., tf.Tensor]:
    """The compiled chunk of this state, traced once: growing doesn't change its signature."""
    if "chunk" not in state.compiled:
        state.compiled["chunk"] = _compile_chunk(state)
    return state.compiled["chunk"]  # type: ignore[return-value]


def _compile_chunk(state: ModelState) -> Callable[..., tf.Tensor]:
    tower, optimizer, config = state.tower, state.optimizer, state.config
    names = list(tower.tables)
    spec = tf.TensorSpec

    @tf.function(
        input_signature=[
            spec([None], tf.int64),
            spec([None, config.history_length], tf.int64),
            spec([None, config.statistics_width], tf.float32),
            spec([None], tf.int32),
            spec([None], tf.int64),
            spec([None], tf.float32),
            spec([None], tf.int64),
            spec([None], tf.float32),
            spec([2], tf.int32),
            spec([2], tf.float32),
            spec([], tf.float32),
            spec([], tf.float32),
        ]
    )
    def run_chunk(  # type: ignore[no-untyped-def]
        user_rows, history_rows, statistics, query, item_rows, weights, edges, probability,
        seed, dropout, learning_rate, clip_norm,
    ):  # fmt: skip
        total = tf.constant(0.0)
        for step in tf.range(tf.size(edges) - 1):
            low, high = edges[step], edges[step + 1]
            distinct, position = tf.unique(query[low:high])
            here = tf.stack([seed[0], seed[1] + step])
            history = tf.gather(history_rows, distinct)
            user = tf.gather(user_rows, distinct)
            # One seed, two streams: uniform numbers for the history, and one more column for ids.
            luck = tf.random.stateless_uniform([tf.size(user), config.history_length + 1], here)
            batch = {
                "user_rows": tf.where(luck[:, -1] >= dropout[1], user, 0),
                "history_rows": history,
                "statistics": tf.gather(statistics, distinct),
                "keep": luck[:, :-1] >= dropout[0],
                "query": position,
                "item_rows": item_rows[low:high],
                "weights": weights[low:high],
                "negative_rows": tf.random.stateless_uniform(
                    [config.uniform_negatives],
                    here,
                    minval=1,
                    maxval=tf.shape(probability, tf.int64)[0],
                    dtype=tf.int64,
                ),
                "probability": probability,
            }
            with tf.GradientTape() as tape:
                loss = tower.compute_loss(batch, training=True)
            gradients = tape.gradient(loss, [tower.tables[name] for name in names])
            optimizer.apply(
                tower.tables, dict(zip(names, gradients, strict=True)), learning_rate, clip_norm
            )
            total += loss
        return total

    return run_chunk
