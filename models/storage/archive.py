"""Archive: named arrays on disk with a manifest, and every fault of them named.

    directory/
    ├── manifest.json   whatever its writer says, and for each array its shape, dtype and sha256
    └── arrays.npz      the arrays, not compressed

Belongs here: files. Keep out: what a model is made of (`models.storage.checkpoint`,
`models.storage.delta`).
"""

import hashlib
import json
import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import CorruptCheckpoint, IncompatibleCheckpoint, NonFiniteWeights

FORMAT_VERSION = 2
MANIFEST, ARRAYS = "manifest.json", "arrays.npz"
WEIGHTS = "table/"
"""What names of weights begin with."""


def write(directory: Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Writes header and arrays to `directory`, replacing what is there; whole or not at all.

    Returns:
        The manifest's sha256. It stands for all of the archive: the manifest has the arrays'.

    Raises:
        NonFiniteWeights: a value is NaN or infinite. Nothing was written: reading would refuse it.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise NonFiniteWeights(
                f"Array {name!r} has {int((~np.isfinite(array)).sum())} value(s) that are not "
                "finite, so the model was not saved. Go back to the last saved model."
            )
    described = {name: _describe(array) for name, array in arrays.items()}
    manifest = {"format_version": FORMAT_VERSION, **header, "arrays": described}
    text = json.dumps(manifest, indent=2) + "\n"
    with whole_directory(directory) as staging:
        np.savez(staging / ARRAYS, **arrays)  # type: ignore[arg-type]
        (staging / MANIFEST).write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def digest(directory: Path) -> str:
    """The sha256 of the manifest in `directory`; "" if there is none."""
    try:
        return hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest, not yet believed.

    Raises:
        CorruptCheckpoint: it is missing, or isn't one.
        IncompatibleCheckpoint: it is of another format version.
    """
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        version = manifest["format_version"]
        dict(manifest["arrays"])
    except FileNotFoundError as error:
        raise CorruptCheckpoint(
            f"There is no {MANIFEST} in {directory}. Give the folder that save() wrote, or "
            "restore the previous release."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptCheckpoint(
            f"{path} can't be read ({error!r}). Restore the previous release."
        ) from error
    if version != FORMAT_VERSION:
        raise IncompatibleCheckpoint(
            f"{path} has format version {version}; this recloop reads {FORMAT_VERSION}. "
            "Restore it with the recloop that wrote it, or rebuild the model."
        )
    return manifest


def whole_number(manifest: Mapping[str, Any], name: str) -> int:
    """A number of the manifest, 0 or more.

    Raises:
        KeyError, TypeError, ValueError: it isn't there, or isn't such a number.
    """
    value = manifest[name]
    if not 0 <= value < math.inf or value != int(value):
        raise ValueError(f"`{name}` should be a whole number, 0 or more. Received: {value}.")
    return int(value)


def read_arrays(
    directory: Path, manifest: Mapping[str, Any], magnitude_limit: float
) -> dict[str, np.ndarray]:
    """The arrays that the manifest promises, each checked against it.

    Raises:
        CorruptCheckpoint: the file or an array is missing, truncated, altered, not finite, or is a
            table with an absolute value beyond the limit.
    """
    path = directory / ARRAYS
    promised = manifest["arrays"]
    arrays: dict[str, np.ndarray] = {}
    name = None
    try:
        # Opened here, so that it is closed when NumPy finds it truncated.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as packed:
            found = set(packed.files)
            if found != set(promised):
                raise CorruptCheckpoint(
                    f"{path} doesn't hold the arrays of its manifest: missing "
                    f"{sorted(set(promised) - found)}, unexpected {sorted(found - set(promised))}. "
                    "Restore the previous release, or save the model again."
                )
            for name in promised:
                arrays[name] = packed[name]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        where = f"array {name!r} of {path}" if name else str(path)
        raise CorruptCheckpoint(
            f"{where} can't be read ({error}); the file is missing, truncated or altered. "
            "Restore the previous release, or copy the model again."
        ) from error
    for name, array in arrays.items():
        _check_array(name, array, promised[name], magnitude_limit, path)
    return arrays


def _describe(array: np.ndarray) -> dict[str, Any]:
    sha256 = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": sha256}


def _check_array(
    name: str, array: np.ndarray, promised: dict[str, Any], magnitude_limit: float, path: Path
) -> None:
    if array.dtype.kind == "f":
        # NaN and inf first: "altered" would be true of them too, and tell less.
        bad = ~np.isfinite(array)
        if bad.any():
            raise CorruptCheckpoint(
                f"Array {name!r} of {path} has {int(bad.sum())} value(s) that are not finite, the "
                f"first is {array[bad][0]}. Restore the previous release, and look at what trained "
                "this one."
            )
        largest = float(np.abs(array).max(initial=0.0)) if name.startswith(WEIGHTS) else 0.0
        if largest > magnitude_limit:
            raise CorruptCheckpoint(
                f"Array {name!r} of {path} has a value of magnitude {largest:g}, beyond the limit "
                f"of {magnitude_limit:g}. Restore the previous release, or raise the limit if "
                "such weights are meant."
            )
    actual = _describe(array)
    for what in ("shape", "dtype", "sha256"):
        if actual[what] != promised.get(what):
            raise CorruptCheckpoint(
                f"Array {name!r} of {path} was altered: its {what} is {actual[what]}, the manifest "
                f"says {promised.get(what)}. Restore the previous release, or copy it again."
            )


Arrays = dict[str, np.ndarray]


def read(directory: Path, magnitude_limit: float) -> tuple[dict[str, Any], Arrays]:
    """The manifest in `directory`, and all arrays of its model, of the whole chain, each checked.

    Raises:
        RestoreError: an archive of the chain can't be used, or isn't the one that it should be.
    """
    manifest = read_manifest(directory)
    base = base_of(directory, manifest)
    if base is None:
        return manifest, read_arrays(directory, manifest, magnitude_limit)
    _, older = read(base, magnitude_limit)
    changes = read_arrays(directory, manifest, magnitude_limit)
    arrays: Arrays = {}
    for name, part in manifest["parts"].items():
        try:
            arrays[name] = _made(name, part, older, changes)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CorruptCheckpoint(
                f"Array {name!r} can't be made of the delta {directory} and its base ({error!r}). "
                "Restore the previous release, or save the model again."
            ) from error
    return manifest, arrays


def base_of(directory: Path, manifest: dict[str, Any]) -> Path | None:
    """The folder that a delta is based on; None: the manifest isn't a delta's.

    Raises:
        CorruptCheckpoint: it is gone, or another manifest is there.
    """
    if "base" not in manifest:
        return None
    try:
        base = Path(os.path.normpath(directory.resolve() / manifest["base"]["path"]))
        promised = manifest["base"]["sha256"]
    except (KeyError, TypeError) as error:
        raise CorruptCheckpoint(
            f"The manifest of {directory} doesn't name a base ({error!r}). Restore the previous "
            "release, or save the model again."
        ) from error
    found = digest(base)
    if found != promised:
        what = f"a manifest of sha256 {found} is there" if found else "there is none"
        raise CorruptCheckpoint(
            f"{directory} is a delta of {base}, whose manifest had sha256 {promised}; now {what}. "
            "Bring the base back, or restore a release that doesn't need it."
        )
    return base


def chain(directory: Path) -> list[Path]:
    """The folders that restoring `directory` reads: itself first, the full checkpoint last. Whoever
    deletes old releases must keep these.

    Raises:
        RestoreError: a manifest of the chain can't be read, or isn't the one that it should be.
    """
    folders = [directory]
    while (base := base_of(folders[-1], read_manifest(folders[-1]))) is not None:
        folders.append(base)
    return folders


def _made(name: str, part: dict[str, Any], older: Arrays, changes: Arrays) -> np.ndarray:
    """One array of the model. ValueError and the like: the parts don't fit."""
    how, shape = part["how"], tuple(part["shape"])
    if how == "same":
        made = older[name]
    elif how == "whole":
        made = changes[name]
    elif how == "appended":
        made = np.concatenate([older[name], changes[name]])
    elif how == "rows":
        rows, before = changes[part["rows"]], older[name]
        fresh = np.arange(len(before), shape[0])
        if (np.diff(rows) <= 0).any() or not np.isin(fresh, rows).all() or (rows < 0).any():
            raise ValueError("rows repeat, or a new one is missing")
        made = before
        if len(fresh):
            made = np.empty(shape, before.dtype)
            made[: len(before)] = before
        made[rows] = changes[name]
    else:
        raise ValueError(f"no such part: {how!r}")
    if made.shape != shape:
        raise ValueError(f"its shape is {made.shape}, not {shape}")
    return made


# Writing a folder whole or not at all.


@contextmanager
def whole_directory(directory: Path) -> Iterator[Path]:
    """Gives an empty folder to write in; on success it becomes `directory`, on failure it is gone.

    The folder is made beside the destination, so that the last step is a rename in one file
    system. A `directory` that exists is replaced: a reader finds the old content, the new, or, for
    an instant, none; never half. Where that instant matters, write to a new name (releases do).

    >>> with whole_directory(Path("model")) as staging:            # doctest: +SKIP
    ...     (staging / "manifest.json").write_text("{}")
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        yield staging
        if directory.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{directory.name}-old-", dir=directory.parent))
            os.rename(directory, old / directory.name)
            os.rename(staging, directory)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(staging, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
