"""Laying out a project, and doing so again: what was edited stays."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from recloop.errors import BadInput
from recloop.project.laying_out import NOTE, Laid, lay_out, shipped, source_of

FLOW = "dags/incremental_update.py"


def test_a_new_project_has_what_the_checkout_has(tmp_path: Path) -> None:
    laid = lay_out(tmp_path / "shop")
    assert {"README.md", ".gitignore", FLOW, "config/gate.toml"} <= set(laid.written)
    assert "plugins/recloop_airflow/links.py" in laid.written
    assert not [name for name in laid.written if "__pycache__" in name]
    for name in laid.written:
        assert (tmp_path / "shop" / name).read_bytes() == source_of(name).read_bytes()
    assert (tmp_path / "shop" / "recloop.toml").is_file()


def test_again_changes_nothing_that_was_edited(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / FLOW).write_text("# mine\n")
    (tmp_path / "recloop.toml").write_text("[settings]\nseed = 3\n")
    (tmp_path / "config" / "datasets" / "movielens.toml").unlink()
    (tmp_path / "dags" / "another.py").write_text("# mine, too\n")
    again = lay_out(tmp_path)
    assert again == Laid(kept=[FLOW], removed=["config/datasets/movielens.toml"])
    assert (tmp_path / FLOW).read_text() == "# mine\n"
    assert "seed" in (tmp_path / "recloop.toml").read_text()


def test_what_nobody_edited_becomes_the_new_versions(tmp_path: Path) -> None:
    lay_out(tmp_path)
    old = "# of an earlier version\n"
    hashes = json.loads((tmp_path / NOTE).read_text())
    hashes["dags/full_rebuild.py"] = hashlib.sha256(old.encode()).hexdigest()
    del hashes["dags/rollback_release.py"]
    (tmp_path / "dags" / "rollback_release.py").unlink()  # that version did not have it
    (tmp_path / "dags" / "full_rebuild.py").write_text(old)
    (tmp_path / NOTE).write_text(json.dumps(hashes))
    again = lay_out(tmp_path)
    assert again == Laid(written=["dags/rollback_release.py"], renewed=["dags/full_rebuild.py"])
    assert (tmp_path / "dags/full_rebuild.py").read_bytes() == (
        shipped() / "dags/full_rebuild.py"
    ).read_bytes()


def test_what_a_version_no_longer_has_is_told_and_left(tmp_path: Path) -> None:
    lay_out(tmp_path)
    hashes = json.loads((tmp_path / NOTE).read_text())
    (tmp_path / NOTE).write_text(json.dumps({**hashes, "dags/old.py": "x", "dags/gone.py": "x"}))
    (tmp_path / "dags" / "old.py").write_text("# of an earlier version\n")
    assert lay_out(tmp_path) == Laid(dropped=["dags/old.py"])
    assert (tmp_path / "dags" / "old.py").exists()
    assert lay_out(tmp_path) == Laid()


def test_a_command_that_was_killed_is_repeated(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / NOTE).unlink()
    (tmp_path / FLOW).unlink()
    assert lay_out(tmp_path) == Laid(written=[FLOW])


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(BadInput, match="holds files, and no recloop project"):
        lay_out(tmp_path)
    assert [at.name for at in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(BadInput, match="checkout"):
        lay_out(shipped())
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".git").mkdir()  # a repository that was just begun
    assert lay_out(tmp_path / "empty").written


def test_a_note_that_cannot_be_read_stops(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / NOTE).write_text("{")
    with pytest.raises(BadInput, match="Restore it, or remove it"):
        lay_out(tmp_path)
