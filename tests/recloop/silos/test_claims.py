"""What manifests say of a round: up to which number they are believed, and how they must agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recloop.errors import BadInput
from recloop.silos.claims import Round, check_files, read_round

STATES = ("one", "two")
Header = dict[str, Any]
HEADER: Header = {
    "kind": "part", "format_version": 2, "examples": 8, "steps": 3, "optimizer": "adagrad",
    "release": 4, "clip": 0, "noise": 0, "arrays": {"table/base": {"shape": [2]}},
}  # fmt: skip


def delta(folder: Path, one: Header | None = None, two: Header | None = None) -> Path:
    """A folder whose manifests differ from the header by this; its archives are empty."""
    for state, changes in zip(STATES, (one, two), strict=True):
        (folder / state).mkdir(parents=True, exist_ok=True)
        (folder / state / "manifest.json").write_text(json.dumps(HEADER | (changes or {})))
        (folder / state / "arrays.npz").write_bytes(b"")
    return folder


def test_what_is_said_is_read_by_state(tmp_path: Path) -> None:
    folder = delta(tmp_path, {"clip": 1, "examples": 16.0}, {"clip": 1.0, "optimizer": "sgd"})
    check_files(folder, STATES)
    said, promised = read_round(folder, STATES)
    optimizers = {"one": "adagrad", "two": "sgd"}
    assert said == Round(4, 1.0, 0.0, {"one": 16.0, "two": 8.0}, {"one": 3, "two": 3}, optimizers)
    assert promised == {state: {"table/base": {"shape": [2]}} for state in STATES}


@pytest.mark.parametrize(
    ("one", "two", "says"),
    [
        ({"examples": 10**9, "steps": 10**9}, {}, None),
        ({"examples": 10**9 + 1}, {}, "should be a whole number from 0 to 1,000,000,000"),
        ({"steps": 8_000}, {}, None),
        ({"steps": 8_001}, {}, r"at most 1,000 times .* Received: examples 8, steps 8001"),
        ({"examples": 0, "steps": 0}, {"examples": 0, "steps": 0}, None),
        ({"examples": 8}, {"examples": 9}, "at most those of one, 8, .* Received: 9"),
        ({"clip": 1e6}, {"clip": 1e6}, None),
        ({"clip": 1.001e6}, {"clip": 1.001e6}, "`clip` should be 0 .off. or more"),
        ({"release": 2**31}, {}, "`release` should be a release's version"),
        ({"clip": 1}, {}, r"`clip` should be the same in all manifests. .*'one': 1, 'two': 0"),
    ],
)
def test_a_number_is_believed_up_to_its_limit(
    tmp_path: Path, one: dict[str, Any], two: dict[str, Any], says: str | None
) -> None:
    folder = delta(tmp_path, one, two)
    if says is None:
        assert read_round(folder, STATES)[0].release == 4
        return
    with pytest.raises(BadInput, match=says):
        read_round(folder, STATES)


@pytest.mark.parametrize(
    ("examples", "steps", "believed"),
    [(1, 1, True), (2**20, 1, True), (0, 1, False), (3, 1, False), (4, 2, False), (4, 0, False)],
)
def test_with_noise_a_state_has_one_step_and_a_power_of_two(
    tmp_path: Path, examples: int, steps: int, believed: bool
) -> None:
    """Which hides how many events there were, so that a state may say more than the first."""
    noised = {"clip": 1, "noise": 0.5, "steps": 1}
    folder = delta(tmp_path, noised, noised | {"examples": examples, "steps": steps})
    if believed:
        assert read_round(folder, STATES)[0].examples["two"] == examples
        return
    with pytest.raises(BadInput, match=r"two/manifest.json: with noise, `steps` is 1 and"):
        read_round(folder, STATES)


def test_a_folder_holds_two_plain_files_for_each_state_and_nothing_else(tmp_path: Path) -> None:
    folder = delta(tmp_path / "delta")
    (folder / "two" / "deep").mkdir()
    check_files(folder, STATES)
    (folder / "two" / "deep" / "note.txt").write_text("")
    (folder / "one" / "arrays.npz").unlink()
    with pytest.raises(
        BadInput, match=r"missing is one/arrays.npz, too much is 'two/deep/note.txt'"
    ):
        check_files(folder, STATES)
    (folder / "two" / "deep" / "note.txt").unlink()
    (folder / "one" / "arrays.npz").symlink_to(folder / "two" / "arrays.npz")
    with pytest.raises(BadInput, match=r"one/arrays.npz should be a plain file, not a link"):
        check_files(folder, STATES)
    (folder / "one" / "arrays.npz").unlink()
    (folder / "one" / "arrays.npz").mkdir()
    with pytest.raises(BadInput, match=r"missing is one/arrays\.npz, too much is nothing"):
        check_files(folder, STATES)


def test_a_header_has_each_field_once_and_no_other(tmp_path: Path) -> None:
    folder = delta(tmp_path, {"customers": 12, "best": "me"})
    manifest = folder / "two" / "manifest.json"
    manifest.write_text(json.dumps({k: v for k, v in HEADER.items() if k not in ("clip", "steps")}))
    with pytest.raises(BadInput, match="has best, customers too much, and lacks nothing"):
        read_round(folder, STATES)
    delta(tmp_path, None, None)
    del (short := dict(HEADER))["steps"]
    manifest.write_text(json.dumps(short))
    with pytest.raises(BadInput, match="has nothing too much, and lacks steps"):
        read_round(folder, STATES)
    for content in ("[1]", '{"steps": NaN}', '{"steps": 1', ""):
        manifest.write_text(content)
        with pytest.raises(BadInput, match=r"two/manifest.json (cannot be read|should be)"):
            read_round(folder, STATES)
