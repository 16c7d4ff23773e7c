"""A user who is asked for is known by the id that ingestion would give."""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.behavior.landing import land
from recloop.errors import BadInput
from recloop.release import recommend as module
from recloop.settings import Settings
from recloop.validation.window import validate_window
from tests.recloop.config.test_id_rules import WEEK, feed


class _Asked(Exception):
    """Carries what would have been answered for, so that no model is needed."""


@pytest.mark.parametrize(
    ("ingested", "asked", "known"),
    [
        ("12346.0", " 12346", True),
        ("\ufeffu1", "u1\u200b", True),
        ("e\u0301a", "éa", True),
        ("u1", "u2", False),
        ("u1", "\udcff\0", False),  # bytes of a command line that are no text
    ],
)
def test_the_asked_user_is_the_ingested_one(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ingested: str,
    asked: str,
    known: bool,
) -> None:
    settings = feed(settings, tmp_path, [(ingested, "i1")])
    land(settings)
    validate_window(settings, WEEK)
    asked_user = module.asked_user

    def told(*arguments: object) -> None:
        raise _Asked(asked_user(*arguments) > 0)

    monkeypatch.setattr(module, "champion_or", lambda *_: None)
    monkeypatch.setattr(module, "opened", lambda *_: None)
    monkeypatch.setattr(module, "asked_user", told)
    with pytest.raises(_Asked, match=str(known)):
        module.recommend(settings, asked)


@pytest.mark.parametrize("asked", ["", "  ", "\0", "\u200b\ufeff"])
def test_an_id_of_which_nothing_is_left_is_bad_input(settings: Settings, asked: str) -> None:
    with pytest.raises(BadInput, match="Received: an empty text"):
        module.recommend(settings, asked)
