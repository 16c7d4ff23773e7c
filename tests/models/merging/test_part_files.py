"""A part on disk: what is in no cascade's part, and what a folder may not hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import CorruptCheckpoint, NonFiniteWeights
from models.merging import changes
from models.merging.merging import Part
from models.storage import archive


def part(**changes: Any) -> Part:
    """Two items and a dense table, of a worker that kept its users to itself."""
    whole: dict[str, Any] = {
        "examples": 2.5,
        "steps": 3,
        "optimizer": "adagrad",
        "keys": {"items": np.array([0, 9], np.int64)},
        "times": {"item": np.array([1, 4], np.float32)},
        "tables": {"item": np.array([[0.5], [-2.0]], np.float32), "base": np.float32([7.0])},
        "slots": {"item/accumulator": np.array([[40.0], [50.0]], np.float32)},
    }
    return Part(**{**whole, **changes})


def test_every_array_comes_back_in_its_own_group_and_the_header_says_more(tmp_path: Path) -> None:
    changes.save_part(part(), tmp_path / "part", {"release": 4})
    again, header = changes.restore_part(tmp_path / "part")
    assert (again.examples, again.steps, again.optimizer) == (2.5, 3, "adagrad")
    assert (header["release"], header["examples"]) == (4, 2.5)
    assert {name: array.tolist() for name, array in again.keys.items()} == {"items": [0, 9]}
    assert {name: array.tolist() for name, array in again.times.items()} == {"item": [1.0, 4.0]}
    assert again.tables["item"].tolist() == [[0.5], [-2.0]]
    assert again.tables["base"].tolist() == [7.0]
    assert again.slots["item/accumulator"].tolist() == [[40.0], [50.0]]


def test_a_part_of_nothing_is_restored_as_nothing(tmp_path: Path) -> None:
    nothing = part(examples=0.0, steps=0, keys={}, times={}, tables={}, slots={})
    changes.save_part(nothing, tmp_path / "part", {})
    again, _ = changes.restore_part(tmp_path / "part")
    assert (again.examples, again.steps) == (0.0, 0)
    assert again.keys == again.times == again.tables == again.slots == {}


def test_a_part_that_cannot_be_saved_leaves_the_one_that_is_there(tmp_path: Path) -> None:
    changes.save_part(part(), tmp_path / "part", {})
    wrong = part(steps=8, slots={"item/accumulator": np.float32([[np.inf], [1.0]])})
    with pytest.raises(NonFiniteWeights, match="'slot/item/accumulator' has 1 value"):
        changes.save_part(wrong, tmp_path / "part", {})
    assert changes.restore_part(tmp_path / "part")[0].steps == 3


def test_the_limit_is_one_of_weights_and_not_of_slots(tmp_path: Path) -> None:
    """The largest weight is 7, the largest slot 50."""
    changes.save_part(part(), tmp_path / "part", {})
    assert changes.restore_part(tmp_path / "part", magnitude_limit=7.0)[0].examples == 2.5
    with pytest.raises(CorruptCheckpoint, match=r"'table/base'.* magnitude 7, beyond"):
        changes.restore_part(tmp_path / "part", magnitude_limit=6.9)


@pytest.mark.parametrize("name", ["seen/items", "item"])
def test_an_archive_with_an_array_of_no_group_is_no_part(tmp_path: Path, name: str) -> None:
    header = {"kind": "part", "examples": 1, "steps": 1, "optimizer": "sgd"}
    archive.write(tmp_path / "part", header, {name: np.zeros(2, np.float32)})
    with pytest.raises(CorruptCheckpoint, match=r"isn't a part .* or have its examples learned"):
        changes.restore_part(tmp_path / "part")
    manifest = tmp_path / "part" / archive.MANIFEST
    assert json.loads(manifest.read_text())["arrays"].keys() == {name}


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": np.inf}, {"steps": -1}, {"steps": 2.5}, {"steps": "many"}, {"examples": np.nan},
        {"examples": -3}, {"examples": 10**400}, {"optimizer": "none"}, {"optimizer": None},
    ],
)  # fmt: skip
def test_a_header_that_no_worker_writes_is_no_part(tmp_path: Path, wrong: dict[str, Any]) -> None:
    header = {"kind": "part", "examples": 1, "steps": 1, "optimizer": "sgd", **wrong}
    archive.write(tmp_path / "part", header, {})
    with pytest.raises(CorruptCheckpoint, match=r"isn't a part .* or have its examples learned"):
        changes.restore_part(tmp_path / "part")
