"""Sessions as training takes them: padded rows, the places to predict, and negatives."""

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.sessions import Sessions
from models.errors import BadTrainingData
from models.learning.memory import Examples
from models.learning.recipes import Recipe
from models.tables.backend import tf
from models.tables.state import ModelState

Arrays = dict[str, np.ndarray]
Tensors = dict[str, tf.Tensor]
BLOCK_BATCHES = 16
"""Sessions of like length share a batch, among so many batches drawn together: less padding."""


class SessionBatches:
    """N sessions, each an example with as many targets as it has weights. See
    `models.learning.batch_source.BatchSource`.

    Attributes:
        weights: float32 [N], the sum of each session's target weights.
        targets: how many targets there are.
    """

    kind = "sessions"

    def __init__(
        self, state: ModelState, rows: Int64Array, target_weights: Float32Array, recipe: Recipe
    ) -> None:
        """Takes rows that are ready; `batches_of_sessions` and `batches_of` make them.

        Args:
            state: gives the configuration.
            rows: int64 [N, H + 1], known item rows, oldest first, then 0.
            target_weights: float32 [N, H], of the item one place further as a target.
            recipe: dropout hides items that are looked at.

        Raises:
            BadTrainingData: there is no target with a weight.
        """
        if not target_weights.any():
            raise BadTrainingData(
                f"There is nothing to learn from: {len(rows)} session(s), none with an item that "
                "is known and follows another one. Add the window's items first, skip "
                "the update, or widen its window."
            )
        self._rows, self._target_weights = rows, target_weights
        self.weights: Float32Array = target_weights.sum(axis=1, dtype=np.float32)
        self.targets = int(np.count_nonzero(target_weights))
        self._length = np.count_nonzero(rows, axis=1)
        self._recipe, self._config = recipe, state.config
        self._pool = np.unique(rows[rows > 0])
        width, spec = state.config.history_length, tf.TensorSpec
        self.signature = {
            "rows": spec([None, width + 1], tf.int64),
            "target_weights": spec([None, width], tf.float32),
            "pool": spec([None], tf.int64),
            "dropout": spec([], tf.float32),
        }

    def __len__(self) -> int:
        return len(self._rows)

    def order(self, rng: np.random.Generator) -> Int64Array:
        order = rng.permutation(len(self)).astype(np.int64)
        if self._recipe.shuffle == "none":
            return np.arange(len(self))
        size = self._recipe.batch_size
        blocks = [
            block[np.argsort(self._length[block], kind="stable")]
            for low in range(0, len(self), size * BLOCK_BATCHES)
            for block in [order[low : low + size * BLOCK_BATCHES]]
        ]
        # Short sessions first in every block would be a rhythm in the gradients.
        order = np.concatenate(blocks)
        whole = len(order) // size
        shuffled = order[: whole * size].reshape(whole, size)[rng.permutation(whole)]
        return np.concatenate([shuffled.ravel(), order[whole * size :]])

    def chunk(self, examples: Int64Array) -> Arrays:
        return {
            "rows": self._rows[examples],
            "target_weights": self._target_weights[examples],
            "pool": self._pool,
            "dropout": np.float32(self._recipe.dropout),  # type: ignore[dict-item]
        }

    def batch(self, chunk: Tensors, low: tf.Tensor, high: tf.Tensor, seed: tf.Tensor) -> Tensors:
        rows = chunk["rows"][low:high]
        longest = tf.reduce_max(tf.math.count_nonzero(rows, axis=1))
        before, after = rows[:, : longest - 1], rows[:, 1:longest]
        weights = tf.reshape(chunk["target_weights"][low:high, : longest - 1], [-1])
        place = tf.where(weights > 0)[:, 0]
        drawn = tf.random.stateless_uniform(
            [self._config.uniform_negatives],
            seed,
            maxval=tf.size(chunk["pool"]),
            minval=0,
            dtype=tf.int32,
        )
        targets = tf.gather(tf.reshape(after, [-1]), place)
        candidates, position = tf.unique(
            tf.concat([targets, tf.gather(chunk["pool"], drawn)], axis=0)
        )
        hiding, cropping, masking = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
        inputs = {
            "sequence": mask(before, chunk["dropout"], hiding),
            "place": tf.cast(place, tf.int32),
            "position": position[: tf.size(targets)],
            "weights": tf.gather(weights, place),
            "candidate_rows": candidates,
            "seed": seed,
        }
        if self._config.contrastive:
            latest = before[:, -self._config.history_length :]
            inputs["views"] = tf.stack(
                [
                    crop(latest, self._config.crop, cropping),
                    mask(latest, self._config.mask, masking),
                ]
            )
        return inputs

    def touched(self) -> dict[str, Int64Array]:
        return {"items": self._pool}


def batches_of_sessions(state: ModelState, sessions: Sessions, recipe: Recipe) -> SessionBatches:
    """Every item but the first of each session as a target. Items that the model doesn't know are
    left out; a session longer than H + 1 is cut into overlapping pieces, each target in one."""
    known = sessions.keep_items(state.items.rows(sessions.item_keys) > 0, least=2)
    width = state.config.history_length
    rows = state.items.rows(known.item_keys)
    pieces = [
        (low, min(low + width + 1, high), first)
        for start, high in zip(known.offsets[:-1].tolist(), known.offsets[1:].tolist(), strict=True)
        for low, first in _pieces(start, high, width)
    ]
    bounds = np.array(pieces, np.int64).reshape(-1, 3)
    column = np.arange(width + 1)[None, :]
    at = bounds[:, :1] + column
    padded = np.where(at < bounds[:, 1:2], rows[np.minimum(at, max(len(rows) - 1, 0))], 0)
    weighed = (padded[:, 1:] > 0) & (at[:, 1:] >= bounds[:, 2:])
    return SessionBatches(state, padded, weighed.astype(np.float32), recipe)


def _pieces(start: int, end: int, width: int) -> list[tuple[int, int]]:
    """Where each piece of a session begins, and its first target: half of a piece looks back."""
    pieces, first = [(start, start + 1)], start + width + 1
    while first < end:
        pieces.append((first - width // 2 - 1, first))
        first = pieces[-1][0] + width + 1
    return pieces


def examples_of(state: ModelState, sessions: Sessions) -> Examples:
    """One example per target, for the memory: `prefix` int64 [n, H] item keys, most recent first,
    `item_keys` int64 [n], the target, and `weights` float32 [n]."""
    prefix, targets = sessions.prefixes(state.config.history_length)
    return {"prefix": prefix, "item_keys": targets, "weights": np.ones(len(targets), np.float32)}


def batches_of(state: ModelState, examples: Examples, recipe: Recipe) -> SessionBatches:
    """The examples as training takes them: the last item of each is its only target."""
    prefix = state.items.rows(examples["prefix"])
    size, width = prefix.shape
    # What isn't known (any more) leaves no hole.
    order = np.argsort(prefix == 0, axis=1, kind="stable")
    prefix = np.take_along_axis(prefix, order, axis=1)
    length = np.count_nonzero(prefix, axis=1)
    column = np.arange(width)[None, :]
    back = np.maximum(length[:, None] - 1 - column, 0)
    rows = np.zeros((size, width + 1), np.int64)
    rows[:, :width] = np.where(column < length[:, None], np.take_along_axis(prefix, back, 1), 0)
    rows[np.arange(size), length] = state.items.rows(examples["item_keys"])
    weights = np.zeros((size, width), np.float32)
    some = length > 0
    weights[some, length[some] - 1] = examples["weights"][some]
    return SessionBatches(state, rows, weights, recipe)


def vectors_of(state: ModelState, examples: Examples) -> Float32Array:
    """What herding compares among the examples of an item: the session's vector, float32 [n, d]."""
    prefix = state.items.rows(examples["prefix"])
    made = [np.zeros((0, state.config.dimension), np.float32)]
    for low in range(0, len(prefix), 4096):
        rows = tf.constant(prefix[low : low + 4096])
        made.append(state.network.query_vectors(rows, rows, rows).numpy())
    return np.concatenate(made)


# Augmented views of sessions, in the graph: a crop, and a mask.
#
# A session is a row of int64 [S, T]: item rows oldest first, then 0 (padding). Both views keep
# that form. The same seed gives the same view.
#
# Reference: Xie et al., Contrastive learning for sequential recommendation (CL4SRec), ICDE 2022,
# sections 3.2.1 and 3.2.2. Its third view, reordering, is left out: in a session order is the
# signal.


def crop(sessions: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """One contiguous piece of each session, moved to the front.

    Args:
        sessions: int64 [S, T].
        share: of its items that a session keeps, in (0, 1]; rounded up, so one at least.
        seed: int32 [2].
    """
    length = tf.math.count_nonzero(sessions, axis=1)
    kept = tf.cast(tf.math.ceil(share * tf.cast(length, tf.float32) - 1e-4), tf.int64)
    room = tf.cast(length - kept + 1, tf.float32)
    draws = tf.random.stateless_uniform(tf.shape(length), seed)
    start = tf.minimum(tf.cast(draws * room, tf.int64), length - kept)
    column = tf.range(tf.shape(sessions)[1], dtype=tf.int64)[None, :]
    place = tf.minimum(start[:, None] + column, tf.shape(sessions, tf.int64)[1] - 1)
    return tf.where(column < kept[:, None], tf.gather(sessions, place, batch_dims=1), 0)


def mask(sessions: tf.Tensor, share: "float | tf.Tensor", seed: tf.Tensor) -> tf.Tensor:
    """Each item replaced, with probability `share` in [0, 1), by row 0: what isn't known."""
    draws = tf.random.stateless_uniform(tf.shape(sessions), seed)
    return tf.where(draws < share, tf.zeros_like(sessions), sessions)
