"""What holds weights back: towards zero, towards the champion, and by what the past needs (EWC).

With w the weights of the rows that a step touches, c the champion's (those at the start of this
training) and F their Fisher information on the past (second half of this file), the loss gains

    weight_decay   / 2 * sum(w^2)
    champion_decay / 2 * sum((w - c)^2)        L2-SP
    ewc            / 2 * sum(F * (w - c)^2)    elastic weight consolidation

Only touched rows count, so that the cost follows the batch; a row that is touched often is held
back often. The penalties' gradients join the loss's before clipping, and go through the optimizer:
under Adam or Adagrad they are scaled like any other gradient. Rejected: decoupled decay (AdamW,
Loshchilov and Hutter, ICLR 2019), which for L2-SP and EWC has no published form to be checked
against.

References:
    Li, Grandvalet and Davoine, Explicit inductive bias for transfer learning with convolutional
    networks, ICML 2018 (L2-SP). Kirkpatrick et al., Overcoming catastrophic forgetting in neural
    networks, PNAS 2017 (EWC).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from models.learning.batch_source import BatchSource, batch_bounds
from models.learning.graphs import compiled
from models.learning.recipes import Recipe
from models.tables.backend import tf
from models.tables.network import Network
from models.tables.row_sparse import distinct
from models.tables.state import ModelState

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Anchor:
    """Where a training began, as far as its recipe looks back.

    Attributes:
        penalised: whether the recipe has a penalty at all.
        tables: float32 tensors by name, the weights at the start; empty if nothing needs them.
        fisher: float32 tensors by name, of the tables' shapes; empty without EWC.
    """

    penalised: bool = False
    tables: dict[str, tf.Tensor] = field(default_factory=dict)
    fisher: dict[str, tf.Tensor] = field(default_factory=dict)

    @property
    def key(self) -> tuple[object, ...]:
        """What the compiled loop depends on."""
        return (self.penalised, tuple(self.tables), tuple(self.fisher))

    @classmethod
    def of(
        cls, network: Network, recipe: Recipe, fisher: Mapping[str, np.ndarray], teach: bool
    ) -> "Anchor":
        """The anchor that this recipe needs; copies the tables only if it needs one.

        Args:
            fisher: float32 arrays by table; a table may have grown since, and its new rows are
                free.
            teach: whether the weights at the start teach (distillation).

        Raises:
            ValueError: a Fisher information isn't of a table's shape.
        """
        if recipe.ewc and not fisher:
            LOG.warning("ewc = %s, but no Fisher information is known yet.", recipe.ewc)
        elastic = bool(recipe.ewc and fisher)
        penalised = bool(recipe.weight_decay or recipe.champion_decay or elastic)
        if not (recipe.champion_decay or elastic or teach):
            return cls(penalised)
        return cls(
            penalised,
            {name: tf.identity(table) for name, table in network.tables.items()},
            {name: _fitted(name, array, network) for name, array in fisher.items()}
            if elastic
            else {},
        )


def _fitted(name: str, fisher: np.ndarray, network: Network) -> tf.Tensor:
    """The Fisher information of a table, with zeros for the rows that it has gained."""
    if name not in network.tables:
        raise ValueError(
            f"There is Fisher information of a table {name!r}; the model has "
            f"{', '.join(network.tables)}. Estimate it anew with models.learning.penalties.fisher."
        )
    shape = tuple(tf.shape(network.tables[name]).numpy().tolist())
    gained = shape[0] - len(fisher) if shape and fisher.ndim else 0
    if fisher.shape[1:] != shape[1:] or gained < 0 or (gained and name not in network.keyed):
        raise ValueError(
            f"The Fisher information of table {name!r} should have its shape, {shape}, or fewer "
            f"rows. Received: {fisher.shape}. Estimate it anew with models.learning.penalties.fisher."
        )
    padding = [(0, gained)] + [(0, 0)] * (fisher.ndim - 1) if fisher.ndim else []
    return tf.constant(np.pad(fisher, padding) if gained else fisher, tf.float32)


def penalty_gradient(
    table: tf.Variable,
    rows: tf.Tensor | None,
    gradient: tf.Tensor,
    strengths: tf.Tensor,
    anchor: tf.Tensor | None,
    fisher: tf.Tensor | None,
) -> tf.Tensor:
    """The gradient with the penalties' parts added.

    Args:
        rows: distinct rows that `gradient` is of; None: all of the table.
        strengths: float32 [3]: weight decay, champion decay, EWC.
        anchor: the whole table's weights at the start; None: neither L2-SP nor EWC.
        fisher: the whole table's Fisher information; None: no EWC on this table.
    """

    def of(values: tf.Tensor) -> tf.Tensor:
        return values if rows is None else tf.gather(values, rows)

    here = of(table)
    gradient += strengths[0] * here
    if anchor is not None:
        moved = here - of(anchor)
        gradient += strengths[1] * moved
        if fisher is not None:
            gradient += strengths[2] * of(fisher) * moved
    return gradient


# Fisher information: how much each weight matters to examples of the past (for EWC).
#
# The diagonal of the *empirical* Fisher information: the mean over examples of the squared
# gradient of their loss, at labels that did occur (rejected: labels drawn from the model, the
# true Fisher, which needs another forward and backward pass per draw).
#
# Squares are of the gradient of a *batch*, summed over batches and divided by the number of
# examples. An example's own gradient doesn't exist in an in-batch softmax, and costs a backward
# pass each where it does. Near an optimum examples' gradients are independent with mean zero, the
# cross terms of the square cancel on average, and both say the same; in one-example batches they
# are the same.
#
# From one window to the next, the information of older ones fades by a factor: Schwarz et al.,
# Progress & compress, ICML 2018 (online EWC). Kirkpatrick et al., PNAS 2017 (EWC).

PREFIX = "fisher/"
FADING = 0.9
"""What is left of the older windows' information when a new one is added: a half-life of 6.6
windows."""


def fisher(
    state: ModelState,
    batches: BatchSource,
    batch_size: int,
    seed: int = 0,
    at_most: int | None = None,
) -> dict[str, np.ndarray]:
    """Estimates the diagonal of the Fisher information on these examples.

    Args:
        state: what has been trained; it isn't changed.
        batches: examples, from a recipe without dropout.
        batch_size: examples per gradient.
        seed: of the order and of negatives.
        at_most: look at this many batches, drawn without replacement; None: at all.

    Returns:
        Float32 arrays by table, of the tables' shapes: 0 or more; 0 where no example looked.
    """
    squares = _compiled(state, batches)
    total = {
        name: np.zeros(tuple(tf.shape(table).numpy()), np.float32)
        for name, table in state.network.tables.items()
    }
    order = batches.order(np.random.default_rng([seed, state.steps]))
    bounds = batch_bounds(len(batches), batch_size)[: None if at_most is None else at_most + 1]
    for step, (low, high) in enumerate(pairwise(bounds)):
        chunk = batches.chunk(order[low:high])
        of_rows, of_tables = squares(chunk, high - low, np.array([seed, step], np.int32))
        for name, (rows, values) in of_rows.items():
            total[name][rows.numpy()] += values.numpy()  # the rows are distinct
        for name, values in of_tables.items():
            total[name] += values.numpy()
    return {name: values / np.float32(bounds[-1]) for name, values in total.items()}


def consolidate(
    state: ModelState, batches: BatchSource, batch_size: int, seed: int = 0, fading: float = FADING
) -> None:
    """Adds these examples' information to the model's own, in `state.extra["fisher/<table>"]`.

    Call it after a training, on what it has seen; `known_fisher` gives it to the next one.
    """
    for name, values in fisher(state, batches, batch_size, seed).items():
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


def _compiled(state: ModelState, batches: BatchSource) -> Callable[..., tuple[dict, dict]]:
    """The squared gradient of a batch, by table: of distinct rows, and of whole tables."""
    network = state.network

    def trace() -> Any:
        @tf.function(
            input_signature=[
                batches.signature,
                tf.TensorSpec([], tf.int64),
                tf.TensorSpec([2], tf.int32),
            ],
            autograph=False,
        )
        def squares(chunk, size, seed):  # type: ignore[no-untyped-def]
            batch = batches.batch(chunk, tf.constant(0, tf.int64), size, seed)
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

    shapes = tuple(sorted(batches.signature.items()))
    return compiled(state, ("fisher", batches.kind, shapes), trace)
