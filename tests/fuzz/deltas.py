"""Silo deltas and offers, forged: a stranger knows the form, and makes every hash right. What is taken
must be finite, of the right types, and leave a model that can be saved and restored.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recloop.errors import RecloopError
from tests.fuzz import world
from tests.fuzz.cases import Outcome, chance, of_error, raw_error

HEADERS: dict[str, tuple[Any, ...]] = {
    "examples": (
        math.nan,
        math.inf,
        1e308,
        -5,
        2.5,
        "many",
        True,
        None,
        [7],
        10**400,
        -math.inf,
        {},
    ),
    "steps": (-7, 10**18, "3", False, None, 1.5, [1]),
    "optimizer": ("adamax", 3, ["adagrad"], None, "", "__import__('os')"),
    "release": ("4", 4.5, -1, 2**70, None, [4], "../4"),
    "clip": (-1, math.nan, "0", None, math.inf),
    "noise": (math.inf, -0.1, "much", None),
    "kind": ("checkpoint", 3, None, ""),
    "format_version": ("2", 99, None, 2.5),
    "arrays": ([], {}, {"table/item": 3}, None, "all"),
    "customers": (12,),
    "__class__": ("os.system",),
}
"""What no delta can say of itself. None of them may be taken."""
LARGEST = 1e6
"""Of a weight's change; beyond, training from it gives no number."""
OFFERS: tuple[Any, ...] = (
    None,
    "",
    3,
    [],
    {},
    True,
    -1,
    2**70,
    "x" * 1000,
    math.nan,
    [[]],
    {"a": "b"},
)


class Deltas:
    """See the module."""

    name, share, batch = "delta", 0.1, 250

    def __init__(self, where: world.World) -> None:
        from models.merging import changes
        from recloop.silos.silo_delta import write_delta
        from tests.models.conftest import make_world
        from tests.models.tiny_two_stage import RANKER, TOWERS, loyal, queries_of, trained

        made = make_world()
        self._model = trained(made)
        mark = changes.marks_of(self._model.states)
        queries, chosen = queries_of(made), loyal(made)
        once = replace(TOWERS, epochs=1), replace(RANKER, epochs=1)
        self._model.fit(queries, chosen, once[0], ranker=once[1])
        part = changes.changes_of(self._model.states, mark, self._model.touched_by(queries, chosen))
        self._folder = where.folder / "deltas"
        self._honest = {}
        for name, clip, noise in (("plain", 0.0, 0.0), ("clipped", 0.5, 0.0), ("noised", 0.5, 0.1)):
            place = self._honest[name] = self._folder / name
            noises = np.random.default_rng(1)
            write_delta(self._model, part, self._model.item_keys, place, 4, clip, noise, noises)

    def tried(self, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
        for number in numbers:
            dice = chance(seed, self.name, number)
            if dice.random() < 0.15:
                yield self._offer(dice, number)
                continue
            name = dice.choice(sorted(self._honest))
            place = self._folder / "forged"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(self._honest[name], place)
            told, verdict = forge(dice, place)
            fate, problem = self._read(place, verdict)
            yield Outcome(
                self.name, number, "fault" if problem else fate, problem, f"{name}: {told}"
            )  # type: ignore[arg-type]

    def _read(self, place: Path, verdict: str) -> tuple[str, str]:
        from recloop.silos.silo_delta import read_delta

        try:
            part, _ = read_delta(place, self._model)
        except RecloopError as error:
            problem = of_error(error)
            if verdict == "must" and not problem:
                problem = f"an honest delta is refused: {error}"
            return "refused", problem
        except Exception as error:
            problem = (
                of_error(error) if type(error).__module__ == "models.errors" else raw_error(error)
            )
            return "refused", problem
        if verdict == "must not":
            return "accepted", "taken, though it says of itself what cannot be"
        return "accepted", wrong_with(part)

    def _offer(self, dice: random.Random, number: int) -> Outcome:
        from recloop.silos.offer import read_offer

        place = self._folder / "offer"
        place.mkdir(exist_ok=True)
        content: Any = {"release": 4, "merged": ["a" * 16], "items": {"20001": 1, "20002": 2}}
        key = dice.choice(("release", "merged", "items", "all", "bytes", "none"))
        value = dice.choice(OFFERS)
        if key == "all":
            content = value
        elif key in content:
            content[key] = value
        elif key == "none":
            del content[dice.choice(sorted(content))]
        raw = json.dumps(content).encode()
        if key == "bytes":
            raw = bytes(dice.randrange(256) for _ in range(dice.randrange(60)))
        (place / "offer.json").write_bytes(raw)
        fate, problem = "refused", ""
        try:
            offer = read_offer(place)
            fate = "accepted"
            wrong = offer.release < 1 or not all(isinstance(one, str) for one in offer.merged)
            if wrong or not all(0 < one < 2**63 for one in offer.items.values()):
                problem = f"taken as release {offer.release!r}, merged {offer.merged!r}"
        except RecloopError as error:
            problem = of_error(error)
        except Exception as error:
            problem = raw_error(error)
        return Outcome(
            self.name, number, "fault" if problem else fate, problem, f"offer: {raw[:200]!r}"
        )  # type: ignore[arg-type]


def forge(dice: random.Random, place: Path) -> tuple[str, str]:
    """Change one thing; what it was, and whether such a delta may be taken."""
    draw = dice.random()
    if draw < 0.04:
        return "nothing", "must"
    stage = place / dice.choice(("towers", "ranker"))
    if draw < 0.4:
        name = dice.choice(sorted(HEADERS))
        value = dice.choice(HEADERS[name])
        for folder in (place / "towers", place / "ranker"):
            manifest = json.loads((folder / "manifest.json").read_text())
            (folder / "manifest.json").write_text(json.dumps(manifest | {name: value}))
        return f"{name} = {value!r}"[:200], "must not"
    if draw < 0.5:
        return _broken(dice, stage), "must not"
    with np.load(stage / "arrays.npz") as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    told, verdict = _array(dice, arrays)
    np.savez(stage / "arrays.npz", **arrays)
    manifest = json.loads((stage / "manifest.json").read_text())
    manifest["arrays"] = {
        name: {
            "shape": list(array.shape),
            "dtype": str(array.dtype),
            "sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
        }
        for name, array in arrays.items()
    }
    (stage / "manifest.json").write_text(json.dumps(manifest))
    return f"{stage.name}: {told}", verdict


def _broken(dice: random.Random, stage: Path) -> str:
    """Bytes of a file; a file that is missing, or too many."""
    path = stage / dice.choice(("arrays.npz", "manifest.json"))
    form = dice.randrange(4)
    raw = bytearray(path.read_bytes())
    if form == 0:
        path.unlink()
    elif form == 1:
        path.write_bytes(raw[: dice.randrange(len(raw))])
    elif form == 2:
        path.write_bytes(bytes(dice.randrange(256) for _ in range(200)))
    else:
        path.write_bytes(b"[]" if path.suffix == ".json" else b"PK\x03\x04" + bytes(raw[4:9]))
    return f"{path.name} broken ({form})"


def _array(dice: random.Random, arrays: dict[str, np.ndarray]) -> tuple[str, str]:
    """Changes one array; the change, and whether it may be."""
    name = dice.choice(sorted(arrays))
    array = arrays[name]
    form = dice.randrange(12)
    if form == 0:
        others = ("int64", "float64", "complex64", "U8", "bool", ">f8")
        arrays[name] = array.astype(dice.choice([kind for kind in others if kind != array.dtype]))
        return f"{name} as {arrays[name].dtype}", "must not"
    if form == 1:
        arrays[name] = array[:-1] if len(array) > 1 else array[None]
        return f"{name} of shape {arrays[name].shape}", "must not"
    if form == 2:
        arrays[name] = array[None]
        return f"{name} of shape {arrays[name].shape}", "must not"
    if form == 3:
        del arrays[name]
        return f"without {name}", "may" if name.startswith(("slot/", "times/")) else "must not"
    if form == 4:
        arrays[dice.choice(("table/user", "keys/users", "times/user", "x", "table/../x"))] = array
        return "with an array more", "must not"
    if form == 5:
        arrays[name] = np.zeros((3_000_000, 4), np.float32)
        return f"{name} of 48 MB of zeros", "must not"
    if array.dtype.kind != "f":
        arrays[name] = array[::-1].copy() if form < 9 else -array
        return f"{name} reversed or negative", "must not" if len(array) > 1 else "may"
    if form in (6, 7):
        value = dice.choice((math.nan, math.inf, -math.inf))
        array.flat[dice.randrange(array.size)] = value
        return f"{name} with {value}", "must not"
    if form == 8:
        arrays[name] = array + np.float32(dice.choice((1e7, 1e20, 3e38)))
        return f"{name} huge", "must not" if name.startswith("table/") else "may"
    if form == 9 and name.startswith("slot/"):
        arrays[name] = array - np.float32(9e5)
        return f"{name} far below zero", "must not"
    array.flat[dice.randrange(array.size)] += np.float32(dice.choice((1e-3, 0.1)))
    return f"{name} a little moved", "may"


def wrong_with(part: Any) -> str:
    """What cannot be of a part that was taken; empty if all of it can be."""
    for stage, one in part.items():
        if not math.isfinite(one.examples) or not 0 <= one.examples < 1e12:
            return f"{stage}: {one.examples!r} examples"
        if not 0 <= one.steps < 1e12:
            return f"{stage}: {one.steps!r} steps"
        for name, array in {**one.tables, **one.slots, **one.times}.items():
            if array.dtype != np.float32 or not np.isfinite(array).all():
                return f"{stage}: {name} is {array.dtype}, or not finite"
        if any(np.abs(array).max(initial=0) > LARGEST for array in one.tables.values()):
            return f"{stage}: a weight moves by more than {LARGEST:g}"
        if any((array < 0).any() for array in one.times.values()):
            return f"{stage}: an item was met less than never"
    return ""
