"""What holds weights back: towards zero, towards the champion, and by what the past needs (EWC).

With w the weights of the rows that a step touches, c the champion's (those at the start of this
training) and F their Fisher information on the past (`models.learning.fisher`), the loss gains

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
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from models.backend import tf
from models.learning.recipes import Recipe
from models.network import Network

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
            f"{', '.join(network.tables)}. Estimate it anew with models.learning.fisher.fisher."
        )
    shape = tuple(tf.shape(network.tables[name]).numpy().tolist())
    gained = shape[0] - len(fisher) if shape and fisher.ndim else 0
    if fisher.shape[1:] != shape[1:] or gained < 0 or (gained and name not in network.keyed):
        raise ValueError(
            f"The Fisher information of table {name!r} should have its shape, {shape}, or fewer "
            f"rows. Received: {fisher.shape}. Estimate it anew with models.learning.fisher.fisher."
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
