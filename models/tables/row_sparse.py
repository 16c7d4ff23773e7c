"""Optimizers whose cost follows the batch, not the table: what all kinds share.

The kinds, with their formulas and papers, are in `models.tables.optimizers`. Belongs here:
summing repeated rows, scopes, clipping, writing rows in place, slots and their growth. Keep out:
what makes a gradient (`models.learning.training`) and what is added to it
(`models.learning.penalties`).

Keras' Adam writes the whole table at every step (its moments decay everywhere): measured at 10^6
rows, 6,600 examples a second against 147,000 for Adagrad. Rejected: `tf.keras.optimizers.Adagrad`,
which is row-sparse too, but whose slots can't grow in place. Rejected: TensorFlow's
`ResourceSparseApplyMomentum` and `ResourceSparseApplyRMSProp`, which have no GPU kernel; gathering
the rows and scattering them back runs on both.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.data.checks import Int64Array
from models.tables.backend import tf
from models.tables.rows import append_rows, count_rows, keep_rows

Regularise = Callable[[str, "tf.Tensor | None", tf.Tensor], tf.Tensor]
"""(table, rows or None for all of it, gradient) -> gradient with the penalties' parts added."""


class RowSparseOptimizer(tf.Module):
    """Applies gradients on touched rows only; the others stay bit-identical, and so do their slots.

    A row is touched when it has a gradient, be it zero: it was looked up in the batch. A table
    whose gradient is dense (a full softmax reads all of it) is touched everywhere.

    Attributes:
        kind: its name in a recipe.
        slot_names: arrays of the table's shape that it keeps for each table.
        row_slot_names: arrays of one number per row ([rows, 1, …]).
        slots: float32 variables by `<table>/<slot>`.
        touched: bool [rows] variables by table: the rows that may differ from what was last saved
            or restored, so that a delta checkpoint needn't compare tables (`models.storage.delta`).
            All, until `forget_touched`. A table without rows (a scalar) has one.
    """

    kind = ""
    slot_names: tuple[str, ...] = ()
    row_slot_names: tuple[str, ...] = ()

    def __init__(self, tables: Mapping[str, tf.Variable], start: float) -> None:
        """`start` is what Adagrad's accumulators begin with, for old rows and new."""
        super().__init__(name=f"row_sparse_{self.kind}")
        self.start = start
        self.slots: dict[str, tf.Variable] = {
            f"{name}/{slot}": tf.Variable(
                np.full(self.slot_shape(slot, tuple(tf.shape(table).numpy())), self.initial(slot)),
                dtype=tf.float32,
                shape=self.slot_shape(slot, tuple(table.shape)),
                trainable=False,
                name=f"{name}_{slot}",
            )
            for name, table in tables.items()
            for slot in (*self.slot_names, *self.row_slot_names)
        }
        self.touched: dict[str, tf.Variable] = {
            name: tf.Variable(
                np.ones(count_rows(table), bool),
                shape=[None],
                trainable=False,
                name=f"{name}_touched",
            )
            for name, table in tables.items()
        }

    def initial(self, slot: str) -> float:
        """What a slot's new rows start from."""
        del slot
        return 0.0

    def step_of(
        self, slots: Mapping[str, tf.Tensor], gradient: tf.Tensor, learning_rate: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """One step, of some rows or of a whole table alike.

        Args:
            slots: before the step, by name: float32 [n, …].
            gradient: float32 [n, …].
            learning_rate: float32 scalar.

        Returns:
            The slots after it, by name, and what to subtract from the rows.
        """
        raise NotImplementedError

    def apply(
        self,
        tables: Mapping[str, tf.Variable],
        gradients: Mapping[str, "tf.Tensor | tf.IndexedSlices | None"],
        learning_rate: tf.Tensor,
        clip_norm: tf.Tensor,
        regularise: Regularise | None = None,
        keep: "Mapping[str, tf.Tensor] | None" = None,
    ) -> tf.Tensor:
        """One step, in place.

        Args:
            tables: the variables, by the names given at construction.
            gradients: of the loss, by the same names; IndexedSlices may repeat a row. None: the
                table took no part.
            learning_rate: float32 scalar.
            clip_norm: float32 scalar, the largest global norm; 0 is no clipping (Pascanu, Mikolov
                and Bengio, On the difficulty of training recurrent neural networks, ICML 2013).
            regularise: adds the penalties' gradients, before clipping.
            keep: bool [rows] by table: rows that may change; a table that isn't named may change
                everywhere.

        Returns:
            The gradient's global norm before clipping, float32 scalar; not finite if a slot no
            longer is.

        Raises:
            ValueError: no table has a gradient.
        """
        steps: dict[str, tuple[tf.Tensor | None, tf.Tensor]] = {}
        for name, gradient in gradients.items():
            if gradient is None:
                continue
            rows, values = distinct(gradient)
            if keep and name in keep:
                rows, values = _only(keep[name], rows, values)
            if regularise is not None:
                values = regularise(name, rows, values)
            steps[name] = rows, values
        if not steps:
            raise ValueError(
                "None of the tables in scope takes part in the loss: there is nothing to train. "
                f"Received: {sorted(gradients)}. Widen the update's `scope`."
            )
        # l2_loss halves the sum of squares, and makes no copy of a dense table on the way.
        norm = tf.sqrt(2.0 * tf.add_n([tf.nn.l2_loss(values) for _, values in steps.values()]))
        scale = tf.where((clip_norm > 0.0) & (norm > clip_norm), clip_norm / norm, 1.0)
        for name, (rows, values) in steps.items():
            if rows is None:
                self.update_all(name, tables[name], values * scale, learning_rate)
                write(self.touched[name], tf.ones_like(self.touched[name]))
            else:
                self.update_rows(name, tables[name], rows, values * scale, learning_rate)
                tf.raw_ops.ResourceScatterUpdate(
                    resource=self.touched[name].handle,
                    # There is no kernel for bool by int64 on a GPU.
                    indices=tf.cast(rows, tf.int32),
                    updates=tf.ones_like(rows, tf.bool),
                )
        return norm

    def update_rows(
        self,
        name: str,
        table: tf.Variable,
        rows: tf.Tensor,
        gradient: tf.Tensor,
        learning_rate: tf.Tensor,
    ) -> None:
        """One step on distinct `rows` ([n]) of a table, with their gradient ([n, …])."""
        slots = self._slots_of(name)
        before = {slot: tf.gather(variable, rows) for slot, variable in slots.items()}
        after, step = self.step_of(before, gradient, learning_rate)
        for slot, values in after.items():
            tf.raw_ops.ResourceScatterUpdate(
                resource=slots[slot].handle, indices=rows, updates=values
            )
        # Not ResourceScatterSub: it waits for each row's memory in turn, where a gather fetches ahead.
        # At 10^6 rows of 32 that was the largest part of what they cost more than 10^4.
        tf.raw_ops.ResourceScatterUpdate(
            resource=table.handle, indices=rows, updates=tf.gather(table, rows) - step
        )

    def update_all(
        self, name: str, table: tf.Variable, gradient: tf.Tensor, learning_rate: tf.Tensor
    ) -> None:
        """One step on the whole of a table."""
        slots = self._slots_of(name)
        before = {slot: variable.read_value() for slot, variable in slots.items()}
        after, step = self.step_of(before, gradient, learning_rate)
        for slot, values in after.items():
            write(slots[slot], values)
        tf.raw_ops.AssignSubVariableOp(resource=table.handle, value=step)

    def extend(self, name: str, rows: int) -> None:
        """Appends `rows` rows to the slots of a table, as new."""
        for slot, variable in self._slots_of(name).items():
            shape = [rows, *variable.shape[1:]]
            append_rows(variable, np.full(shape, self.initial(slot), np.float32))
        append_rows(self.touched[name], np.ones(rows, bool))

    def keep_rows(self, name: str, rows: Int64Array) -> None:
        """Keeps only these rows (int64 [n]) of the slots of a table, in this order."""
        for variable in (*self._slots_of(name).values(), self.touched[name]):
            keep_rows(variable, rows)

    def touch_all(self, tables: Mapping[str, tf.Variable]) -> None:
        """All rows may differ from what was saved: the tables were written past `apply`."""
        for name, variable in self.touched.items():
            variable.assign(np.ones(count_rows(tables[name]), bool))

    def forget_touched(self, tables: Mapping[str, tf.Variable]) -> None:
        """From now on, `touched` speaks of what changes after this, in these tables."""
        for name, variable in self.touched.items():
            variable.assign(np.zeros(count_rows(tables[name]), bool))

    def _slots_of(self, name: str) -> dict[str, tf.Variable]:
        """The variables of a table, by slot."""
        return {
            slot: self.slots[f"{name}/{slot}"] for slot in (*self.slot_names, *self.row_slot_names)
        }

    @classmethod
    def slot_shape(cls, slot: str, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """A slot's shape, by its table's."""
        return shape if slot in cls.slot_names else (*shape[:1], *(1 for _ in shape[1:]))


def write(variable: tf.Variable, value: tf.Tensor) -> None:
    """Assigns, within a replica of `tf.distribute` too: there `assign` would want to know how to
    combine the replicas' values, which here are equal."""
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


def distinct(gradient: "tf.Tensor | tf.IndexedSlices") -> "tuple[tf.Tensor | None, tf.Tensor]":
    """(rows, their gradient) with each row once, or (None, gradient) of a whole table.

    Repeated rows are summed before anything squares them: the kernels would square one by one.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return None, gradient
    if _are_distinct(gradient.indices):
        return gradient.indices, gradient.values
    rows, position = tf.unique(gradient.indices)
    return rows, tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))


def _are_distinct(rows: tf.Tensor) -> bool:
    """Whether the graph itself says so: `tf.unique` made these rows, and they were looked up."""
    if not tf.is_symbolic_tensor(rows):
        return False
    while rows.op.type in ("Reshape", "Identity"):
        rows = rows.op.inputs[0]
    return rows.op.type in ("Unique", "UniqueWithCounts") and rows.value_index == 0


def _only(
    keep: tf.Tensor, rows: tf.Tensor | None, values: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """What of a gradient is of rows that may change (`keep`: bool [rows of the table])."""
    if rows is None:
        rows = tf.where(keep)[:, 0]
        return rows, tf.gather(values, rows)
    kept = tf.gather(keep, rows)
    return tf.boolean_mask(rows, kept), tf.boolean_mask(values, kept)
