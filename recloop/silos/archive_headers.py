"""The headers of a delta's archive, which say what its arrays are and how large: asked before one is
unpacked, so that an archive that would fill the memory is refused for what it says of itself.

Neighbours: `claims.py` before, `values.py` after.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from recloop.errors import BadInput
from recloop.silos.claims import ARRAYS, MANIFEST, Json

if TYPE_CHECKING:
    from models.state import ModelState

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
    from models.learning.optimizers import OPTIMIZERS

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
        found |= {f"slot/{name}/{slot}": (shape, "float32") for slot in kind.slot_names}
        found |= {f"slot/{name}/{slot}": (shape[:1], "float32") for slot in kind.row_slot_names}
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
