"""TF Serving's layout: whole versions, a config that follows the champion."""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.contracts import Release
from recloop.release.serving import publish
from recloop.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def release(settings: Settings, version: int) -> Release:
    folder = settings.artifacts / "releases" / str(version)
    (folder / "saved_model" / "variables").mkdir(parents=True, exist_ok=True)
    (folder / "saved_model" / "saved_model.pb").write_text(f"model {version}")
    return Release(version=version, update_id=version, parent_version=None, uri=str(folder))


def test_the_config_names_the_champion_even_when_it_is_not_the_newest(settings: Settings) -> None:
    old, new = release(settings, 1), release(settings, 2)
    publish(settings, new, old)
    config = publish(settings, old, new)
    text = config.read_text()
    assert 'key: "champion" value: 1' in text
    assert 'key: "previous" value: 2' in text
    assert text.index("versions: 1") < text.index("versions: 2")
    for version in (1, 2):
        served = settings.serving / "recommender" / str(version) / "saved_model.pb"
        assert served.read_text() == f"model {version}"


def test_publishing_twice_changes_nothing_and_leaves_no_half_written_files(settings) -> None:
    first = publish(settings, release(settings, 1), None).read_text()
    assert publish(settings, release(settings, 1), None).read_text() == first
    assert sorted(p.name for p in settings.serving.iterdir()) == ["models.config", "recommender"]
    assert [p.name for p in (settings.serving / "recommender").iterdir()] == ["1"]
