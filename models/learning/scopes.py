"""What an update may change: the tables that are trained, and the rows of them that may move.

    everything   all tables
    embeddings   the tables looked up by id, hashed words included; dense weights stay
    ids          the tables keyed by users and by items; what ids share (words, dense weights) stays
    users        the tables keyed by users: what each of them likes, against items as they are
    items        the tables keyed by items
    touched      of the keyed tables, the rows of the ids that the update's examples are about; an
                 item that only occurs as a negative, or in someone's history, stays
    head         the tables of the task-adapter head, on a frozen base (Houlsby et al.,
                 Parameter-efficient transfer learning for NLP, ICML 2019)

What is out of scope stays bit-identical, optimizer slots included: it gets no step, where a step of
size zero would still decay a velocity or a moment.
"""

from dataclasses import dataclass, field

import numpy as np

from models.errors import BadTrainingData
from models.learning.batch_source import BatchSource
from models.tables.network import Network, names_of


@dataclass(frozen=True)
class Scope:
    """What an update may change.

    Attributes:
        tables: names of the trained tables.
        rows: bool [rows] by table, the rows that may change; a table that isn't named may change
            everywhere.
    """

    tables: tuple[str, ...]
    rows: dict[str, np.ndarray] = field(default_factory=dict)


def scope_of(name: str, network: Network, batches: BatchSource, sizes: dict[str, int]) -> Scope:
    """The scope of this name for an update on these examples.

    Args:
        sizes: rows of the tables keyed by "users" and by "items".

    Raises:
        ValueError: there is no such scope, or the model has no table in it.
        BadTrainingData: the scope is "touched" and the examples are about no id.
    """
    if name == "everything":
        return Scope(tuple(network.tables))
    if name == "embeddings":
        return _tables(name, network, network.embeddings, "that is looked up by id")
    if name == "ids":
        return _tables(name, network, tuple(network.keyed), "keyed by users or items")
    if name in ("users", "items"):
        return _tables(name, network, names_of(network, name), f"keyed by {name}")  # type: ignore[arg-type]
    if name == "head":
        return _tables(name, network, network.heads, "of a task-adapter head")
    if name == "touched":
        return _touched(network, batches, sizes)
    raise ValueError(
        "`scope` should be one of everything, embeddings, ids, users, items, touched, "
        f"head. Received: {name!r}."
    )


def _tables(scope: str, network: Network, names: "tuple[str, ...] | list[str]", what: str) -> Scope:
    if not names:
        raise ValueError(
            f"A {network.name} model has no table {what}, so `scope` = {scope!r} would train "
            f'nothing. Choose the scope "everything" or "embeddings", or a model that has one.'
        )
    return Scope(tuple(name for name in network.tables if name in set(names)))


def _touched(network: Network, batches: BatchSource, sizes: dict[str, int]) -> Scope:
    touched = batches.touched()
    rows = {}
    for name, entity in network.keyed.items():
        if len(touched.get(entity, ())):
            rows[name] = np.zeros(sizes[entity], bool)
            rows[name][touched[entity]] = True
    if not rows:
        raise BadTrainingData(
            'The examples are about no user and no item that has a row, so `scope` = "touched" '
            "would train nothing. Add the window's ids first, or widen the scope."
        )
    return Scope(tuple(name for name in network.tables if name in rows), rows)
