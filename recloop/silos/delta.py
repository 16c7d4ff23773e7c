"""What leaves a silo, and what a coordinator takes: the same allow-list on both sides.

A delta is a part (`models.storage.parts`) of each stage with

    keys/items            the offer's items, all of them, whether touched or not, and 0 for the unknown
    table/<table>         change of every table that is not keyed by users
    times/<table>         how many of the silo's events were about each item  (not with clip or noise)
    slot/<table>/<slot>   change of the optimizer's slots                     (not with clip or noise)

and in its header the family's names, the offer's release, the number of events (with noise: to a power
of two), and how it was clipped and noised. Nothing else is written, nothing else is read.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.sorted_keys import look_up
from recloop.errors import BadInput
from recloop.silos import privacy

if TYPE_CHECKING:
    from models.arrays import Int64Array
    from models.learning.merging import Part
    from models.network import Entity
    from models.ordering.cascade import Cascade
    from models.ordering.cascade_parts import CascadePart
    from models.state import ModelState

HEADER = ("kind", "examples", "steps", "optimizer", "release", "clip", "noise")
ARCHIVE = ("format_version", "arrays")


def write_delta(
    model: Cascade,
    part: CascadePart,
    offered: np.ndarray,
    folder: Path,
    release: int,
    clip: float,
    noise: float,
    rng: np.random.Generator,
) -> str:
    """Write what may leave of a part; returns the delta's name, which says what is in it.

    Args:
        model: that learned it.
        part: all of what it learned.
        offered: int64, the offer's item keys in the order of its rows.
        folder: new, or to be replaced.
        release: the offer's.
        clip, noise: see `privacy`; 0 is off.
        rng: of the noise.

    Raises:
        BadInput: noise without clip.
        models.errors.NonFiniteWeights: a weight exploded. Nothing was written.
    """
    from models.ordering import cascade_parts

    privacy.check(clip, noise)
    keys = np.concatenate([np.zeros(1, np.int64), np.asarray(offered, np.int64)])
    stages = {
        "towers": _shareable(model.towers, part.towers, keys),
        "ranker": _shareable(model.ranker_state, part.ranker, keys),
    }
    if clip:
        flat = {
            f"{stage}/{name}": array
            for stage, one in stages.items()
            for name, array in one.tables.items()
        }
        flat = privacy.clipped(flat, clip)
        if noise:
            flat = privacy.noised(flat, noise * clip, rng)
        for stage, one in stages.items():
            tables = {name: flat[f"{stage}/{name}"] for name in one.tables}
            stages[stage] = replace(
                one,
                tables=tables,
                times={},
                slots={},
                examples=_power_of_two(one.examples) if noise else one.examples,
                steps=1 if noise else one.steps,
            )
    safe = cascade_parts.CascadePart(stages["towers"], stages["ranker"])
    cascade_parts.save(safe, folder, {"release": release, "clip": clip, "noise": noise})
    return name_of(folder)


def read_delta(folder: Path, champion: Cascade) -> tuple[CascadePart, int]:
    """The delta in `folder` and the release that it was trained from, if it is what it should be.

    Raises:
        BadInput: it holds something that must not leave a silo, or doesn't fit the champion.
        models.errors.RestoreError: it was altered, or isn't one.
    """
    from models.ordering import cascade_parts

    part, header = cascade_parts.restore(folder)
    strange = sorted(set(header) - {*HEADER, *ARCHIVE})
    if strange:
        raise BadInput(f"{folder} has {', '.join(strange)} in its header, which no delta has.")
    for state, one in ((champion.towers, part.towers), (champion.ranker_state, part.ranker)):
        _check(state, one, folder)
    return part, int(header["release"])


def name_of(folder: Path) -> str:
    """A delta's name: a hash of both stages' manifests, which hold those of all arrays."""
    from models.storage import archive

    stages = [archive.digest(folder / stage) for stage in ("towers", "ranker")]
    return hashlib.sha256("/".join(stages).encode()).hexdigest()[:16]


def _shareable(state: ModelState, part: Part, keys: np.ndarray) -> Part:
    """The part's item rows, at these keys, and its dense weights."""
    keyed = state.network.keyed
    item_tables = {name for name, entity in keyed.items() if entity == "items"}
    own = part.keys.get("items", np.zeros(0, np.int64))
    order = np.argsort(own)
    found, place = look_up(own[order], keys)
    source = order[place[found]]

    def rows(array: np.ndarray) -> np.ndarray:
        every = np.zeros((len(keys), *array.shape[1:]), array.dtype)
        every[found] = array[source]
        return every

    def of(name: str, array: np.ndarray) -> np.ndarray:
        return rows(array) if name in item_tables else array

    tables = {n: of(n, a) for n, a in part.tables.items() if keyed.get(n) != "users"}
    slots = {n: of(_table(n), a) for n, a in part.slots.items() if _table(n) in tables}
    times = {n: rows(a) for n, a in part.times.items() if n in item_tables}
    shared: dict[Entity, Int64Array] = {"items": keys} if item_tables else {}
    return replace(part, keys=shared, times=times, tables=tables, slots=slots)


def _check(state: ModelState, part: Part, folder: Path) -> None:
    keyed, tables = state.network.keyed, state.network.tables
    public = {name for name in tables if keyed.get(name) != "users"}
    items = {name for name in public if keyed.get(name) == "items"}
    slots = {name for name in state.optimizer.slots if _table(name) in public}
    wrong = sorted(
        [f"keys of {name}" for name in set(part.keys) - ({"items"} if items else set())]
        + [f"table {name}" for name in set(part.tables) ^ public]
        + [f"times of {name}" for name in set(part.times) - items]
        + [f"slot {name}" for name in set(part.slots) - slots]
    )
    if wrong:
        raise BadInput(
            f"{folder} should hold item rows and dense weights only, and all of them. Too much or "
            f"missing: {', '.join(wrong)}. Have the silo make it anew, with this recloop."
        )
    arrays = {**part.tables, **part.slots, **part.times}
    for name, array in arrays.items():
        table = name if name in tables else _table(name)
        rows = len(part.keys["items"]) if table in items else None
        whole = tuple(tables[table].shape)
        expected = (rows, *whole[1:]) if rows is not None else whole
        if name in part.times and array.shape == (rows,):
            continue
        if array.shape != expected and not (name in part.slots and array.shape[:1] == expected[:1]):
            raise BadInput(
                f"Array {name!r} of {folder} should have shape {expected}. Received: {array.shape}. "
                "Have the silo train from an offer of this model."
            )


def _table(slot: str) -> str:
    return slot.rsplit("/", 1)[0]


def _power_of_two(examples: float) -> float:
    return float(2 ** round(math.log2(examples))) if examples > 0 else 1.0
