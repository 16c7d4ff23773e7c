"""A whole round: offer, two silos, merge, gate, promotion; and what does not leave a silo."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from models.storage import archive
from recloop.cli.loop import run_update
from recloop.database.connection import transaction
from recloop.errors import BadData, BadInput
from recloop.settings import PROJECT, Settings
from recloop.silos import silo_training
from recloop.silos.joining import accept
from recloop.silos.offer import Offer, make_offer, read_offer
from recloop.silos.silo_delta import read_delta
from recloop.silos.silo_training import train_silo
from recloop.stages.ingest_stages import ingest_windows
from recloop.training.recommender import restore_model
from tests.recloop.behavior.shop import WEEKS, Line, shop_week, write
from tests.recloop.silos.conftest import NAMES, SECRET, user_of

Shops = dict[str, Settings]
Said = Callable[[Path], bytes]
ITEM_TABLES, DENSE = {"item", "history", "item_bias"}, {"word", "statistics"}


@pytest.fixture(scope="module")
def offer(shops: Shops, tmp_path_factory: pytest.TempPathFactory) -> Offer:
    return make_offer(shops["coordinator"], tmp_path_factory.mktemp("offered") / "offer")


@pytest.fixture(scope="module")
def deltas(shops: Shops, offer: Offer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of both silos, as they are; and of `north` once more, with noise."""
    folder = tmp_path_factory.mktemp("deltas")
    for name in NAMES:
        train_silo(shops[name], offer, folder / name)
    noise = np.random.default_rng(3)
    train_silo(shops["north"], offer, folder / "noised", clip=1.0, noise=0.01, rng=noise)
    return {path.name: path for path in folder.iterdir()}


def users_of(settings: Settings) -> list[str]:
    with transaction(settings.database_url) as cursor:
        cursor.execute("select user_id from behavior.account")
        return [row[0] for row in cursor.fetchall()]


def test_the_offer_has_no_user_and_no_remembered_event(
    offer: Offer, shops: Shops, said: Said
) -> None:
    model = restore_model(offer.folder)
    champion = restore_model(read_champion(shops["coordinator"]))
    assert len(champion.user_keys) == 60
    assert len(model.user_keys) == 0
    assert model.item_keys.tolist() == champion.item_keys.tolist()
    for name in ITEM_TABLES | DENSE:
        assert (model.parameters()[name] == champion.parameters()[name]).all(), name
    extras = [*model.towers.extra, *model.ranker_state.extra]
    assert not [name for name in extras if name.startswith(("memory", "waiting", "seen"))]
    assert b"-user-" not in said(offer.folder)


def read_champion(settings: Settings) -> str:
    from recloop.ledger import releases

    with transaction(settings.database_url) as cursor:
        champion = releases.champion(cursor)
    assert champion is not None
    return champion.uri


@pytest.mark.parametrize("name", ["north", "south", "noised"])
def test_only_allowed_arrays_of_allowed_shapes_leave(
    name: str, deltas: dict[str, Path], offer: Offer, shops: Shops, said: Said
) -> None:
    """Every file, header and array of a delta is looked at."""
    folder, rows = deltas[name], len(offer.items) + 1
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        f"{stage}/{file}"
        for stage in ("towers", "ranker")
        for file in ("manifest.json", "arrays.npz")
    }
    champion = restore_model(offer.folder)
    for stage, state in (("towers", champion.towers), ("ranker", champion.ranker_state)):
        manifest = json.loads((folder / stage / "manifest.json").read_text())
        header = {"kind", "examples", "steps", "optimizer", "release", "clip", "noise"}
        assert set(manifest) == header | {"format_version", "arrays"}
        with np.load(folder / stage / "arrays.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        public = {t for t in state.network.tables if t != "user"}
        expected = {f"table/{table}" for table in public}
        if stage == "towers":
            assert public == ITEM_TABLES | DENSE
            expected |= {"keys/items"}
        if name != "noised":
            expected |= {f"slot/{table}/accumulator" for table in public}
            expected |= {f"times/{table}" for table in ITEM_TABLES & public}
        assert set(arrays) == expected
        if stage == "towers":
            assert arrays.pop("keys/items").tolist() == [0, *champion.item_keys.tolist()]
        for array_name, array in arrays.items():
            assert array.dtype == np.float32, array_name
            group, table = array_name.split("/")[:2]
            shape = tuple(state.network.tables[table].shape)
            keyed = table in ITEM_TABLES
            wanted = (rows, *shape[1:]) if keyed else shape
            assert array.shape == ((rows,) if group == "times" else wanted), array_name
    content = said(folder)
    for settings in shops.values():
        for secret in (*users_of(settings), "-user-", SECRET, str(settings.home), "shop.csv"):
            assert secret.encode() not in content


def test_noise_hides_which_items_were_touched_and_how_many_events_there_were(
    deltas: dict[str, Path],
) -> None:
    with np.load(deltas["noised"] / "towers" / "arrays.npz") as stored:
        for table in ITEM_TABLES:
            assert stored[f"table/{table}"].any(axis=1).all(), (
                f"a row of {table} tells that it rested"
            )
        norm = np.sqrt(sum(float((stored[n] ** 2).sum()) for n in stored.files if "table" in n))
    assert norm > 1.0, "clip 1, and noise on top of it"
    manifest = archive.read_manifest(deltas["noised"] / "towers")
    plain = archive.read_manifest(deltas["north"] / "towers")
    assert manifest["steps"] == 1
    assert plain["examples"] != manifest["examples"] == 2 ** np.round(np.log2(plain["examples"]))


def test_a_silo_keeps_its_users_and_what_only_it_sells(deltas, shops: Shops, offer: Offer) -> None:
    home = shops["south"].artifacts / "silo"
    rounds = json.loads((home / "rounds.json").read_text())
    kept = restore_model(home / rounds[-1]["delta"])
    assert len(kept.user_keys) == 60
    assert len(kept.item_keys) == len(offer.items) + 1
    assert kept.parameters()["user"].shape[0] == 61


def test_the_coordinator_merges_what_the_silos_learned_without_them(
    deltas, shops: Shops, offer: Offer, tmp_path: Path, said: Said
) -> None:
    """Their homes and databases are gone by then."""
    coordinator = shops["coordinator"]
    taken = {name: shutil.copytree(deltas[name], tmp_path / name) for name in NAMES}
    hidden = {name: shops[name].home.rename(tmp_path / f"gone-{name}") for name in NAMES}
    try:
        deliver(coordinator, WEEKS[:3], "centre")
        silos = accept(coordinator, list(taken.values()), 0)
        before = restore_model(read_champion(coordinator)).parameters()
        done = run_update(coordinator, None, "increment", {"silos": silos})
        broken = [rule for rule in done["gate"]["rules"] if not rule["passed"]]
        assert done["outcome"] == "promoted", broken
        assert done["plan"]["windows"] == [WEEKS[2]]
        merged = restore_model(done["release"]["uri"])
        assert len(merged.user_keys) == 60, "no user of a silo came along"
        assert not np.allclose(merged.parameters()["item"][: len(before["item"])], before["item"])
        with pytest.raises(BadInput, match="merged already; each is merged once"):
            accept(coordinator, [taken["north"]], 1)
    finally:
        for name, path in hidden.items():
            path.rename(shops[name].home)
    again = make_offer(coordinator, tmp_path / "offer")
    assert again.release == offer.release + 1
    assert sorted(again.merged) == sorted(Path(silo).name for silo in silos)
    with pytest.raises(BadData, match="no window that the offer does not know"):
        train_silo(shops["south"], again, tmp_path / "next")
    late = [
        line | {"InvoiceNo": f"9{line['InvoiceNo']}", "Quantity": "13"}
        for line in shop_week(WEEKS[1], seed=7)[::40]
    ]
    deliver(shops["south"], WEEKS[:3], "south", late)
    following = train_silo(shops["south"], again, tmp_path / "next")
    assert following["windows"] == [f"{WEEKS[1]}+1", WEEKS[2]], "what came late is taught, once"
    whole_week = len(shop_week(WEEKS[2], seed=7))
    assert following["examples"] <= whole_week + len(late) < whole_week + len(shop_week(WEEKS[1]))
    with pytest.raises(BadInput, match=r"trained from release 1; releases 2 are taken"):
        accept(coordinator, [deltas["noised"]], 0)
    assert len(accept(coordinator, [deltas["noised"]], 1)) == 1


def deliver(settings: Settings, weeks: list[str], name: str, late: Sequence[Line] = ()) -> None:
    lines = [*(line for week in weeks for line in shop_week(week, seed=7)), *late]
    for line in lines:
        line["CustomerID"] = user_of(name, line["CustomerID"])
        if name == "south" and line["StockCode"] == "20079":
            line["StockCode"] = SECRET
    assert settings.data is not None
    write(settings.data, lines)
    ingest_windows(settings)


def test_the_command_line_does_the_same(
    shops: Shops, offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from recloop.main import app

    def recloop(name: str, *arguments: str) -> str:
        for variable, value in shops[name].environment().items():
            monkeypatch.setenv(variable, value)
        done = CliRunner().invoke(app, ["silo", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    release = json.loads((offer.folder / "offer.json").read_text())["release"]
    out = tmp_path / "delta"
    options = ("--clip", "0.5", "--noise", "2", "--json")
    said = json.loads(
        recloop("north", "train", "--offer", str(offer.folder), "--out", str(out), *options)
    )
    assert said["release"] == release
    assert said["norm"] > 0
    assert said["epsilon"] is None, "an earlier round of this silo had no noise"
    assert (out / "towers" / "manifest.json").exists()
    written = recloop("coordinator", "offer", "--out", str(tmp_path / "offer"))
    assert f"{len(offer.items)} items" in written
    page = (PROJECT / "docs" / "howto" / "silos.md").read_text()
    assert all(f"recloop silo {command}" in page for command in ("offer", "train", "merge"))


def test_a_delta_with_users_is_refused(deltas, shops: Shops, offer: Offer, tmp_path: Path) -> None:
    from models.merging import changes

    model = restore_model(offer.folder)
    mark = changes.marks_of(model.states)
    part = changes.changes_of(model.states, mark, model.touched_by(*nothing(model)))
    changes.save(part, tmp_path / "whole", {"release": 1, "clip": 0.0, "noise": 0.0})
    with pytest.raises(BadInput, match=r"keys of users.*table user"):
        read_delta(tmp_path / "whole", model)
    strange = shutil.copytree(deltas["north"], tmp_path / "strange")
    manifest = json.loads((strange / "towers" / "manifest.json").read_text())
    (strange / "towers" / "manifest.json").write_text(
        json.dumps({**manifest, "best_customer": "me"})
    )
    with pytest.raises(BadInput, match="best_customer"):
        read_delta(strange, model)
    cut = shutil.copytree(deltas["north"], tmp_path / "cut")
    file = cut / "towers" / "arrays.npz"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadInput, match="truncated or altered"):
        read_delta(cut, model)


def nothing(model):
    """Queries and interactions of nobody."""
    from models.data.queries import Interactions, Queries

    config = model.config.retrieval
    return (
        Queries(
            np.zeros(0, np.int64),
            np.zeros((0, config.history_length), np.int64),
            np.zeros((0, config.statistics_width), np.float32),
        ),
        Interactions(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.float32)),
    )


def test_what_is_no_offer_is_refused(tmp_path: Path, shops: Shops) -> None:
    with pytest.raises(BadInput, match="recloop silo offer"):
        read_offer(tmp_path)
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(BadInput, match="something else than an offer"):
        make_offer(shops["coordinator"], tmp_path)
    assert (tmp_path / "photo.jpg").exists()


def test_a_round_is_noted_before_its_delta_can_leave(
    shops: Shops, offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it notes the round, the silo has given nothing away that it does not know of."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(silo_training, "_note_round", killed)
    with pytest.raises(KeyboardInterrupt):
        train_silo(shops["north"], offer, tmp_path / "lost")
    assert not (tmp_path / "lost").exists()
    monkeypatch.undo()
    done = train_silo(shops["north"], offer, tmp_path / "lost")
    assert (tmp_path / "lost" / "towers" / "manifest.json").exists()
    noted = json.loads((shops["north"].artifacts / "silo" / "rounds.json").read_text())
    assert noted[-1]["delta"] == done["delta"]
