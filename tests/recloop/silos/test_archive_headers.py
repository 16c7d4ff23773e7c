"""Headers and numbers of a stage's archive, on the smallest model that has every kind of table."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.merging import changes
from models.merging.merging import Mark, Part, part_of
from models.storage import archive
from models.tables.optimizers import OPTIMIZERS, make_optimizer
from recloop.errors import BadInput
from recloop.silos.archive_headers import check_archive, check_values, expected_arrays
from recloop.silos.claims import Round
from recloop.silos.silo_delta import _shareable
from tests.models.tiny import tiny_state

OFFERED = np.array([300, 100], np.int64)
ROWS = 3
"""Of two items that are offered, and of what is unknown."""
Arrays = dict[str, np.ndarray]


def arrays() -> Arrays:
    """What a silo that clips may send: no row of a user, no count and no slot."""
    return {
        "table/item": np.zeros((ROWS, 2), np.float32),
        "table/base": np.zeros(2, np.float32),
        "table/head": np.zeros(2, np.float32),
        "keys/items": np.array([0, *OFFERED], np.int64),
    }


def check(folder: Path, found: Arrays, promised: Arrays | None = None) -> None:
    if not (folder / "arrays.npz").exists():
        np.savez(folder / "arrays.npz", **found)  # type: ignore[arg-type]
    names = {name: {} for name in (found if promised is None else promised)}
    check_archive(folder, tiny_state(), True, "adagrad", names, ROWS)


def part(**changes: Any) -> Part:
    whole: dict[str, Any] = {
        "examples": 10.0,
        "steps": 1,
        "optimizer": "adagrad",
        "keys": {"items": np.array([0, *OFFERED], np.int64)},
        "times": {"item": np.float32([0, 4, 6]), "history": np.float32([0, 20, 10])},
        "tables": {"item": np.float32([[0, 0], [1e6, 0], [0, -1e6]])},
        "slots": {"item/accumulator": np.full((ROWS, 2), 1e12, np.float32)},
    }
    return Part(**{**whole, **changes})


def said(clip: float = 0.0, noise: float = 0.0) -> Round:
    return Round(4, clip, noise, {"one": 10.0}, {"one": 1}, {"one": "adagrad"})


def test_counts_and_slots_leave_a_silo_only_if_it_does_not_clip() -> None:
    numbers = "float32"
    tables = {
        "table/item": ((ROWS, 2), numbers), "table/base": ((2,), numbers),
        "table/head": ((2,), numbers), "keys/items": ((ROWS,), "int64"),
    }  # fmt: skip
    slots = {
        "times/item": ((ROWS,), numbers), "slot/item/velocity": ((ROWS, 2), numbers),
        "slot/base/velocity": ((2,), numbers), "slot/head/velocity": ((2,), numbers),
    }  # fmt: skip
    state = tiny_state()
    assert expected_arrays(state, True, "momentum", ROWS) == tables
    assert set(expected_arrays(state, False, "sgd", ROWS)) == {*tables, "times/item"}
    assert expected_arrays(state, False, "momentum", ROWS) == {**tables, **slots}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_honest_delta_of_each_optimizer_passes(tmp_path: Path, kind: str) -> None:
    state = tiny_state()
    state.optimizer = make_optimizer(kind, state.network.tables, 0.1)
    made = part_of(state, Mark.of(state), 10.0, {})
    keys = np.array([0, *OFFERED], np.int64)
    changes.save_part(_shareable(state, made, keys), tmp_path, {})
    promised = archive.read_manifest(tmp_path)["arrays"]
    check_archive(tmp_path, state, False, kind, promised, ROWS)


def test_names_are_compared_in_the_manifest_and_in_the_archive(tmp_path: Path) -> None:
    check(tmp_path, arrays())
    more = {**arrays(), "keys/users": np.zeros(1, np.int64)}
    del more["table/head"]
    with pytest.raises(BadInput, match=r"manifest.json .* keys of users; missing: table head\."):
        check(tmp_path, arrays(), promised=more)
    (tmp_path / "arrays.npz").unlink()
    with pytest.raises(BadInput, match=r"arrays.npz .* keys of users; missing: table head\."):
        check(tmp_path, more, promised=arrays())


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("table/base", np.zeros(3, np.float32), r"should have shape \(2,\) .*\(3,\) and"),
        ("table/base", np.zeros(2), r"Received: \(2,\) and float64"),
        ("table/item", np.zeros((2, 2), np.float32), r"should have shape \(3, 2\)"),
        ("keys/items", np.zeros((ROWS, 1), np.int64), r"Received: \(3, 1\) and int64"),
    ],
)
def test_an_array_of_another_shape_or_dtype_is_named_before_it_is_read(
    tmp_path: Path, name: str, array: np.ndarray, says: str
) -> None:
    with pytest.raises(BadInput, match=rf"Array '{name}' of .*{says}"):
        check(tmp_path, {**arrays(), name: array})


def test_what_numpy_would_not_have_written_is_refused_by_its_place(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"arrays.npz cannot be read .*send it again"):
        check_archive(tmp_path, tiny_state(), True, "sgd", {name: {} for name in arrays()}, ROWS)
    path = tmp_path / "arrays.npz"
    for content, says in (
        (b"\x93NUMPY\x02\x00", r"its format is \(2, 0\), not \(1, 0\)"),
        (b"\x93NUMPY\x01\x00\xff\xffx", "array 'table/base' of .* cannot be read"),
        (b"no array", "array 'table/base' of .* cannot be read"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("table/base.npy", content)
        with pytest.raises(BadInput, match=says):
            check(tmp_path, arrays())


@pytest.mark.parametrize(
    ("changes", "round_", "says"),
    [
        ({}, said(), None),
        ({"tables": {"item": np.float32([1.0001e6])}}, said(), "from -1e.06 to 1e.06. Rec.* 1 such"),
        ({"tables": {"item": np.float32([np.nan, 0])}}, said(), "Received: nan, and 1 such"),
        ({"slots": {"item/accumulator": np.float32([-1e-9])}}, said(), "numbers from 0 to 1e.12"),
        ({"slots": {"item/velocity": np.float32([-1e12])}}, said(), None),
        ({"times": {"item": np.float32([0, 5, 6])}}, said(), "adds up to 11 .* at most 10"),
        ({"times": {"history": np.float32([0, 25, 6])}}, said(), "adds up to 31 .* at most 30"),
        ({"keys": {"items": np.array([0, 300, 7])}}, said(), "key 7 is none of them"),
        ({"keys": {"items": np.array([0, 100, 300])}}, said(), "twice, or in another order"),
        ({"tables": {"item": np.float32([3, 4])}}, said(clip=5.0), None),
        ({"tables": {"item": np.float32([3, 4.01])}}, said(clip=5.0), "is at most 5.0005. Received"),
        # 5 * (1 + 1 * (sqrt(4) + 6)) = 45
        ({"tables": {"item": np.float32([45, 0, 0, 0])}}, said(5.0, 1.0), None),
        ({"tables": {"item": np.float32([45.1, 0, 0, 0])}}, said(5.0, 1.0), "Received: 45.1"),
    ],
)  # fmt: skip
def test_a_number_is_possible_up_to_its_limit_and_no_further(
    tmp_path: Path, changes: dict[str, Any], round_: Round, says: str | None
) -> None:
    """A history is of three items, so that 10 events look back on 30."""
    parts = {"one": part(**changes)}
    if says is None:
        check_values(tmp_path, parts, round_, OFFERED, history=3)
        return
    with pytest.raises(BadInput, match=says):
        check_values(tmp_path, parts, round_, OFFERED, history=3)
