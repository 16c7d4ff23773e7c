"""`config/serve.toml`: the shipped file says what the code does without one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from recloop.errors import BadInput
from recloop.server.serve_file import Serve, read_serve
from recloop.settings import PROJECT, Settings


def test_the_shipped_file_has_every_key_with_its_default_and_a_comment() -> None:
    path = PROJECT / "config" / "serve.toml"
    assert tomllib.loads(path.read_text()) == Serve().model_dump()
    assert read_serve(Settings()) == Serve()
    for line in path.read_text().splitlines():
        assert " = " not in line.partition("#")[0] or "  # " in line, line


def test_without_the_file_the_defaults_hold(tmp_path: Path) -> None:
    assert read_serve(Settings(config=tmp_path)) == Serve()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[limits]\nburts = 3", r"serve\.toml.*burts"),
        ("[limits]\nburst = 0", r"limits\.burst"),
        ("threads = 'four'", "threads"),
        ("[limits", r"serve\.toml"),
        ("poll_seconds = nan", "poll_seconds"),
    ],
)
def test_a_mistake_is_named(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "serve.toml").write_text(text)
    with pytest.raises(BadInput, match=told):
        read_serve(Settings(config=tmp_path))
