"""Compiled graphs, which outlive the model that they were traced with.

To trace a training loop takes one to three seconds; to run it over a small window, some hundredths.
A model that is restored, merged or rebuilt in the same process has other variables, but the same
graph as long as its family, configuration and shapes are the same. So a graph is traced once per
process, and each model runs it on its own variables.

A graph reads a model through the variables that tracing captured: tables, content, slots and marks
of touched rows. Each captured variable is replaced by a question, asked at each call: which variable
of this name does the model have that runs the graph now? A graph that captured anything else (a
packed table's arrays) knows one model only, and is kept with that model alone.

Belongs here: keeping and sharing graphs. Keep out: what is in them (`models.learning.training`,
`models.learning.penalties`, and the families).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from models.tables.backend import compute_dtype, tf
from models.tables.distribution import current
from models.tables.state import ModelState

Call = Callable[..., Any]
LIMIT = 64
"""Graphs that a process keeps; the one that was not used for longest goes first."""


class SharedGraph:
    """A traced function whose variables are those of whichever model calls it."""

    def __init__(self, concrete: Any, names: dict[int, str]) -> None:
        """
        Args:
            concrete: a ConcreteFunction; it is changed.
            names: the name of each variable of the model that it was traced with, by the `id` of
                the variable's handle.
        """
        self._concrete = concrete
        self._now: dict[str, tf.Variable] = {}
        self._lock = threading.Lock()
        spec = tf.TensorSpec([], tf.resource)
        for handle in list(concrete.captured_inputs):
            name = names[id(handle)]
            concrete.replace_capture_with_deferred_capture(
                handle, lambda name=name: self._now[name].handle, spec
            )
        # A gradient tape would look the variables up that were traced, and they may be gone.
        concrete.set_variables(())

    def of(self, variables: dict[str, tf.Variable]) -> Call:
        """The function on these variables, by name."""

        def call(*arguments: Any) -> Any:
            with self._lock:
                self._now = variables
                try:
                    return self._concrete(*arguments)
                finally:
                    self._now = {}

        return call


_graphs: "OrderedDict[Hashable, SharedGraph]" = OrderedDict()


def compiled(state: ModelState, key: Hashable, trace: Callable[[], Any]) -> Call:
    """The model's compiled function of this key.

    Args:
        state: the model.
        key: all that the graph depends on besides the family, its configuration, the optimizer, and
            the variables' shapes.
        trace: makes the ConcreteFunction from `state`'s own variables, if there is none yet.
    """
    if key not in state.compiled:
        state.compiled[key] = _shared(state, key, trace)
    return state.compiled[key]  # type: ignore[return-value]


def _shared(state: ModelState, key: Hashable, trace: Callable[[], Any]) -> Call:
    if current().num_replicas_in_sync > 1:
        return trace()  # type: ignore[no-any-return]  # a replica's variables are not one by one
    variables = _variables(state)
    name = _signature(state, key, variables)
    if name in _graphs:
        _graphs.move_to_end(name)
        return _graphs[name].of(variables)
    concrete = trace()
    names = {id(variable.handle): of for of, variable in variables.items()}
    if any(id(handle) not in names for handle in concrete.captured_inputs):
        return concrete  # type: ignore[no-any-return]
    _graphs[name] = SharedGraph(concrete, names)
    if len(_graphs) > LIMIT:
        _graphs.popitem(last=False)
    return _graphs[name].of(variables)


def _variables(state: ModelState) -> dict[str, tf.Variable]:
    """All variables of a model, by a name that is the same in each model of its family."""
    kinds = {
        "table": state.network.tables,
        "content": state.network.content,
        "slot": state.optimizer.slots,
        "touched": state.optimizer.touched,
    }
    return {
        f"{kind} {name}": variable
        for kind, variables in kinds.items()
        for name, variable in variables.items()
        if isinstance(variable, tf.Variable)
    }


def _signature(state: ModelState, key: Hashable, variables: dict[str, tf.Variable]) -> Hashable:
    """What two models have in common that can run the same graph."""
    shapes = tuple(
        (name, variable.dtype.name, tuple(variable.shape)) for name, variable in variables.items()
    )
    optimizer = state.optimizer.kind
    precision = compute_dtype().name
    return type(state.network), repr(state.config), optimizer, precision, shapes, key
