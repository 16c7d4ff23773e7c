"""Training on several devices or machines, with `tf.distribute`: data parallel, synchronous.

Every replica makes the same batch, from the same seed, and takes a share of its examples against
*all* of its candidates: so the losses of the shares sum to the loss of one process, in-batch
negatives included. Gradients are summed over replicas, and each applies the same step to its own
copy of the tables. Nothing else changes: the same batches, recipe and report.

Which strategy is a matter of the surroundings: workers named in `TF_CONFIG` (each runs the same
program on the same data), else several GPUs, else none. Or the caller's, within
`with strategy.scope():`. A model must be made and trained under the same one.

A step sends three messages: how long the rows' gradients are, these in one padded piece, and the
whole tables' with the loss in another. Rejected: `ReplicaContext.all_reduce` on the IndexedSlices
of each table. In a compiled loop a collective must keep its shape, and the number of rows changes
at every step; hence few sizes, padding, and one branch for each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from models.tables.backend import tf

SIZES = tuple(4**power for power in range(5, 15))
"""Gradients are sent as one of these many numbers, 1,024 to 268M."""


def current() -> tf.distribute.Strategy:
    """The strategy to make and train models under: the caller's scope, or what is there.

    Raises:
        RuntimeError: `TF_CONFIG` names several workers, but TensorFlow is already in use here.
    """
    return tf.distribute.get_strategy() if tf.distribute.has_strategy() else _surroundings()


@cache
def _surroundings() -> tf.distribute.Strategy:
    """One strategy per process: a second one would ask the other workers to join it."""
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec()
    if len(cluster.as_dict().get("worker", ())) + len(cluster.as_dict().get("chief", ())) > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def take_step(
    strategy: tf.distribute.Strategy,
    differentiate: "Callable[[tf.Tensor | int, int], tuple[tf.Tensor, Any]]",
    descend: "Callable[[Any], tf.Tensor]",
) -> tuple[tf.Tensor, tf.Tensor]:
    """One step of the compiled loop, on all replicas.

    Args:
        strategy: that the tables were made under.
        differentiate: (index, count) -> loss and gradients by table of that share of the batch.
        descend: applies the whole batch's gradients to the tables of a replica; returns their norm.

    Returns:
        The whole batch's loss and its gradient's norm, float32 scalars.
    """
    count = strategy.num_replicas_in_sync
    if count == 1:
        loss, gradients = differentiate(0, 1)
        return loss, descend(gradients)

    # All replicas send the same tables: the parts of the last one traced say how to read the rest.
    parts = []  # type: list[_Part]  # AutoGraph can't have an annotated one changed from within

    def share() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        index = tf.distribute.get_replica_context().replica_id_in_sync_group
        loss, gradients = differentiate(index, count)
        parts.clear()
        parts.extend(_part(name, g) for name, g in gradients.items() if g is not None)
        lengths = [tf.size(part.rows) for part in parts if part.rows is not None]
        whole = [tf.reshape(part.values, [-1]) for part in parts if part.rows is None]
        return (
            tf.stack([*lengths, tf.size(0)]),
            tf.concat([_packed(part) for part in parts if part.rows is not None] or [[0.0]], 0),
            tf.concat([*whole, loss[None]], 0),
        )

    lengths, sparse, dense = strategy.run(share)
    lengths = tf.reshape(strategy.gather(lengths, axis=0), [count, -1])
    sparse = _gather(strategy, sparse)
    dense = strategy.reduce("SUM", dense, axis=None)
    norms = strategy.run(
        lambda *sent: descend(_unpacked(parts, *sent)), args=(lengths, sparse, dense)
    )
    return dense[-1], strategy.experimental_local_results(norms)[0]


@dataclass(frozen=True, eq=False)
class _Part:
    """A table's gradient on one replica: float32 [n, …] of rows int64 [n], or of all of it."""

    name: str
    rows: tf.Tensor | None
    values: tf.Tensor


def _part(name: str, gradient: "tf.Tensor | tf.IndexedSlices") -> _Part:
    if isinstance(gradient, tf.IndexedSlices):
        return _Part(name, tf.cast(gradient.indices, tf.int64), gradient.values)
    if gradient.shape.is_fully_defined():
        return _Part(name, None, gradient)
    # A whole table that grows: its shape isn't that of the next call.
    return _Part(name, tf.range(tf.shape(gradient, tf.int64)[0]), gradient)


def _packed(part: _Part) -> tf.Tensor:
    """Rows, two numbers each, and their gradient: float32 [n * (2 + width)]."""
    return tf.concat(
        [tf.reshape(tf.bitcast(part.rows, tf.float32), [-1]), tf.reshape(part.values, [-1])], 0
    )


def _gather(strategy: tf.distribute.Strategy, packed: Any) -> tf.Tensor:
    """What all replicas have packed, each with its own length: float32 [replicas, size]."""
    needed = strategy.gather(strategy.run(lambda sent: tf.shape(sent), args=(packed,)), axis=0)

    def sending(size: int) -> Callable[[], tf.Tensor]:
        def padded(sent: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.pad(sent, [[0, size - tf.size(sent)]]), [size])

        return lambda: strategy.gather(strategy.run(padded, args=(packed,)), axis=0)

    size = tf.reduce_sum(tf.cast(tf.reduce_max(needed) > tf.constant(SIZES), tf.int32))
    sent = tf.switch_case(size, [sending(size) for size in SIZES])
    return tf.reshape(sent, [strategy.num_replicas_in_sync, -1])


def _unpacked(
    parts: list[_Part], lengths: tf.Tensor, sparse: tf.Tensor, dense: tf.Tensor
) -> "dict[str, tf.Tensor | tf.IndexedSlices]":
    """The whole batch's gradients by table: rows of all replicas, one after another, and sums.

    Args:
        lengths: int32 [replicas, sparse parts + 1].
        sparse: float32 [replicas, size]. dense: float32 [n].
    """
    gradients: dict[str, tf.Tensor | tf.IndexedSlices] = {}
    taken, column = 0, 0
    offset = [tf.constant(0)] * sparse.shape[0]
    for part in parts:
        width = part.values.shape[1:]
        if part.rows is None:
            size = part.values.shape.num_elements()
            gradients[part.name] = tf.reshape(dense[taken : taken + size], part.values.shape)
            taken += size
            continue
        rows, values = [], []
        for replica, start in enumerate(offset):
            length = lengths[replica, column]
            middle = start + 2 * length
            end = middle + length * width.num_elements()
            rows.append(tf.bitcast(tf.reshape(sparse[replica, start:middle], [-1, 2]), tf.int64))
            values.append(tf.reshape(sparse[replica, middle:end], [-1, *width]))
            offset[replica] = end
        gradients[part.name] = tf.IndexedSlices(tf.concat(values, 0), tf.concat(rows, 0))
        column += 1
    return gradients
