"""Packed tables: embeddings in fewer bytes, for serving.

    float16   half the bytes; eleven bits of precision are more than scores need
    int8      a quarter: each row is 127 steps to its largest value, and one float32 scale
              (symmetric, per row; Guan et al., Post-training 4-bit quantization on embedding
              tables, 2019, show that rows want scales of their own)
    pruned    the smallest half of the weights by magnitude is zero and isn't stored (Han et al.,
              Learning both weights and connections, NeurIPS 2015)

A model stays float32 in memory and on disk, on the grid of its packing (`settle`), so that what the
gate judges is what is served; `models.recommenders.export` stores the packed form. Belongs here: forms
and look-ups. Keep out: when to pack (`models.retrieve_and_rank.shrinking`).
"""

import numpy as np

from models.tables.backend import tf
from models.tables.network import Network
from models.tables.state import ModelState

PACKINGS = ("float32", "float16", "int8", "pruned")
PRUNED_SHARE = 0.5
"""Share of a table's weights that pruning sets to zero."""
LEAST_WIDTH = 8
"""Narrower tables (biases) stay as they are: scales and indices would outweigh them."""
PACKING = "packing"
"""Where `ModelState.extra` keeps the packing: int64 [1], an index of `PACKINGS`."""


class PackedTable(tf.Module):
    """A table in one of the forms; `rows` looks rows up.

    Args:
        table: float32 [R, d].
        packing: one of `PACKINGS` but "float32".
    """

    def __init__(self, table: np.ndarray, packing: str) -> None:
        super().__init__(name=f"{packing}_table")
        self.width = table.shape[1]
        self.scale: tf.Variable | None = None
        self.ends: tf.Variable | None = None
        if packing == "float16":
            self.values = _fixed(table.astype(np.float16))
        elif packing == "int8":
            scale = _scales(table)
            self.values = _fixed(np.rint(table / scale).astype(np.int8))
            self.scale = _fixed(scale)
        elif packing == "pruned":
            row, column = np.nonzero(table)
            self.values = _fixed(table[row, column])
            self.columns = _fixed(column.astype(np.uint8 if self.width <= 256 else np.int32))
            ends = np.cumsum(np.bincount(row, minlength=len(table)))
            self.ends = _fixed(np.concatenate([[0], ends]).astype(np.int64))
        else:
            raise ValueError(
                f"`packing` should be one of {', '.join(PACKINGS[1:])}. Received: {packing!r}."
            )

    def rows(self, rows: tf.Tensor) -> tf.Tensor:
        """Rows of the table: int64 [...] to float32 [..., d]."""
        if self.ends is None:
            values = tf.cast(tf.gather(self.values, rows), tf.float32)
            return values if self.scale is None else values * tf.gather(self.scale, rows)
        flat = tf.reshape(rows, [-1])
        begins, ends = tf.gather(self.ends, flat), tf.gather(self.ends, flat + 1)
        places = tf.ragged.range(begins, ends)
        owners = places.value_rowids()
        columns = tf.cast(tf.gather(self.columns, places.flat_values), tf.int64)
        dense = tf.scatter_nd(
            tf.stack([owners, columns], axis=1),
            tf.gather(self.values, places.flat_values),
            tf.stack([tf.size(flat, tf.int64), tf.constant(self.width, tf.int64)]),
        )
        return tf.reshape(dense, tf.concat([tf.shape(rows), [self.width]], axis=0))

    @property
    def bytes(self) -> int:
        """What is stored."""
        return sum(
            int(np.prod(variable.shape)) * variable.dtype.size for variable in self.variables
        )


def rows_of(table: "tf.Tensor | tf.Variable | PackedTable", rows: tf.Tensor) -> tf.Tensor:
    """Rows of a table, whatever its form: int64 [...] to float32 [..., d]."""
    return table.rows(rows) if isinstance(table, PackedTable) else tf.gather(table, rows)


def packing_of(state: ModelState) -> str:
    """The packing that a model is on the grid of."""
    return PACKINGS[int(state.extra[PACKING][0])] if PACKING in state.extra else PACKINGS[0]


def packable(network: Network) -> list[str]:
    """Names of the tables that are packed."""
    return [name for name in network.embeddings if network.tables[name].shape[-1] >= LEAST_WIDTH]


def settle(state: ModelState, packing: str | None = None) -> None:
    """Puts the tables on the grid of a packing, in place; None: of the one that the model has."""
    packing = packing_of(state) if packing is None else packing
    if packing not in PACKINGS:
        raise ValueError(
            f"`packing` should be one of {', '.join(PACKINGS)}. Received: {packing!r}."
        )
    state.extra[PACKING] = np.array([PACKINGS.index(packing)], np.int64)
    if packing == PACKINGS[0]:
        return
    for name in packable(state.network):
        table = state.network.tables[name]
        table.assign(rounded(table.numpy(), packing))
    state.forget_origin()


def rounded(table: np.ndarray, packing: str) -> np.ndarray:
    """The nearest table on the grid of a packing: float32 [R, d]."""
    if packing == "float16":
        return table.astype(np.float16).astype(np.float32)
    if packing == "int8":
        scale = _scales(table)
        return (np.rint(table / scale) * scale).astype(np.float32)
    if len(table) == 1:  # the row of nobody
        return table
    size = np.abs(table)
    return np.where(size > np.quantile(size[1:], PRUNED_SHARE), table, 0.0).astype(np.float32)


def as_exported(state: ModelState, vectors: tf.Tensor) -> tf.Tensor:
    """Item vectors (float32 [M, d]) as an export stores them, so that what is judged is what is
    served: content was added to the table's rows and their length made 1, and float16 and int8 round
    them once more; but not the columns past the table's, which are biases."""
    packing = packing_of(state)
    if packing not in ("float16", "int8"):
        return vectors
    width = state.network.tables["item"].shape[-1]
    table, biases = vectors[:, :width], vectors[:, width:]
    if packing == "float16":
        return tf.concat([tf.cast(tf.cast(table, tf.float16), tf.float32), biases], axis=1)
    largest = tf.reduce_max(tf.abs(table), axis=1, keepdims=True)
    scale = tf.where(largest > 0, largest / 127.0, 1.0)
    return tf.concat([tf.round(table / scale) * scale, biases], axis=1)


def served_bytes(state: ModelState) -> int:
    """Bytes of all trained tables as they are served."""
    packing = packing_of(state)
    packed = set(packable(state.network)) if packing != PACKINGS[0] else set()
    total = 0
    for name, table in state.network.tables.items():
        array = table.numpy()
        total += PackedTable(array, packing).bytes if name in packed else array.nbytes
    return total


def _scales(table: np.ndarray) -> np.ndarray:
    """One step of each row: float32 [R, 1], positive."""
    largest = np.abs(table).max(axis=1, keepdims=True)
    return np.where(largest > 0, largest / 127.0, 1.0).astype(np.float32)


def _fixed(array: np.ndarray) -> tf.Variable:
    return tf.Variable(array, trainable=False)
