"""What leaves a silo, and what a coordinator takes: the same allow-list on both sides.

A delta is a part (`models.merging.changes`) of each state with

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
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.data.ragged import look_up
from recloop.errors import BadInput
from recloop.silos import privacy
from recloop.silos.archive_headers import check_archive, check_values, tables_of
from recloop.silos.claims import MANIFEST, Round, check_files, read_round

if TYPE_CHECKING:
    from models.data.checks import Int64Array
    from models.merging.changes import Changes
    from models.merging.merging import Part
    from models.recommenders.family import Recommender
    from models.tables.network import Entity
    from models.tables.state import ModelState


OfferedBy = Callable[[int], np.ndarray]


def write_delta(
    model: Recommender,
    part: Changes,
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
    from models.merging import changes

    privacy.check(clip, noise)
    keys = np.concatenate([np.zeros(1, np.int64), np.asarray(offered, np.int64)])
    stages = {name: _shareable(state, part[name], keys) for name, state in model.states.items()}
    if clip:
        flat = privacy.clipped(tables_of(stages), clip)
        if noise:
            flat = privacy.noised(flat, noise * clip, rng)
        for stage, one in stages.items():
            tables = {name: flat[f"{stage}/{name}"] for name in one.tables}
            stages[stage] = replace(
                one,
                tables=tables,
                times={},
                slots={},
                examples=2.0 ** round(math.log2(max(one.examples, 1))) if noise else one.examples,
                steps=1 if noise else one.steps,
            )
    changes.save(stages, folder, {"release": release, "clip": clip, "noise": noise})
    return name_of(folder)


def read_delta(
    folder: Path, champion: Recommender, offered_by: OfferedBy | None = None
) -> tuple[Changes, int]:
    """The delta in `folder` and the release that it was trained from, if it is what it should be.

    Args:
        offered_by: item keys of a release's offer, by its version; None: the champion's.

    Raises:
        BadInput: it holds something that must not leave a silo, doesn't fit the champion, was altered,
            or says of itself what cannot be; in one sentence, with file, field and value.
    """
    from models.errors import RestoreError
    from models.merging import changes

    said, offered = check_headers(folder, champion, offered_by)
    try:
        part, _ = changes.restore(folder, champion.states)
    except RestoreError as error:  # its remedy is for a release that was damaged
        what = str(error).partition(" Restore the previous release")[0]
        raise BadInput(f"{what} Have the silo make it anew, or send it again.") from error
    history = max(state.config.history_length for state in champion.states.values())
    check_values(folder, part, said, offered, history)
    return part, said.release


def check_headers(
    folder: Path, champion: Recommender, offered_by: OfferedBy | None = None
) -> tuple[Round, np.ndarray]:
    """Check all of a delta that can be checked without unpacking an array. See `read_delta`.

    Returns:
        What it says of its round, and the item keys (int64) of the offer that it was trained from.
    """
    check_files(folder, list(champion.states))
    said, promised = read_round(folder, list(champion.states))
    offered = np.array(champion.item_keys) if offered_by is None else offered_by(said.release)
    clipped, rows = said.clip > 0, len(offered) + 1
    for stage, state in champion.states.items():
        kind = said.optimizer[stage]
        check_archive(folder / stage, state, clipped, kind, promised[stage], rows)
    return said, offered


def name_of(folder: Path) -> str:
    """A delta's name: a hash of what its arrays are. What its headers say of them changes nothing, so
    that the same change has one name."""
    from models.storage import archive

    hashes = [
        f"{path.parent.name}/{name} {one['sha256']}"
        for path in folder.glob(f"*/{MANIFEST}")
        for name, one in archive.read_manifest(path.parent)["arrays"].items()
    ]
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()[:16]


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
    return replace(part, keys=shared, times=times, tables=tables, slots=slots, pairs={})


def _table(slot: str) -> str:
    return slot.rsplit("/", 1)[0]
