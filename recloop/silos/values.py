"""The numbers of a delta whose headers are right: what a silo can have learnt in such a round.

Neighbours: `claims.py`, `archive_headers.py` before, which need no array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recloop.errors import BadInput
from recloop.silos import privacy
from recloop.silos.claims import ARRAYS, MOST_EXAMPLES, Round

if TYPE_CHECKING:
    from models.learning.merging import Part

LARGEST = 1e6
"""Magnitude of a change of a weight, as of a model's weights (`models.storage.checkpoint`)."""
LARGEST_SLOT = 1e12
"""Of an optimizer's slot: Adagrad's sums of squares pass 10^6 in a large shop."""
ROOM = 1e-4
"""Relative, for sums of float32."""
NEVER_NEGATIVE = ("accumulator", "count")
"""Slots whose change is a sum of squares, or a count."""


def check_values(
    folder: Path,
    parts: Mapping[str, Part],
    said: Round,
    offered: np.ndarray,
    history: int,
) -> None:
    """Check the numbers of a delta whose headers are right.

    Args:
        parts: by stage.
        offered: int64, item keys of the offer, in the order of its rows.
        history: how many items of a history one event looks back on at most.

    Raises:
        BadInput: a number cannot be what a silo has learnt in such a round.
    """
    keys = np.concatenate([np.zeros(1, np.int64), offered])
    for stage, part in parts.items():
        path = folder / stage / ARRAYS
        if "items" in part.keys and not np.array_equal(part.keys["items"], keys):
            strange = np.setdiff1d(part.keys["items"], keys)
            what = (
                f"key {strange[0]} is none of them"
                if len(strange)
                else "some are there twice, or in another order"
            )
            raise BadInput(
                f"Array 'keys/items' of {path} should be the {len(offered):,} items of release "
                f"{said.release}, each once, in the offer's order; {what}."
            )
        for group, arrays in (("table", part.tables), ("slot", part.slots), ("times", part.times)):
            for name, array in arrays.items():
                _check_range(path, f"{group}/{name}", array)
        _check_times(path, part, history)
    if said.clip:
        _check_norm(folder, parts, said)


def _check_range(path: Path, name: str, array: np.ndarray) -> None:
    group, last = name.split("/")[0], name.split("/")[-1]
    most = {"times": float(MOST_EXAMPLES), "slot": LARGEST_SLOT}.get(group, LARGEST)
    least = 0.0 if group == "times" or last in NEVER_NEGATIVE else -most
    wrong = ~((array >= least) & (array <= most))  # NaN, too
    if wrong.any():
        raise BadInput(
            f"Array {name!r} of {path} should have numbers from {least:g} to {most:g}. Received: "
            f"{array[wrong].flat[0]:g}, and {int(wrong.sum()):,} such. Have the silo make it anew."
        )


def _check_times(path: Path, part: Part, history: int) -> None:
    """An event is about one item, and its query looks back on a history."""
    for name, array in part.times.items():
        most = part.examples * (history if name == "history" else 1)
        total = float(array.sum(dtype=np.float64))
        if total > most * (1 + ROOM):
            raise BadInput(
                f"Array 'times/{name}' of {path} adds up to {total:g} touches, where "
                f"{part.examples:g} examples have at most {most:g}. Have the silo make it anew."
            )


def _check_norm(folder: Path, parts: Mapping[str, Part], said: Round) -> None:
    """A clipped change is no longer than its clip; Gaussian noise on d numbers adds, but for one case
    in 10^7, no more than its deviation times the root of d and 6."""
    arrays = {f"{s}/{n}": a for s, part in parts.items() for n, a in part.tables.items()}
    numbers = sum(array.size for array in arrays.values())
    most = said.clip * (1 + said.noise * (math.sqrt(numbers) + 6)) * (1 + ROOM)
    norm = privacy.norm_of(arrays)
    if norm > most:
        raise BadInput(
            f"{folder}: its header says clip {said.clip:g} and noise {said.noise:g}, so that the norm "
            f"of its change is at most {most:g}. Received: {norm:g}. Have the silo make it anew."
        )
