"""A delta is input from a stranger: what it says of itself is held against what it can be."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.merging import changes
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.settings import Settings
from recloop.silos.joining import accept, bounded, check_accepted
from recloop.silos.offer import read_offer
from recloop.silos.silo_delta import name_of, read_delta, write_delta
from recloop.stages import update_stages
from tests.models.conftest import make_world
from tests.models.tiny_two_stage import RANKER, TOWERS, loyal, queries_of, trained

Arrays = dict[str, np.ndarray]
ITEMS = 30


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[RetrieveAndRank, dict[str, Path]]:
    """A champion, and a silo's deltas: as it is, clipped, and with noise."""
    world = make_world()
    model = trained(world)
    mark = changes.marks_of(model.states)
    once = {"epochs": 1}
    model.fit(
        queries_of(world), loyal(world), replace(TOWERS, **once), ranker=replace(RANKER, **once)
    )
    part = changes.changes_of(model.states, mark, model.touched_by(queries_of(world), loyal(world)))
    folder = tmp_path_factory.mktemp("deltas")
    rng = np.random.default_rng(1)
    for name, clip, noise in (("plain", 0.0, 0.0), ("clipped", 0.5, 0.0), ("noised", 0.5, 0.1)):
        write_delta(model, part, model.item_keys, folder / name, 4, clip, noise, rng)
    return model, {path.name: path for path in folder.iterdir()}


def forge(
    source: Path,
    target: Path,
    header: dict[str, Any] | None = None,
    arrays: Callable[[Arrays], None] | None = None,
    stages: tuple[str, ...] = ("towers",),
    pack: Callable[..., None] = np.savez,
) -> Path:
    """A copy with other headers or arrays whose hashes are right all the same."""
    folder = shutil.copytree(source, target)
    for stage in stages:
        place = folder / stage
        manifest = json.loads((place / "manifest.json").read_text())
        if arrays:
            with np.load(place / "arrays.npz") as stored:
                found = {name: stored[name].copy() for name in stored.files}
            arrays(found)
            pack(place / "arrays.npz", **found)
            manifest["arrays"] = {
                name: {
                    "shape": list(array.shape),
                    "dtype": str(array.dtype),
                    "sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
                }
                for name, array in found.items()
            }
        manifest |= header or {}
        (place / "manifest.json").write_text(json.dumps(manifest))
    return folder


def setting(name: str, value: Any) -> Callable[[Arrays], None]:
    """An array's first number becomes another."""

    def change(arrays: Arrays) -> None:
        arrays[name].flat[0] = value

    return change


def becoming(name: str, of: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays], None]:
    """An array becomes another one."""

    def change(arrays: Arrays) -> None:
        arrays[name] = of(arrays[name])

    return change


def test_honest_deltas_are_taken(honest) -> None:
    model, deltas = honest
    for name, folder in deltas.items():
        part, release = read_delta(folder, model)
        assert release == 4, name
        assert np.isfinite(part["towers"].examples)


BOTH = ("towers", "ranker")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("examples", float("nan")), ("examples", float("inf")), ("examples", 1e308),
        ("examples", -5), ("examples", 2.5), ("examples", "many"), ("examples", True),
        ("examples", None), ("examples", [7]), ("examples", 10**310), ("steps", -7),
        ("steps", 10**18), ("steps", 1.0), ("steps", "3"), ("steps", False), ("optimizer", "adamax"),
        ("optimizer", 3), ("optimizer", ["adagrad"]), ("release", "4"), ("release", 4.0),
        ("release", -1), ("release", 2**70), ("clip", -1), ("clip", float("nan")), ("clip", "0"),
        ("noise", float("inf")), ("noise", -0.1), ("kind", "checkpoint"), ("format_version", "2"),
        ("arrays", []), ("arrays", {"table/item": 3}), ("customers", 12),
    ],
)  # fmt: skip
def test_a_header_that_cannot_be_is_refused_by_field_and_value(
    honest, tmp_path: Path, field: str, value: Any
) -> None:
    model, deltas = honest
    folder = forge(deltas["plain"], tmp_path / "forged", {field: value}, stages=BOTH)
    with pytest.raises(BadInput) as refused:
        read_delta(folder, model)
    said = str(refused.value)
    assert str(folder) in said
    assert field in said or "is no number" in said or "examples" in said


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("table/item", lambda a: (a * 0 + 4.6e18).astype(np.int64)),
        ("table/item", lambda a: a.astype(np.float64)),
        ("table/item", lambda a: a.astype(">f4")),
        ("table/item", lambda a: a[:, :-1]),
        ("table/item", lambda a: a[:-1]),
        ("table/item", lambda a: a.astype(np.complex64)),
        ("keys/items", lambda a: a.astype(np.float64)),
        ("keys/items", lambda a: a.astype("U8")),
        ("keys/items", lambda a: np.concatenate([a[:1], a[1:2], a[1:-1]])),
        ("keys/items", lambda a: np.where(a == 501, 9_999, a)),
        ("keys/items", lambda a: np.where(a == 501, -3, a)),
        ("keys/items", lambda a: a[::-1].copy()),
        ("keys/items", lambda a: a[None]),
        ("times/item", lambda a: a - 1),
        ("times/item", lambda a: a * 1000),
        ("slot/item/accumulator", lambda a: a - 9e5),
        ("slot/item/accumulator", lambda a: a + np.float32(1e20)),
        ("slot/item_bias/accumulator", lambda a: a - 1),
        ("table/item", lambda a: a + np.float32(1e7)),
    ],
)
def test_an_array_that_cannot_be_is_refused_by_name(
    honest, tmp_path: Path, name: str, of: Callable[[np.ndarray], np.ndarray]
) -> None:
    model, deltas = honest
    folder = forge(deltas["plain"], tmp_path / "forged", arrays=becoming(name, of))
    with pytest.raises(BadInput, match=name) as refused:
        read_delta(folder, model)
    assert str(folder) in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["table/item", "times/item", "slot/word/accumulator"])
def test_what_is_not_finite_is_refused(honest, tmp_path: Path, name: str, value: float) -> None:
    model, deltas = honest
    folder = forge(deltas["plain"], tmp_path / "forged", arrays=setting(name, value))
    with pytest.raises(BadInput, match=f"{name}.*not finite"):
        read_delta(folder, model)


@pytest.mark.parametrize(
    ("source", "header", "says"),
    [
        ("plain", {"clip": 0.5}, "Too much: slot"),  # clipped, and yet it counts
        ("clipped", {"clip": 0.0}, "missing: slot"),
        ("clipped", {"clip": 1e-3}, "norm"),
        ("clipped", {"noise": 0.1}, "with noise"),
        ("noised", {"noise": 1e-9}, "norm"),
        ("noised", {"noise": 0.0, "clip": 0.01}, "norm"),
        ("noised", {"clip": 0.0}, "noise is a multiple"),
        ("noised", {"steps": 7}, "`steps` is 1"),
        ("noised", {"examples": 100}, "a power of two"),
        ("plain", {"examples": 1, "steps": 2000}, "a step is of one or more"),
        ("plain", {"examples": 3}, "adds up to"),
    ],
)
def test_what_headers_say_of_the_round_agrees_with_the_arrays(
    honest, tmp_path: Path, source: str, header: dict[str, Any], says: str
) -> None:
    model, deltas = honest
    folder = forge(deltas[source], tmp_path / "forged", header, stages=BOTH)
    with pytest.raises(BadInput, match=says):
        read_delta(folder, model)


def test_both_stages_are_of_one_round(honest, tmp_path: Path) -> None:
    model, deltas = honest
    folder = forge(deltas["plain"], tmp_path / "forged", {"release": 5})
    with pytest.raises(BadInput, match=r"`release` should be the same in all manifests"):
        read_delta(folder, model)
    folder = forge(deltas["plain"], tmp_path / "more", {"examples": 10**6}, stages=("ranker",))
    with pytest.raises(BadInput, match="at most those of towers"):
        read_delta(folder, model)


def test_a_bomb_is_refused_before_it_is_unpacked(honest, tmp_path: Path, monkeypatch) -> None:
    model, deltas = honest
    monkeypatch.setattr(changes, "restore", lambda *_: pytest.fail("it was unpacked"))

    def inflate(arrays: Arrays) -> None:
        arrays["table/item"] = np.zeros((1_000_000, 8), np.float32)

    packed = forge(deltas["plain"], tmp_path / "packed", arrays=inflate, pack=np.savez_compressed)
    with pytest.raises(BadInput, match="is compressed"):
        read_delta(packed, model)
    lying = shutil.copytree(deltas["plain"], tmp_path / "lying")
    path = lying / "towers" / "arrays.npz"
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    header = members["table/item.npy"]
    members["table/item.npy"] = header.replace(b"'shape': (31,", b"'shape': (99,", 1)
    assert members["table/item.npy"] != header
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(BadInput, match=r"its header says \(99, 8\)"):
        read_delta(lying, model)


def test_an_array_twice_and_a_pickle_are_refused(honest, tmp_path: Path) -> None:
    model, deltas = honest
    twice = shutil.copytree(deltas["plain"], tmp_path / "twice")
    path = twice / "towers" / "arrays.npz"
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(*members[0])
    with pytest.raises(BadInput, match="twice"):
        read_delta(twice, model)
    pickled = forge(
        deltas["plain"],
        tmp_path / "pickled",
        arrays=becoming("table/word", lambda a: a.astype(object)),
    )
    with pytest.raises(BadInput, match="word"):
        read_delta(pickled, model)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: shutil.rmtree(folder),
        lambda folder: shutil.rmtree(folder / "towers"),
        lambda folder: (folder / "towers" / "arrays.npz").unlink(),
        lambda folder: (folder / "secrets.txt").write_text("x"),
        lambda folder: (folder / "more").symlink_to("/etc/hostname"),
        lambda folder: _linked(folder / "ranker" / "arrays.npz"),
        lambda folder: (folder / "towers" / "arrays.npz").write_bytes(b"PK\x03\x04 no archive"),
        lambda folder: (folder / "towers" / "arrays.npz").write_bytes(b""),
        lambda folder: (folder / "towers" / "manifest.json").write_text("{" * 100_000),
        lambda folder: (folder / "towers" / "manifest.json").write_text("[" * 100_000),
        lambda folder: (folder / "towers" / "manifest.json").write_bytes(b"\xff\xfe"),
        lambda folder: (folder / "towers" / "manifest.json").write_text("[]"),
        lambda folder: (folder / "towers" / "manifest.json").write_text(" " * (2 << 20)),
    ],
)
def test_what_is_no_delta_is_refused_in_one_sentence(honest, tmp_path: Path, spoil) -> None:
    model, deltas = honest
    folder = shutil.copytree(deltas["plain"], tmp_path / "spoilt")
    spoil(folder)
    with pytest.raises(BadInput, match="spoilt") as refused:
        read_delta(folder, model)
    assert "release" not in str(refused.value), "a delta is no release that one could restore"


def _linked(path: Path) -> None:
    elsewhere = path.with_name("real.npz").resolve().parent.parent.parent / "real.npz"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def test_the_same_change_has_one_name_whatever_its_header_says(honest, tmp_path: Path) -> None:
    _, deltas = honest
    again = forge(deltas["plain"], tmp_path / "again", {"examples": 64}, stages=BOTH)
    assert name_of(again) == name_of(deltas["plain"]) != name_of(deltas["clipped"])


def test_a_silo_counts_for_no_more_than_ten_times_the_own_events(honest) -> None:
    model, deltas = honest
    part, _ = read_delta(deltas["plain"], model)
    times = {"item": np.full(31, 100, np.float32)}
    large = {**part, "towers": replace(part["towers"], examples=5000.0, times=times)}
    kept = bounded(large, 50)
    assert kept["towers"].examples == 500
    np.testing.assert_allclose(kept["towers"].times["item"], 10)
    assert bounded(large, 500)["towers"] is large["towers"]


def test_a_plan_takes_only_what_was_accepted_each_once(honest, settings: Settings) -> None:
    _, deltas = honest
    home = settings.artifacts / "silos"
    name = name_of(deltas["plain"])
    accepted = str(shutil.copytree(deltas["plain"], home / name))
    copied = str(shutil.copytree(deltas["plain"], home / "another-name"))
    with transaction(settings.database_url) as cursor:
        check_accepted(cursor, settings, [accepted], None)
        for silos, says in (
            (["/etc"], r"has accepted, folders in .*Received: '/etc'"),
            ([str(deltas["plain"])], "has accepted, folders in"),
            ([f"{accepted}/towers"], "has accepted, folders in"),
            ([f"{home}/../.."], "has accepted, folders in"),
            ([accepted, accepted], "is merged already"),
            ([copied], "was altered since"),
            ([str(home / "nowhere")], "there is no such folder"),
        ):
            with pytest.raises(BadInput, match=says):
                check_accepted(cursor, settings, silos, None)
    options = {"silos": [accepted]}
    with pytest.raises(BadInput, match=r"merged by plan `increment`.*'rebuild'"):
        update_stages.plan(None, "rebuild", options=options, settings=settings)


def test_merging_what_is_no_delta_says_what_is_wanted(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere is no delta: there is no such folder.*silo train"):
        accept(settings, [tmp_path / "nowhere"], 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("release", "1"), ("release", True), ("release", 0), ("merged", "abc"), ("merged", [1]),
        ("items", []), ("items", {"1": 5}), ("items", {"x": "a"}), ("items", {"0": "a"}),
        ("items", {"-1": "a"}), ("items", {"1": "a", "2": "a"}), ("items", {"9" * 15: "a"}),
        ("items", {"1": None}),
    ],
)  # fmt: skip
def test_a_forged_offer_is_refused_by_field_and_value(
    tmp_path: Path, field: str, value: Any
) -> None:
    offer = {"release": 1, "merged": [], "items": {"1": "20079"}}
    (tmp_path / "offer.json").write_text(json.dumps(offer))
    assert read_offer(tmp_path).items == {"20079": 1}
    (tmp_path / "offer.json").write_text(json.dumps(offer | {field: value}))
    with pytest.raises(BadInput, match=f"holds no offer.*{field}.*Received"):
        read_offer(tmp_path)
