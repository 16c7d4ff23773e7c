"""Archive: named arrays on disk with a manifest, and every fault of them named.

    directory/
    ├── manifest.json   whatever its writer says, and for each array its shape, dtype and sha256
    └── arrays.npz      the arrays, not compressed

Belongs here: files. Keep out: what a model is made of (`models.storage.checkpoint`,
`models.storage.delta`).
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import CorruptCheckpoint, IncompatibleCheckpoint, NonFiniteWeights
from models.storage.publishing import whole_directory

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
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = set(archive.files)
            if found != set(promised):
                raise CorruptCheckpoint(
                    f"{path} doesn't hold the arrays of its manifest: missing "
                    f"{sorted(set(promised) - found)}, unexpected {sorted(found - set(promised))}. "
                    "Restore the previous release, or save the model again."
                )
            for name in promised:
                arrays[name] = archive[name]
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
