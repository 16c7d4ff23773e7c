"""A recommender on disk: of which family it is, its shape, and its states. Reading the first two
imports no TensorFlow.

directory/
├── model.json   family, and the shape that it was made with
└── <state>/     one folder for each state, as `models.storage.checkpoint`
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import IncompatibleCheckpoint, RestoreError
from models.recommenders.family import Family, family_named
from models.recommenders.offered import FAMILIES
from models.storage.archive import whole_directory

if TYPE_CHECKING:
    from models.tables.state import ModelState

HEADER = "model.json"
OLDER = {"cascade.json": "retrieve_and_rank"}
"""Headers of checkpoints that did not say their family, and which it was."""


def save(
    family: str,
    shape: Mapping[str, Any],
    states: "Mapping[str, ModelState]",
    directory: Path,
    base: Path | None = None,
) -> str:
    """Writes all states to `directory`, whole or not at all, replacing one that is there.

    Args:
        shape: JSON's types.
        base: what the states were restored from: only what changed since is written, where that is less
            (`models.storage.delta`).

    Returns:
        "delta" if a state was written as what changed, else "whole".
    """
    from models.storage import checkpoint

    with whole_directory(directory) as staging:
        write_header(family, shape, staging)
        kinds = [
            checkpoint.save(state, staging / name, None if base is None else base / name)
            for name, state in states.items()
        ]
    return "delta" if "delta" in kinds else "whole"


def write_header(family: str, shape: Mapping[str, Any], directory: Path) -> None:
    """Writes `model.json`."""
    text = json.dumps({"family": family, "shape": shape}, indent=2)
    (directory / HEADER).write_text(text + "\n")


def read_header(directory: Path) -> tuple[str, dict[str, Any]]:
    """The family's name and the shape of what is in `directory`.

    Raises:
        RestoreError: there is none.
    """
    try:
        for name, family in OLDER.items():
            if not (directory / HEADER).exists() and (directory / name).exists():
                return family, json.loads((directory / name).read_text())
        values = json.loads((directory / HEADER).read_text())
        return str(values["family"]), dict(values["shape"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RestoreError(
            f"No recommender in {directory}: {error}. Roll back to another release."
        ) from error


def family_in(directory: Path) -> Family:
    """The family of the recommender in `directory`.

    Raises:
        RestoreError: there is none, or of no family that is known here.
    """
    name, _ = read_header(directory)
    try:
        return family_named(name)
    except ValueError as error:
        raise IncompatibleCheckpoint(
            f"The recommender in {directory} is of family {name!r}; this recloop knows "
            f"{', '.join(FAMILIES)}. {error}"
        ) from error
