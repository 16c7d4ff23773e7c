"""Merging: what several workers learned side by side, from one start, as one model.

Each worker trains a copy of the same model on its share of the examples; what it changed is a
`Part`. Parts are merged into the start (or into a later model that knows the same keys):

    row r of a keyed table    += w[r]^e * sum_s (m_s[r] / m[r]) * a_s * change_s[r]
    a dense table             += w^e    * sum_s (n_s / n)       * a_s * change_s
    Adagrad's accumulators    += sum_s a_s * change_s
    other slots                  as their tables

where n_s is the number of examples of part s, n the sum, a_s the discount of a stale part, and

    m_s[r] = times that the examples of s touched the row (`Part.times`) + p * n_s / mean n

for a part that changed the row, else 0; m is its sum. p (`pushed`) is what a worker has to say of a row
by pushing it alone, as the softmax pushes those that were not chosen: with 0, a row that an example
anywhere was about is taken from those workers as if the others' users had liked it as well. So a row
that one worker alone changed takes that worker's value; a row that no example was about, but a
softmax pushed, is averaged by examples; a row that nothing changed stays bit-identical. An
accumulator is a sum over examples, and stays one.

A mean is as long as the step of one worker, who saw a share of the examples: one process would have
gone further. w = 1 / sum_s (n_s / n)^2 is how many equal workers the mean is of, and e (`stretch`) how
much of that is made up for: 0 is the plain mean, 1 the sum, which overshoots where all push the same
way, and 1/2 what Adagrad would make of w times as many gradients: w times the sum, divided by a root
that has grown by w.

References: McMahan et al., Communication-efficient learning of deep networks from decentralized
data, AISTATS 2017 (example-weighted averaging); Reddi et al., Adaptive federated optimization, ICLR
2021 (a step of one's own for the merged change); Xie, Koyejo and Gupta, Asynchronous federated
optimization, 2019 (discounted staleness, polynomial with exponent 1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.cooccurrence.pair_changes import PairChange, change_of, with_changes
from models.cooccurrence.pair_memory import PairMemory
from models.data.checks import Float32Array, Int64Array
from models.tables.network import Entity
from models.tables.optimizers import make_optimizer, slots_of
from models.tables.rows import read, shape_of
from models.tables.state import ModelState

ENTITIES: tuple[Entity, Entity] = ("users", "items")
SUMMED = "accumulator"
"""The slot that is a sum over examples: Adagrad's."""
SQUARES = (SUMMED, "square", "second")
"""Slots of which optimizers take roots."""


@dataclass(frozen=True, eq=False)
class Mark:
    """A model before a worker trains it: copies of its tables and slots, by name, its steps, and what it
    remembers of pairs of items, if anything."""

    tables: dict[str, Float32Array]
    slots: dict[str, Float32Array]
    optimizer: str
    steps: int
    pairs: PairMemory | None = None

    @classmethod
    def of(cls, state: ModelState) -> "Mark":
        """The model as it is now."""
        pairs = PairMemory.of(state.extra)
        return cls(state.parameters(), state.slots(), state.optimizer.kind, state.steps, pairs)


@dataclass(frozen=True, eq=False)
class Part:
    """What one worker changed.

    A silo's lacks the tables keyed by users, and with noise also `times` and `slots`.

    Attributes:
        examples: how many it learned from; the weight of its dense tables.
        steps: optimizer steps that it took.
        optimizer: its kind.
        keys: int64 [m] by entity, of the rows that changed; 0 is row 0, of what isn't known.
        times: float32 [m] by keyed table: how many times the examples were about each row.
        tables: float32, after minus before: [m, …] of a keyed table, the whole of a dense one.
        slots: the same of the optimizer's slots, by `<table>/<slot>`.
        pairs: what it counted of pairs of items (`models.cooccurrence.pair_changes`).
    """

    examples: float
    steps: int
    optimizer: str
    keys: dict[Entity, Int64Array]
    times: dict[str, Float32Array]
    tables: dict[str, Float32Array]
    slots: dict[str, Float32Array]
    pairs: PairChange = field(default_factory=dict)


def part_of(
    state: ModelState, mark: Mark, examples: float, times: Mapping[str, np.ndarray]
) -> Part:
    """What has changed in `state` since `mark` was taken of it.

    Args:
        state: after training; not grown since.
        mark: before.
        examples: how many it learned from.
        times: [rows] by keyed table, how many times each row was touched; a table that isn't named:
            0 everywhere.
    """
    tables = {name: array - mark.tables[name] for name, array in state.parameters().items()}
    slots = {name: array - _before(state, mark, name) for name, array in state.slots().items()}
    keys: dict[Entity, Int64Array] = {}
    counted: dict[str, Float32Array] = {}
    for entity in ENTITIES:
        names = [name for name, keyed in state.network.keyed.items() if keyed == entity]
        if not names:
            continue
        changed = np.zeros(len(state.vocabulary(entity)) + 1, bool)
        for name in names:
            for array in (tables[name], *slots_of(slots, name).values()):
                changed |= _changed(array)
        rows = np.flatnonzero(changed)
        keys[entity] = state.vocabulary(entity).keys_of(rows)
        for name in names:
            tables[name] = tables[name][rows]
            for slot, array in slots_of(slots, name).items():
                slots[slot] = array[rows]
            every = np.asarray(times.get(name, np.zeros(len(changed))), np.float32)
            counted[name] = every[rows]
    steps = state.steps - mark.steps
    pairs = change_of(mark.pairs, PairMemory.of(state.extra), state.items)
    return Part(float(examples), steps, state.optimizer.kind, keys, counted, tables, slots, pairs)


def discount(staleness: int, bound: int) -> float:
    """1 / (1 + staleness), what a part weighs that was trained from so many versions before.

    Raises:
        ValueError: the part is from beyond the bound, or from the future.
    """
    if not 0 <= staleness <= bound:
        raise ValueError(
            f"A part should be of the version that it is merged into, or of at most {bound} before. "
            f"Received: {staleness} before. Leave it out, and learn its examples anew."
        )
    return 1.0 / (1.0 + staleness)


def merge(
    state: ModelState,
    parts: Sequence[Part],
    discounts: Sequence[float] | None = None,
    stretch: float = 0.0,
    pushed: float = 0.0,
) -> None:
    """Merges the parts into `state`, in place.

    A key that the state doesn't know is passed over. The next save can be a delta of the last.

    Args:
        state: where the parts began, or a later version of it.
        parts: those without an example and without a step are passed over.
        discounts: in [0, 1], one for each part; None: 1.
        stretch: exponent of the number of workers in a mean; 0: the mean itself.
        pushed: how many touches of a row a worker's push of it is worth, not negative.

    Raises:
        ValueError: the parts were trained with different optimizers, or are of another family.
    """
    weighed = [
        (part, 1.0 if discounts is None else discounts[place])
        for place, part in enumerate(parts)
        if part.steps
    ]
    if not weighed:
        return
    kinds = {part.optimizer for part, _ in weighed}
    strange = {name for part, _ in weighed for name in part.tables} - set(state.network.tables)
    if len(kinds) > 1 or strange:
        raise ValueError(
            "Parts should be of one optimizer and of the state's tables. Received: "
            f"{sorted(kinds)} and {sorted(strange)}. Train them all by one plan, from one release."
        )
    (kind,) = kinds
    if state.optimizer.kind != kind:
        _change_optimizer(state, kind)
    for name in state.network.tables:
        given = [(part, old) for part, old in weighed if name in part.tables]
        if given:
            _merge_table(state, name, given, stretch, pushed)
    state.steps += sum(part.steps for part, _ in weighed)
    # Counts are facts: they add up, stale or not.
    pairs = with_changes(
        PairMemory.of(state.extra), [part.pairs for part, _ in weighed], state.items
    )
    state.extra |= {} if pairs is None else pairs.to_arrays()


def _merge_table(
    state: ModelState, name: str, weighed: list[tuple[Part, float]], stretch: float, pushed: float
) -> None:
    table = state.network.tables[name]
    slots = {slot: state.optimizer.slots[slot] for slot in slots_of(state.optimizer.slots, name)}
    size = shape_of(table)
    length = size[0] if size else 1
    entity = state.network.keyed.get(name)
    # Where one doesn't say how often (`recloop.silos.silo_delta`), it is by examples for all.
    counted = all(name in part.times for part, _ in weighed)
    places: list[np.ndarray] = []
    times = np.zeros((len(weighed), length))
    moved = np.zeros((len(weighed), length))
    for number, (part, _) in enumerate(weighed):
        rows = np.arange(length)
        if entity is not None:
            keys = part.keys[entity]
            rows = state.vocabulary(entity).rows(keys)
            rows = np.where((rows > 0) | (keys == 0), rows, -1)
            if counted:
                times[number, rows[rows >= 0]] = part.times[name][rows >= 0]
        changes = [part.tables[name], *(part.slots[slot] for slot in slots if slot in part.slots)]
        changed = np.any([_changed(change) for change in changes], axis=0)
        changed |= name not in state.network.embeddings  # of a dense table all is everybody's
        moved[number, rows[changed & (rows >= 0)]] = part.examples
        places.append(rows)
    times *= moved > 0
    mean = float(np.mean([part.examples for part, _ in weighed]))
    share = np.where(times.sum(axis=0) > 0, times + pushed * moved / max(mean, 1.0), moved)
    total = share.sum(axis=0)
    share /= np.where(total > 0, total, 1.0)
    # Kish's effective number of equal parts: 1 where one part has it all.
    workers = 1.0 / np.where(total > 0, np.square(share).sum(axis=0), 1.0)
    values = read(table).astype(np.float64)
    after = {slot: read(variable).astype(np.float64) for slot, variable in slots.items()}
    for number, (part, old) in enumerate(weighed):
        known = places[number] >= 0
        rows = places[number][known]
        weight = old * share[number, rows]
        _add(values, rows, weight * workers[rows] ** stretch, part.tables[name], known)
        for slot, array in after.items():
            if slot not in part.slots:
                continue
            summed = slot.rsplit("/", 1)[1] == SUMMED
            _add(
                array, rows, old * np.ones(len(rows)) if summed else weight, part.slots[slot], known
            )
    touched = (moved > 0).any(axis=0)
    table.assign(values.astype(np.float32))
    for slot, variable in slots.items():
        if slot.rsplit("/", 1)[1] in SQUARES:  # the mean of a moving average may overshoot
            np.maximum(after[slot], 0.0, out=after[slot])
        variable.assign(after[slot].astype(np.float32))
    flags = state.optimizer.touched[name]
    flags.assign(read(flags) | touched)


def _change_optimizer(state: ModelState, kind: str) -> None:
    """A new one, as `models.learning.training` does: its slots start anew."""
    state.optimizer = make_optimizer(kind, state.network.tables, state.config.initial_accumulator)
    state.compiled.clear()


def _add(
    values: np.ndarray, rows: np.ndarray, weight: np.ndarray, change: np.ndarray, known: np.ndarray
) -> None:
    """values[rows] += weight * change, of what is known; a scalar is one row."""
    if not values.ndim:
        values += weight[0] * change
        return
    values[rows] += weight.reshape(-1, *(1,) * (values.ndim - 1)) * change[known]


def _changed(array: np.ndarray) -> np.ndarray:
    """Which rows are not 0: bool [rows]; a scalar is one row."""
    rows = np.atleast_1d(array)
    return np.asarray(rows.any(axis=tuple(range(1, rows.ndim))))


def _before(state: ModelState, mark: Mark, slot: str) -> Any:
    """A slot at the mark; what it starts from, where the optimizer is another since."""
    if mark.optimizer == state.optimizer.kind:
        return mark.slots[slot]
    return np.float32(state.optimizer.initial(slot.rsplit("/", 1)[1]))
