"""Delta: a checkpoint that holds only what changed since another one, its base.

Base and deltas restore to exactly the bits of a full save. The optimizer notes which rows it
touches, so no table is compared, or read as a whole: cost and size follow the update. (The idea is
Check-N-Run's: Eisenman et al., NSDI 2022; rejected: its quantisation, which isn't exact.)

A delta is an archive (`models.storage.archive`) whose header also has

    base    path (relative to the delta's folder) and sha256 of the base's manifest, which has the
            sha256 of the base's arrays and, if that is a delta too, of its own base: a chain
    parts   for each array of the model its shape, and how it is made: "same" as the base's; "whole"
            in this archive; "rows": the base's, lengthened, with these rows replaced; or
            "appended": the base's with more at the end

Where a row has moved (`models.ids.admission`) or weights were written past the optimizer, the state
has no base: the next save is a full one.
"""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from models.data.checks import Int64Array
from models.errors import RestoreError, UnusableBase
from models.storage import archive
from models.storage.archive import Arrays, chain
from models.tables.backend import tf
from models.tables.optimizers import slots_of
from models.tables.rows import read as read_variable
from models.tables.rows import shape_of
from models.tables.state import ModelState


def save_delta(state: ModelState, base: Path, directory: Path) -> None:
    """Writes to `directory` what has changed in the state since it was saved to `base`, or restored
    from there, in full or as a delta.

    Raises:
        UnusableBase: `base` isn't what this state was last saved to or restored from, or its arrays
            are gone or truncated, or it is `directory`. Nothing was written.
        NonFiniteWeights: a weight is NaN or infinite. Nothing was written.
    """
    delta = _Delta(_shapes(check_base(state, base, directory)))
    for name, table in state.network.tables.items():
        rows = np.flatnonzero(read_variable(state.optimizer.touched[name]))
        slots = {
            f"slot/{slot}": variable
            for slot, variable in slots_of(state.optimizer.slots, name).items()
        }
        for array, variable in {f"table/{name}": table, **slots}.items():
            delta.add_touched(array, variable, f"rows/{name}", rows)
    for name, content in state.network.content.items():
        delta.add_longer(f"content/{name}", content)
    delta.add_longer("user_keys", state.users.keys)
    delta.add_longer("item_keys", state.items.keys)
    for name, extra in state.extra.items():
        delta.add_extra(f"extra/{name}", extra, state.extra_then.get(name))
    path = os.path.relpath(base.resolve(), directory.resolve())
    header = {"base": {"path": path, "sha256": state.origin}, "parts": delta.parts}
    state.saved_as(archive.write(directory, {**state.header(), **header}, delta.arrays))


def check_base(state: ModelState, base: Path, directory: Path) -> dict[str, Any]:
    """The base's manifest, if a delta of the state can be based on it.

    Raises:
        UnusableBase: see `save_delta`.
    """
    if base.resolve() == directory.resolve():
        raise UnusableBase(
            f"A delta can't replace its own base. Received: {directory} for both. Write it to "
            "another folder."
        )
    found = archive.digest(base)
    if not state.origin or found != state.origin:
        origin = state.origin or "none (never saved, or rows have moved since)"
        raise UnusableBase(
            f"The model was last saved under a manifest of sha256 {origin}. Received: {base} with "
            f"{found or 'no manifest'}. Give the folder that the model was restored from, or save "
            "it as a whole."
        )
    try:
        for folder in chain(base):
            _check_size(folder)
    except RestoreError as error:
        raise UnusableBase(f"{error} Or save the model as a whole.") from error
    return archive.read_manifest(base)


def _check_size(directory: Path) -> None:
    """That every bit is as it was is checked where all of it is read: when restoring."""
    described = archive.read_manifest(directory)["arrays"].values()
    promised = sum(math.prod(a["shape"]) * np.dtype(a["dtype"]).itemsize for a in described)
    arrays = directory / archive.ARRAYS
    if not arrays.exists() or arrays.stat().st_size < promised:
        raise UnusableBase(
            f"{arrays} is missing or truncated: its manifest promises {promised} bytes. Save the "
            "model as a whole."
        )


def _shapes(manifest: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a model's arrays, by its manifest."""
    parts = manifest["parts"] if "base" in manifest else manifest["arrays"]
    return {name: tuple(part["shape"]) for name, part in parts.items()}


class _Delta:
    """What a delta will hold.

    Attributes:
        arrays, parts: see the module's docstring.
    """

    def __init__(self, base: dict[str, tuple[int, ...]]) -> None:
        """`base`: the shapes of the base's arrays."""
        self._base = base
        self.arrays: Arrays = {}
        self.parts: dict[str, dict[str, Any]] = {}

    def add_touched(
        self, name: str, variable: tf.Variable, rows_name: str, rows: Int64Array
    ) -> None:
        """Rows of a table or a slot; all of it where that is less to write, or can't be less."""
        shape = shape_of(variable)
        if not len(rows) and self._base.get(name) == shape:
            self._add(name, shape, "same")
        elif not shape or name not in self._base or 2 * len(rows) >= shape[0]:
            self._add(name, shape, "whole", read_variable(variable))
        else:
            self.arrays[rows_name] = rows
            self._add(name, shape, "rows", tf.gather(variable, rows).numpy(), rows_name)

    def add_longer(self, name: str, array: "tf.Variable | np.ndarray") -> None:
        """What is only ever appended to."""
        shape = shape_of(array) if isinstance(array, tf.Variable) else array.shape
        self._add(name, shape, "appended", np.array(array[self._base[name][0] :]))

    def add_extra(self, name: str, now: np.ndarray, then: np.ndarray | None) -> None:
        """An array that is replaced when it changes; rows of it, if few differ."""
        if then is now:
            self._add(name, now.shape, "same")
            return
        rows = None if then is None else _differing(now, then)
        if rows is None or 2 * len(rows) >= len(now):
            self._add(name, now.shape, "whole", now)
        else:
            self.arrays[f"rows/{name}"] = rows
            self._add(name, now.shape, "rows", now[rows], f"rows/{name}")

    def _add(
        self,
        name: str,
        shape: tuple[int, ...],
        how: str,
        array: np.ndarray | None = None,
        rows_name: str | None = None,
    ) -> None:
        self.parts[name] = {"shape": list(shape), "how": how}
        if rows_name is not None:
            self.parts[name]["rows"] = rows_name
        if array is not None:
            self.arrays[name] = array


def _differing(now: np.ndarray, then: np.ndarray) -> Int64Array | None:
    """Rows of `now` that are new, or differ in a bit; None: the arrays can't be compared by row."""
    if (
        now.ndim == 0
        or now.dtype != then.dtype
        or now.dtype.kind not in "iuf"
        or now.shape[1:] != then.shape[1:]
        or len(now) < len(then)
    ):
        return None
    bits = f"u{now.dtype.itemsize}"
    differ = np.ones(len(now), np.bool_)
    unequal = now[: len(then)].view(bits) != then.view(bits)
    differ[: len(then)] = unequal.any(axis=tuple(range(1, now.ndim)))
    return np.flatnonzero(differ)
