"""The kinds of optimizers, by name. What they share is in `models.tables.row_sparse`.

Lazy: a step moves the rows that it touches, and their slots; the others wait. So velocities and
moments decay once per step *that touches their row*, where the dense forms of momentum, RMSprop and
Adam decay them at every step and go on moving rows that are long out of the batch. SGD and Adagrad
are the same both ways. On a table that is touched everywhere at every step, all are the textbook's.

Slots are carried over from one update to the next as long as the kind stays the same, and start
anew when it changes. All that a kind knows is in its slots, Adam's count of steps included: nothing
depends on how many steps the model took under another kind.

References:
    Duchi, Hazan and Singer, Adaptive subgradient methods, JMLR 2011 (Adagrad).
    Polyak, Some methods of speeding up the convergence of iteration methods, 1964 (momentum).
    Tieleman and Hinton, Lecture 6.5: RMSprop, Coursera, 2012.
    Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.tables import distribution
from models.tables.backend import tf
from models.tables.row_sparse import RowSparseOptimizer, write

__all__ = ["OPTIMIZERS", "RowSparseOptimizer", "make_optimizer", "slots_of"]

EPSILON = 1e-7
"""Keras' and TensorFlow's; added to a root, so it only matters to gradients of its size."""

Tensors = Mapping[str, tf.Tensor]
Step = tuple[dict[str, tf.Tensor], tf.Tensor]


class SGD(RowSparseOptimizer):
    """table -= rate * g."""

    kind = "sgd"

    def step_of(self, slots: Tensors, gradient: tf.Tensor, learning_rate: tf.Tensor) -> Step:
        del slots
        return {}, learning_rate * gradient


class Momentum(RowSparseOptimizer):
    """velocity = MOMENTUM * velocity + g;  table -= rate * velocity.

    The velocity is in units of the gradient, so that an update at another learning rate can carry
    it over. Rejected: Keras' form, velocity = MOMENTUM * velocity - rate * g, which would go on at
    the old rate.
    """

    kind = "momentum"
    slot_names = ("velocity",)
    MOMENTUM = 0.9

    def step_of(self, slots: Tensors, gradient: tf.Tensor, learning_rate: tf.Tensor) -> Step:
        velocity = self.MOMENTUM * slots["velocity"] + gradient
        return {"velocity": velocity}, learning_rate * velocity


class RMSprop(RowSparseOptimizer):
    """square = RHO * square + (1 - RHO) * g^2;  table -= rate * g / (sqrt(square) + epsilon).

    `square` starts at 0, so a row's first step is rate / sqrt(1 - RHO), about 3 rates.
    """

    kind = "rmsprop"
    slot_names = ("square",)
    RHO = 0.9

    def step_of(self, slots: Tensors, gradient: tf.Tensor, learning_rate: tf.Tensor) -> Step:
        square = self.RHO * slots["square"] + (1 - self.RHO) * tf.square(gradient)
        return {"square": square}, learning_rate * gradient / (tf.sqrt(square) + EPSILON)


class Adam(RowSparseOptimizer):
    """first = BETA1 * first + (1 - BETA1) * g;  second = BETA2 * second + (1 - BETA2) * g^2;
    table -= rate * (first / (1 - BETA1^t)) / (sqrt(second / (1 - BETA2^t)) + epsilon).

    t counts the steps that touched *the row*, in a slot of its own. So the correction is exact for
    the moments as they are kept here, and a row that grew yesterday, or a model that came to Adam
    late in its life, starts with a step of one rate. Rejected: one t for all (TensorFlow Addons'
    LazyAdam, PyTorch's SparseAdam), under which a row first seen at t = 10,000 steps by 3 rates.
    """

    kind = "adam"
    slot_names = ("first", "second")
    row_slot_names = ("count",)
    BETA1, BETA2 = 0.9, 0.999
    COUNT_LIMIT = 100_000.0
    """Where t stops: 0.999^100,000 is 0 in float32, and a slot should stay of a modest size."""

    def step_of(self, slots: Tensors, gradient: tf.Tensor, learning_rate: tf.Tensor) -> Step:
        count = tf.minimum(slots["count"] + 1.0, self.COUNT_LIMIT)
        first = self.BETA1 * slots["first"] + (1 - self.BETA1) * gradient
        second = self.BETA2 * slots["second"] + (1 - self.BETA2) * tf.square(gradient)
        step = self._step(first, second, count, learning_rate)
        return {"first": first, "second": second, "count": count}, step

    def update_all(
        self, name: str, table: tf.Variable, gradient: tf.Tensor, learning_rate: tf.Tensor
    ) -> None:
        """In TensorFlow's fused kernel, about a third of the cost of `step_of` on a full softmax's
        item table (43,000 rows of 100). It knows one t, the oldest row's; then the younger rows,
        which grew later, are given theirs."""
        if table.shape.rank == 0:
            super().update_all(name, table, gradient, learning_rate)
            return
        slots = self._slots_of(name)
        first, second = slots["first"], slots["second"]
        count = tf.minimum(slots["count"] + 1.0, self.COUNT_LIMIT)
        write(slots["count"], count)
        oldest = tf.reduce_max(count)
        rate, epsilon = self._corrected(oldest, learning_rate)
        tf.raw_ops.ResourceApplyAdam(
            var=table.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=0.0,  # `rate` is corrected already
            beta2_power=0.0,
            lr=rate,
            beta1=self.BETA1,
            beta2=self.BETA2,
            epsilon=epsilon,
            grad=gradient,
        )
        younger = tf.where(tf.reshape(count, [-1]) < oldest)[:, 0]
        # Read, then gathered: gathering from a variable makes TensorFlow copy it at its next write.
        moment, square = (tf.gather(slot.read_value(), younger) for slot in (first, second))
        due = self._step(moment, square, tf.gather(count, younger), learning_rate)
        taken = self._step(moment, square, oldest, learning_rate)
        tf.raw_ops.ResourceScatterSub(resource=table.handle, indices=younger, updates=due - taken)

    def _step(
        self, first: tf.Tensor, second: tf.Tensor, count: tf.Tensor, learning_rate: tf.Tensor
    ) -> tf.Tensor:
        rate, epsilon = self._corrected(count, learning_rate)
        return rate * first / (tf.sqrt(second) + epsilon)

    def _corrected(self, count: tf.Tensor, learning_rate: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The rate and the epsilon that do to the moments as kept what the formula does to the
        corrected ones: two numbers per row, not two per weight."""
        root = tf.sqrt(_share(self.BETA2, count))
        return learning_rate * root / _share(self.BETA1, count), EPSILON * root


def _share(beta: float, count: tf.Tensor) -> tf.Tensor:
    """1 - beta^count, which at count = 1 would lose four of float32's digits if subtracted."""
    return -tf.math.expm1(count * np.float32(np.log(beta)))


class Adagrad(RowSparseOptimizer):
    """accumulator += g^2;  table -= rate * g / (sqrt(accumulator) + epsilon).

    The accumulator starts at the configuration's `initial_accumulator`. Rejected for rows:
    TensorFlow's fused `ResourceSparseApplyAdagradV2`, measured on CPU at 77 microseconds against 64
    for 340 rows of 32, and equal for 3,600 rows of 64.
    """

    kind = "adagrad"
    slot_names = ("accumulator",)

    def initial(self, slot: str) -> float:
        del slot
        return self.start

    def step_of(self, slots: Tensors, gradient: tf.Tensor, learning_rate: tf.Tensor) -> Step:
        accumulator = slots["accumulator"] + tf.square(gradient)
        step = learning_rate * gradient / (tf.sqrt(accumulator) + EPSILON)
        return {"accumulator": accumulator}, step

    def update_all(
        self, name: str, table: tf.Variable, gradient: tf.Tensor, learning_rate: tf.Tensor
    ) -> None:
        tf.raw_ops.ResourceApplyAdagradV2(
            var=table.handle,
            accum=self.slots[f"{name}/accumulator"].handle,
            lr=learning_rate,
            epsilon=EPSILON,
            grad=gradient,
        )


OPTIMIZERS: dict[str, type[RowSparseOptimizer]] = {
    optimizer.kind: optimizer for optimizer in (Adagrad, Adam, Momentum, RMSprop, SGD)
}


def slots_of(slots: Mapping[str, Any], table: str) -> dict[str, Any]:
    """Those of this table, of what is by the name of a slot, "table/kind"."""
    return {slot: value for slot, value in slots.items() if slot.rsplit("/", 1)[0] == table}


def make_optimizer(
    kind: str, tables: Mapping[str, tf.Variable], start: float
) -> RowSparseOptimizer:
    """The optimizer of this name, with fresh slots.

    Args:
        kind: one of `OPTIMIZERS`.
        tables: what it will train, by name.
        start: what Adagrad's accumulators begin with.

    Raises:
        ValueError: there is none of this name.
    """
    if kind not in OPTIMIZERS:
        raise ValueError(
            f"`optimizer` should be one of {', '.join(OPTIMIZERS)}. Received: {kind!r}."
        )
    with distribution.current().scope():
        return OPTIMIZERS[kind](tables, start)
