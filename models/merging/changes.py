"""What passes between copies of a recommender: what a worker changed, a part of each of its states;
and a copy without its users, which may be handed to others.

    marks = marks_of(model.states)                  # after making room, before learning
    model.learn(events, …)                          # of one worker's share of the users
    changes = changes_of(model.states, marks, model.touched(events))
    merge(other.states, [changes, …], other.merging)    # into a copy of what was marked, or a later one

On disk, a part is an archive. Its header has the family, the optimizer, the steps and the examples, and
whatever its writer adds; its arrays are named `keys/<entity>`, `times/<table>`, `table/<table>`,
`slot/<table>/<slot>` and `pairs/<name>`. Neighbours: `models.merging.merging` has the arithmetic,
`models.storage.archive` checks every array against its hash.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.cooccurrence import pair_memory
from models.errors import CorruptCheckpoint
from models.learning import memory
from models.merging import merging
from models.merging.merging import Mark, Part
from models.storage import archive
from models.storage.checkpoint import MAGNITUDE_LIMIT
from models.tables.network import names_of
from models.tables.optimizers import OPTIMIZERS, slots_of
from models.tables.rows import append_rows, keep_rows, read
from models.tables.state import ModelState

Changes = Mapping[str, Part]
"""A part by the name of each state."""
KIND = "part"
GROUPS = ("keys", "times", "table", "slot", "pairs")


def marks_of(states: Mapping[str, ModelState]) -> dict[str, Mark]:
    """The states as they are now."""
    return {name: Mark.of(state) for name, state in states.items()}


def changes_of(
    states: Mapping[str, ModelState],
    marks: Mapping[str, Mark],
    touched: Mapping[str, tuple[float, Mapping[str, np.ndarray]]],
) -> dict[str, Part]:
    """What the states have learned since the marks were taken of them.

    A state that learns for the first time may fix the scale of its features by what it sees, which is
    another for each worker: its part is then empty.

    Args:
        touched: by state, how many examples, and how many times each row of each keyed table.
    """
    found = {}
    for name, state in states.items():
        part = merging.part_of(state, marks[name], *touched[name])
        found[name] = part if marks[name].steps else replace(part, steps=0)
    return found


def merge(
    states: Mapping[str, ModelState],
    given: Sequence[Changes],
    how: Mapping[str, tuple[float, float]],
    discounts: Sequence[float] | None = None,
) -> None:
    """Merges what several learned into the states, in place. See `models.merging.merging.merge`.

    Args:
        how: `stretch` and `pushed` by state.
    """
    for name, state in states.items():
        merging.merge(state, [one[name] for one in given], discounts, *how[name])


def save(changes: Changes, directory: Path, header: Mapping[str, Any]) -> None:
    """Writes a folder for each state. See `save_part`."""
    for name, part in changes.items():
        save_part(part, directory / name, header)


def restore(
    directory: Path, names: Iterable[str], magnitude_limit: float = MAGNITUDE_LIMIT
) -> tuple[dict[str, Part], dict[str, Any]]:
    """What `save` wrote of these states, and the header.

    Raises:
        RestoreError: see `restore_part`.
    """
    found: dict[str, Part] = {}
    header: dict[str, Any] = {}
    for name in names:
        found[name], header = restore_part(directory / name, magnitude_limit)
    return found, header


OF_USERS = (memory.PREFIX, "waiting/", "seen_day/", pair_memory.PREFIX)
"""Beginnings of the names of extra arrays that tell what somebody did, or when. A pair of items may be
what one person chose."""


def forget_users(state: ModelState) -> None:
    """Removes every user's row, remembered examples and ids that wait, in place. The next save is a
    whole one.

    What all users made together (items, words, dense weights) stays. An item's row is of nobody in
    particular, but was learned from people: without noise (`recloop.silos.privacy`) nothing is
    promised of what can be told from it.
    """
    unknown = np.zeros(1, np.int64)
    by_row = state.extras_by_row()
    for name in names_of(state.network, "users"):
        keep_rows(state.network.tables[name], unknown)
        state.optimizer.keep_rows(name, unknown)
    for name in list(state.extra):
        if name.startswith(OF_USERS) or by_row.get(name) == "users":
            del state.extra[name]
    state.users.keep(np.zeros(0, np.int64))
    state.forget_origin()


def take_users_from(state: ModelState, other: ModelState) -> None:
    """Gives a model that knows no user those of another, with their rows and slots, in place.

    Raises:
        ValueError: the models are of different configurations, or optimizers, or there are users
            already.
    """
    if state.config != other.config or state.optimizer.kind != other.optimizer.kind:
        raise ValueError(
            "Users can be taken from a model of the same configuration and optimizer. Received: "
            f"{other.config} with {other.optimizer.kind}. Let the users be learned anew."
        )
    if len(state.users):
        raise ValueError(f"The model knows {len(state.users)} users already. Forget them first.")
    state.users.extend(other.users.keys)
    for name in names_of(state.network, "users"):
        rows = read(other.network.tables[name])[1:]
        append_rows(state.network.tables[name], rows)
        state.optimizer.extend(name, len(rows))
        for slot, variable in slots_of(state.optimizer.slots, name).items():
            kept = read(variable)
            kept[1:] = read(other.optimizer.slots[slot])[1:]
            variable.assign(kept)


def save_part(part: Part, directory: Path, header: Mapping[str, Any]) -> None:
    """Writes the part to `directory`, whole or not at all, replacing one that is there.

    Raises:
        NonFiniteWeights: a value is NaN or infinite. Nothing was written.
    """
    numbers = {"examples": part.examples, "steps": part.steps, "optimizer": part.optimizer}
    groups = (part.keys, part.times, part.tables, part.slots, part.pairs)
    arrays = {
        f"{group}/{name}": array
        for group, named in zip(GROUPS, groups, strict=True)
        for name, array in named.items()  # type: ignore[attr-defined]
    }
    archive.write(directory, {"kind": KIND, **numbers, **header}, arrays)


def restore_part(
    directory: Path, magnitude_limit: float = MAGNITUDE_LIMIT
) -> tuple[Part, dict[str, Any]]:
    """The part in `directory`, each array checked, and its header.

    Raises:
        RestoreError: what is there isn't a part, or was altered; the message says what to do.
    """
    header = archive.read_manifest(directory)
    arrays = archive.read_arrays(directory, header, magnitude_limit)
    grouped: dict[str, dict[str, np.ndarray]] = {group: {} for group in GROUPS}
    try:
        if header["kind"] != KIND:
            raise KeyError(f"it is a {header['kind']}")
        for name, array in arrays.items():
            group, rest = name.split("/", 1)
            grouped[group][rest] = array
        examples = float(header["examples"])
        if not 0 <= examples < math.inf:
            raise ValueError(f"`examples` should be 0 or more. Received: {examples}.")
        part = Part(
            examples,
            archive.whole_number(header, "steps"),
            OPTIMIZERS[header["optimizer"]].kind,
            grouped["keys"],  # type: ignore[arg-type]
            grouped["times"],
            grouped["table"],
            grouped["slot"],
            grouped["pairs"],
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CorruptCheckpoint(
            f"What is in {directory} isn't a part ({error!r}). Give a folder that a worker wrote, or "
            "have its examples learned anew."
        ) from error
    return part, header
