"""What a worker changed in a recommender: a part of each of its states.

    marks = marks_of(model.states)                  # after making room, before learning
    model.learn(events, …)                          # of one worker's share of the users
    changes = changes_of(model.states, marks, model.touched(events))
    merge(other.states, [changes, …], other.merging)    # into a copy of what was marked, or a later one

Neighbours: `models.merging.merging` has the arithmetic, `models.merging.part_files` the files.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.merging import merging, part_files
from models.merging.merging import Mark, Part
from models.storage.checkpoint import MAGNITUDE_LIMIT
from models.tables.state import ModelState

Changes = Mapping[str, Part]
"""A part by the name of each state."""


def marks_of(states: Mapping[str, ModelState]) -> dict[str, Mark]:
    """The states as they are now."""
    return {name: Mark.of(state) for name, state in states.items()}


def put_back(states: Mapping[str, ModelState], marks: Mapping[str, Mark]) -> None:
    """Gives states that have no new rows since the weights that they had at the marks."""
    for name, mark in marks.items():
        mark.put_back(states[name])


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
    """Writes a folder for each state. See `models.merging.part_files.save`."""
    for name, part in changes.items():
        part_files.save(part, directory / name, header)


def restore(
    directory: Path, names: Iterable[str], magnitude_limit: float = MAGNITUDE_LIMIT
) -> tuple[dict[str, Part], dict[str, Any]]:
    """What `save` wrote of these states, and the header.

    Raises:
        RestoreError: see `models.merging.part_files.restore`.
    """
    found: dict[str, Part] = {}
    header: dict[str, Any] = {}
    for name in names:
        found[name], header = part_files.restore(directory / name, magnitude_limit)
    return found, header
