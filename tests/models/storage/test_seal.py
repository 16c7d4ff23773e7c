"""A sealed folder: whatever happens to one of its files is told by the file's name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import CorruptCheckpoint
from models.storage import seal

FILES = ("saved_model.pb", "variables/variables.index", "assets.extra/vocabulary.npz")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "export" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 50)
    seal.close(tmp_path / "export")
    return tmp_path / "export"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def turn_into_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = (Path.unlink, flip, truncate, turn_into_a_folder)


def test_a_folder_as_it_was_sealed_is_whole(folder: Path) -> None:
    seal.check(folder)
    seal.close(folder)
    seal.check(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_by_the_files_name(
    folder: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(folder / name)
    with pytest.raises(CorruptCheckpoint, match=f"{name}.* (missing|not what was written)"):
        seal.check(folder)


@pytest.mark.parametrize("damage", DAMAGES)
def test_so_is_damage_of_the_seal_itself(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder / seal.SEAL)
    with pytest.raises(CorruptCheckpoint):
        seal.check(folder)


@pytest.mark.parametrize("text", ["{}", "[1, 2]", "3", "null", '{"a": 1}', "", "{"])
def test_a_seal_that_says_something_else_is_no_seal(folder: Path, text: str) -> None:
    (folder / seal.SEAL).write_text(text)
    with pytest.raises(CorruptCheckpoint):
        seal.check(folder)


def test_a_folder_that_is_gone_is_missing(folder: Path) -> None:
    shutil.rmtree(folder)
    with pytest.raises(CorruptCheckpoint, match="is missing"):
        seal.check(folder)
