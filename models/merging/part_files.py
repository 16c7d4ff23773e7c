"""A part on disk: what one worker changed (`models.merging.merging`), as an archive.

Its header has the family, the optimizer, the steps and the examples, and whatever its writer adds; its
arrays are named `keys/<entity>`, `times/<table>`, `table/<table>` and `slot/<table>/<slot>`.
Neighbour: `models.storage.archive` checks every array against its hash.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import CorruptCheckpoint
from models.merging.merging import Part
from models.storage import archive
from models.storage.checkpoint import MAGNITUDE_LIMIT
from models.tables.optimizers import OPTIMIZERS

KIND = "part"
GROUPS = ("keys", "times", "table", "slot")


def save(part: Part, directory: Path, header: Mapping[str, Any]) -> None:
    """Writes the part to `directory`, whole or not at all, replacing one that is there.

    Raises:
        NonFiniteWeights: a value is NaN or infinite. Nothing was written.
    """
    numbers = {"examples": part.examples, "steps": part.steps, "optimizer": part.optimizer}
    groups = (part.keys, part.times, part.tables, part.slots)
    arrays = {
        f"{group}/{name}": array
        for group, named in zip(GROUPS, groups, strict=True)
        for name, array in named.items()  # type: ignore[attr-defined]
    }
    archive.write(directory, {"kind": KIND, **numbers, **header}, arrays)


def restore(
    directory: Path, magnitude_limit: float = MAGNITUDE_LIMIT
) -> tuple[Part, dict[str, Any]]:
    """The part in `directory`, each array checked, and its header.

    Raises:
        RestoreError: what is there isn't a part, or was altered; the message says what to do.
    """
    header = archive.read_manifest(directory)
    arrays = archive.read_arrays(directory, header, magnitude_limit)
    grouped: dict[str, dict[str, np.ndarray]] = {group: {} for group in GROUPS}
    try:
        if header["kind"] != KIND:
            raise KeyError(f"it is a {header['kind']}")
        for name, array in arrays.items():
            group, rest = name.split("/", 1)
            grouped[group][rest] = array
        examples = float(header["examples"])
        if not 0 <= examples < math.inf:
            raise ValueError(f"`examples` should be 0 or more. Received: {examples}.")
        part = Part(
            examples,
            archive.whole_number(header, "steps"),
            OPTIMIZERS[header["optimizer"]].kind,
            grouped["keys"],  # type: ignore[arg-type]
            grouped["times"],
            grouped["table"],
            grouped["slot"],
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CorruptCheckpoint(
            f"What is in {directory} isn't a part ({error!r}). Give a folder that a worker wrote, or "
            "have its examples learned anew."
        ) from error
    return part, header
