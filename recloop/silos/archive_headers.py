"""The headers of a delta's archive, which say what its arrays are and how large: asked before one is
unpacked, so that an archive that would fill the memory is refused for what it says of itself.

After the headers, the numbers: what a silo can have learnt in such a round. Neighbour: `claims.py`,
which comes before and needs no array.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from recloop.errors import BadInput
from recloop.silos import privacy
from recloop.silos.claims import ARRAYS, MANIFEST, MOST_EXAMPLES, Json, Round

if TYPE_CHECKING:
    from models.merging.merging import Part
    from models.tables.state import ModelState

LARGEST_HEADER = 4096
"""Bytes of an array's header; NumPy's own have 128."""


def check_archive(
    folder: Path, state: ModelState, clipped: bool, optimizer: str, promised: Json, rows: int
) -> None:
    """Check the headers of one stage's archive against the champion.

    Args:
        folder: of the stage.
        state: the champion's.
        clipped: whether counts and slots stay at the silo.
        optimizer: its kind.
        promised: the manifest's arrays.
        rows: how many item rows the offer has, that of the unknown included.

    Raises:
        BadInput: an array is missing, too much, of another shape, dtype or size, or compressed.
    """
    expected = expected_arrays(state, clipped, optimizer, rows)
    _check_names(folder / MANIFEST, set(promised), set(expected))
    headers = _headers(folder / ARRAYS)
    _check_names(folder / ARRAYS, set(headers), set(expected))
    for name, wanted in expected.items():
        if headers[name] != wanted:
            raise BadInput(
                f"Array {name!r} of {folder / ARRAYS} should have shape {wanted[0]} and dtype "
                f"{wanted[1]}. Received: {headers[name][0]} and {headers[name][1]}. Have the silo train "
                "from an offer of this model."
            )


def expected_arrays(
    state: ModelState, clipped: bool, optimizer: str, rows: int
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of each array that a delta has for one stage, by name."""
    from models.tables.optimizers import OPTIMIZERS

    keyed = state.network.keyed
    shapes: dict[str, tuple[int, ...]] = {}
    for name, variable in state.network.tables.items():
        whole = tuple(variable.shape)
        if keyed.get(name) != "users":
            shapes[name] = (rows, *whole[1:]) if keyed.get(name) == "items" else whole
    found = {f"table/{name}": (shape, "float32") for name, shape in shapes.items()}
    items = [name for name in shapes if keyed.get(name) == "items"]
    if items:
        found["keys/items"] = ((rows,), "int64")
    if clipped:
        return found
    found |= {f"times/{name}": ((rows,), "float32") for name in items}
    kind = OPTIMIZERS[optimizer]
    for name, shape in shapes.items():
        for slot in (*kind.slot_names, *kind.row_slot_names):
            found[f"slot/{name}/{slot}"] = (kind.slot_shape(slot, shape), "float32")
    return found


def _check_names(path: Path, found: set[str], expected: set[str]) -> None:
    if found != expected:
        raise BadInput(
            f"{path} should hold item rows and dense weights only, and all of them. Too much: "
            f"{_listed(found - expected)}; missing: {_listed(expected - found)}. Have the silo make it "
            "anew, with this recloop."
        )


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of each array of an archive, by its headers, which say what its bytes are."""
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    name = ""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if total > path.stat().st_size or any(one.compress_type for one in members):
                raise BadInput(
                    f"{path} is compressed: its {path.stat().st_size:,} bytes would become {total:,}. "
                    "recloop writes deltas as they are; have the silo make it anew."
                )
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name in found or member.flag_bits & 1:
                    raise BadInput(f"{path} holds array {name!r} twice, or encrypted.")
                with archive.open(member) as file:
                    shape, dtype, length = _header(file)
                if (
                    dtype.hasobject
                    or math.prod(shape) * dtype.itemsize + length != member.file_size
                ):
                    raise BadInput(
                        f"Array {name!r} of {path} has {member.file_size:,} bytes; its header says "
                        f"{shape} of {dtype}."
                    )
                found[name] = (shape, str(dtype))
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        where = f"array {name!r} of {path}" if name else str(path)
        raise BadInput(
            f"{where} cannot be read ({error}): it is missing, truncated or altered. Have the silo "
            "send it again."
        ) from error
    return found


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, dtype and the header's own bytes of one array in NumPy's format 1.0, as recloop writes."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"its format is {version}, not (1, 0)")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=LARGEST_HEADER)
    return tuple(shape), dtype, file.tell()


def _listed(names: set[str]) -> str:
    """`keys of users, table user`; `nothing` if there is none."""
    told = []
    for name in sorted(names)[:10]:
        group, _, rest = name.partition("/")
        told.append(f"{group} of {rest}" if group in ("keys", "times") else f"{group} {rest}")
    return ", ".join(told) or "nothing"


LARGEST = 1e6
"""Magnitude of a change of a weight, as of a model's weights (`models.storage.checkpoint`)."""
LARGEST_SLOT = 1e12
"""Of an optimizer's slot: Adagrad's sums of squares pass 10^6 in a large shop."""
ROOM = 1e-4
"""Relative, for sums of float32."""
NEVER_NEGATIVE = ("accumulator", "count")
"""Slots whose change is a sum of squares, or a count."""


def check_values(
    folder: Path, parts: Mapping[str, Part], said: Round, offered: np.ndarray, history: int
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
            what = "some are there twice, or in another order"
            what = f"key {strange[0]} is none of them" if len(strange) else what
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


def tables_of(parts: Mapping[str, Part]) -> dict[str, np.ndarray]:
    """The parts' tables in one, by stage and name."""
    return {f"{s}/{n}": array for s, part in parts.items() for n, array in part.tables.items()}


def _check_norm(folder: Path, parts: Mapping[str, Part], said: Round) -> None:
    """A clipped change is no longer than its clip; Gaussian noise on d numbers adds, but for one case
    in 10^7, no more than its deviation times the root of d and 6."""
    arrays = tables_of(parts)
    numbers = sum(array.size for array in arrays.values())
    most = said.clip * (1 + said.noise * (math.sqrt(numbers) + 6)) * (1 + ROOM)
    norm = privacy.norm_of(arrays)
    if norm > most:
        raise BadInput(
            f"{folder}: its header says clip {said.clip:g} and noise {said.noise:g}, so that the norm "
            f"of its change is at most {most:g}. Received: {norm:g}. Have the silo make it anew."
        )
