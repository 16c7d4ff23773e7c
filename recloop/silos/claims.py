"""What a delta says of itself: its files and manifests, each field of its type and within its range.

A delta is input from a stranger. Its manifest says how much it weighs and its archive how large it is;
so it is held against the champion, the offer and itself, before an array is unpacked, in this order:

    files      a manifest and an archive for each state of the model, plain files, nothing else  (here)
    manifest   every field of its type and range; all say the same of the round                  (here)
    archive    the champion's names, shapes and dtypes, not compressed             (`archive_headers.py`)
    values     keys of the offer, numbers possible in such a round                 (`archive_headers.py`)
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recloop.errors import BadInput
from recloop.silos import privacy

Json = dict[str, Any]
MANIFEST, ARRAYS = "manifest.json", "arrays.npz"
LARGEST_MANIFEST = 1 << 20
"""Bytes. One of 20 arrays has 5,000."""
MOST_EXAMPLES = 10**9
"""Of one round: what a machine learns in some hours. One that says more is mistaken, or lies."""
MOST_EPOCHS = 1000
LARGEST_CLIP = 1e6
"""Of clip and noise; a change of such a norm would be beyond what a model's weights may be."""


@dataclass(frozen=True)
class Round:
    """What a delta's manifests say of the round that it is from.

    Attributes:
        release: version that it was trained from.
        clip, noise: see `privacy`; 0 is off.
        examples, steps: by state.
        optimizer: by state, its kind.
    """

    release: int
    clip: float
    noise: float
    examples: dict[str, float]
    steps: dict[str, int]
    optimizer: dict[str, str]


def check_files(folder: Path, states: Sequence[str]) -> None:
    """Check that the folder holds a manifest and an archive for each of these states, and nothing else.

    Raises:
        BadInput: there is no such folder, or something is missing or too much.
    """
    if not folder.is_dir():
        raise BadInput(
            f"{folder} is no delta: there is no such folder. Give the folders that "
            "`recloop silo train --out` wrote."
        )
    found = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    expected = {f"{stage}/{name}" for stage in states for name in (MANIFEST, ARRAYS)}
    if found != expected:
        missing = ", ".join(sorted(expected - found)) or "nothing"
        more = ", ".join(sorted(map(repr, found - expected))[:5]) or "nothing"
        raise BadInput(
            f"{folder} is no delta: missing is {missing}, too much is {more}. Give the folders that "
            "`recloop silo train --out` wrote."
        )
    for name in sorted(expected):
        path = folder / name
        if path.is_symlink() or not path.is_file() or path.parent.is_symlink():
            raise BadInput(f"{path} should be a plain file, not a link or a device.")
        if name.endswith(MANIFEST) and path.stat().st_size > LARGEST_MANIFEST:
            raise BadInput(
                f"{path} has {path.stat().st_size:,} bytes; a delta's has at most {LARGEST_MANIFEST:,}."
            )


def read_round(folder: Path, states: Sequence[str]) -> tuple[Round, dict[str, Json]]:
    """What the manifests say of the round, and what they promise of each array, by stage.

    Raises:
        BadInput: a field is missing, too much, of another type or out of its range.
    """
    manifests = {stage: _manifest(folder / stage / MANIFEST) for stage in states}
    shared = {}
    for name in ("release", "clip", "noise"):
        values = {stage: manifests[stage][name] for stage in states}
        if len(set(values.values())) > 1:
            raise BadInput(
                f"{folder}: `{name}` should be the same in all manifests. Received: {values}."
            )
        shared[name] = values[states[0]]
    said = Round(
        release=shared["release"],
        clip=float(shared["clip"]),
        noise=float(shared["noise"]),
        examples={stage: float(one["examples"]) for stage, one in manifests.items()},
        steps={stage: one["steps"] for stage, one in manifests.items()},
        optimizer={stage: one["optimizer"] for stage, one in manifests.items()},
    )
    try:
        privacy.check(said.clip, said.noise)
    except BadInput as error:
        raise BadInput(f"{folder}: {error}") from error
    for stage in states:
        _check_counts(folder / stage / MANIFEST, said, stage, states[0])
    return said, {stage: one["arrays"] for stage, one in manifests.items()}


def _manifest(path: Path) -> Json:
    """A manifest, each field of its type and within its range."""
    from models.merging.changes import KIND
    from models.storage.archive import FORMAT_VERSION
    from models.tables.optimizers import OPTIMIZERS

    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(found, dict):
        raise BadInput(f"{path} should be a JSON object. Received: {str(found)[:40]!r}.")
    counted = f"be a whole number from 0 to {MOST_EXAMPLES:,}"
    clipped = ("be 0 (off) or more", lambda v: _number(v) and 0 <= v <= LARGEST_CLIP)
    wanted = {
        "kind": (f"be {KIND!r}", lambda v: v == KIND),
        "format_version": (
            f"be {FORMAT_VERSION}",
            lambda v: type(v) is int and v == FORMAT_VERSION,
        ),
        "examples": (counted, lambda v: _number(v) and 0 <= v <= MOST_EXAMPLES and v == int(v)),
        "steps": (counted, lambda v: type(v) is int and 0 <= v <= MOST_EXAMPLES),
        "optimizer": (f"be one of {', '.join(OPTIMIZERS)}", tuple(OPTIMIZERS).__contains__),
        "release": ("be a release's version", lambda v: type(v) is int and 0 < v < 2**31),
        "clip": clipped,
        "noise": clipped,
        "arrays": (
            "be a table",
            lambda v: isinstance(v, dict) and all(isinstance(one, dict) for one in v.values()),
        ),
    }
    strange, missing = sorted(set(found) - set(wanted)), sorted(set(wanted) - set(found))
    if strange or missing:
        raise BadInput(
            f"{path}: its header has {', '.join(strange) or 'nothing'} too much, and lacks "
            f"{', '.join(missing) or 'nothing'}. Have the silo make it anew, with this recloop."
        )
    for name, (says, holds) in wanted.items():
        if not holds(found[name]):
            raise BadInput(
                f"{path}: `{name}` should {says}. Received: {str(found[name])[:60]}. "
                "Have the silo make it anew, with this recloop."
            )
    return found


def _check_counts(path: Path, said: Round, stage: str, first: str) -> None:
    examples, steps = said.examples[stage], said.steps[stage]
    if said.noise:
        fits = steps == 1 and examples == 2.0 ** round(math.log2(max(examples, 1.0)))
        rule = "with noise, `steps` is 1 and `examples` a power of two"
    else:
        fits = steps <= examples * MOST_EPOCHS
        rule = f"`steps` is at most {MOST_EPOCHS:,} times `examples`: a step is of one or more"
    if not fits:
        raise BadInput(f"{path}: {rule}. Received: examples {examples:g}, steps {steps}.")
    if stage != first and examples > said.examples[first] and not said.noise:
        raise BadInput(
            f"{path}: `examples` should be at most those of {first}, {said.examples[first]:g}, for they "
            f"are of the same events. Received: {examples:g}."
        )


def _number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max  # of NaN, and of whole numbers beyond, false


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")
