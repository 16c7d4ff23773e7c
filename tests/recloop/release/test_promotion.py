"""TF Serving's layout: every reign a version, whole or not there; a server follows by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.storage import seal
from recloop.contracts import Release
from recloop.database.connection import transaction
from recloop.errors import ReleaseMissing
from recloop.ledger import releases
from recloop.release import promotion, registry
from recloop.release.promotion import put_in_place
from recloop.settings import Settings
from tests.recloop.ledger.builders import feature
from tests.recloop.ledger.builders import promote as promoted
from tests.recloop.release.tensorflow_serving import ModelServer

PARTS = ("saved_model.pb", "variables/variables.index", "assets.extra/vocabulary.npz")


def make_export(folder: Path, name: str) -> None:
    """A release's files, each of which says which release it is of."""
    for part in PARTS:
        path = folder / promotion.SAVED_MODEL / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    seal.close(folder / promotion.SAVED_MODEL)


def load(version: Path) -> str:
    """A server's loading: all files, of one release."""
    seal.check(version)
    (name,) = {(version / part).read_text() for part in PARTS}
    return name


@pytest.fixture
def alone(tmp_path: Path) -> Settings:
    """Settings of a home without a database."""
    return Settings(home=tmp_path)


def release(settings: Settings, version: int) -> Release:
    folder = settings.artifacts / "releases" / str(version)
    make_export(folder, f"release {version}")
    return Release(version=version, update_id=version, parent_version=None, uri=str(folder))


@pytest.fixture
def promote(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], str]:
    """Promotes the release that learns the n-th week; returns its name."""
    monkeypatch.setattr(registry, "point_aliases", lambda *_: None)

    def once(number: int) -> str:
        with transaction(settings.database_url) as cursor:
            feature(cursor, number)
            made = promoted(cursor, number)
            folder = settings.artifacts / "releases" / str(made.version)
            cursor.execute(
                "update ledger.release set uri = %s where version = %s", (str(folder), made.version)
            )
        make_export(folder, f"release {made.version}")
        promotion.publish(settings)
        return f"release {made.version}"

    return once


@pytest.mark.parametrize("started_with", ["a base path", "a config file"])
def test_a_server_follows_two_promotions_a_rollback_and_a_promotion_without_a_restart(
    settings: Settings, promote: Callable[[int], str], started_with: str
) -> None:
    first = promote(0)
    config = settings.serving / "models.config"
    server = (
        ModelServer(load, base=settings.serving / "recommender")
        if started_with == "a base path"
        else ModelServer(load, config=config.read_text())
    )

    def look() -> str | None:
        if started_with == "a config file":
            server.read_config(config.read_text())
            assert not server.refused
        server.poll()
        with transaction(settings.database_url) as cursor:
            champion = releases.champion(cursor)
        assert champion
        assert server.answer() == f"release {champion.version}"
        return server.answer()

    assert look() == first
    second = promote(1)
    assert look() == second != first
    promotion.roll_back(settings, None, "a test")
    assert look() == first
    third = promote(2)
    assert look() == third
    promotion.publish(settings)
    assert look() == third


def test_the_labels_that_recloop_used_to_write_would_be_refused_at_the_second_promotion(
    alone: Settings,
) -> None:
    """The port has teeth: this is what left a server at the first release for ever."""
    base = alone.serving / "recommender"
    for number in (1, 2):
        shutil.copytree(Path(release(alone, number).uri) / "saved_model", base / str(number))

    def config(*versions: int, champion: int) -> str:
        listed = "\n".join(f"versions: {version}" for version in versions)
        label = f'version_labels {{ key: "champion" value: {champion} }}'
        return f'base_path: "{base}"\nmodel_version_policy {{ specific {{\n{listed}\n}} }}\n{label}'

    server = ModelServer(load, config=config(1, champion=1))
    server.poll()
    assert server.answer("champion") == "release 1"
    server.read_config(config(1, 2, champion=2))
    server.poll()
    assert "not available" in server.refused
    assert server.answer("champion") == server.answer() == "release 1"


def test_a_version_is_never_seen_half_written(
    alone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_place(alone, 1, release(alone, 1))
    server = ModelServer(load, base=alone.serving / "recommender")
    looks = []

    def link(source: str, destination: str) -> None:
        shutil.copy2(source, destination)
        server.poll()
        looks.append(server.answer())

    monkeypatch.setattr(promotion, "_link", link)
    put_in_place(alone, 2, release(alone, 2))
    assert looks == ["release 1"] * (len(PARTS) + 1)
    server.poll()
    assert server.answer() == "release 2"


def test_publishing_twice_changes_nothing_and_leaves_no_half_written_files(alone: Settings) -> None:
    champion = release(alone, 1)
    place = put_in_place(alone, 4, champion) / "4"
    before = {path: path.stat().st_ino for path in place.rglob("*")}
    put_in_place(alone, 4, champion)
    assert {path: path.stat().st_ino for path in place.rglob("*")} == before
    assert sorted(p.name for p in alone.serving.iterdir()) == ["models.config", "recommender"]
    assert [p.name for p in (alone.serving / "recommender").iterdir()] == ["4"]


def test_the_version_before_stays_and_what_is_no_version_goes(alone: Settings) -> None:
    for reign in (1, 2, 5):
        put_in_place(alone, reign, release(alone, reign))
    base = alone.serving / "recommender"
    assert sorted(p.name for p in base.iterdir()) == ["2", "5"]
    # A database that was restored from a backup counts on from an earlier reign.
    (base / ".4-killed").mkdir()
    put_in_place(alone, 3, release(alone, 3))
    assert sorted(p.name for p in base.iterdir()) == ["2", "3"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", ["gone", "altered"])
def test_a_damaged_version_is_replaced(alone: Settings, part: str, damage: str) -> None:
    champion = release(alone, 1)
    broken = put_in_place(alone, 1, champion) / "1" / part
    broken.unlink()
    if damage == "altered":
        broken.write_text("something else")
    put_in_place(alone, 1, champion)
    assert load(broken.parents[part.count("/")]) == "release 1"


def test_a_version_of_an_earlier_layout_is_replaced(alone: Settings) -> None:
    """It had the release's number: the rollback's reign has another release."""
    old = alone.serving / "recommender" / "3"
    old.mkdir(parents=True)
    (old / "saved_model.pb").write_text("release 3")
    assert load(put_in_place(alone, 3, release(alone, 1)) / "3") == "release 1"


def test_before_the_first_promotion_there_is_nothing_to_publish(settings: Settings) -> None:
    with pytest.raises(ReleaseMissing, match="no champion yet"):
        promotion.publish(settings)
