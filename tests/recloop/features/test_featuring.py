"""Features of a window: of all its parts, once; refused before anything was validated."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from recloop.config.learnable import Meaning
from recloop.errors import BadInput
from recloop.features.featuring import build_parts, featured, known_parts
from recloop.settings import Settings


def test_a_window_without_validated_lines_is_refused(settings: Settings, shop: Meaning) -> None:
    del shop
    with pytest.raises(BadInput, match="has no validated lines to make features of"):
        featured(settings, "2001-01-01", lambda _: nullcontext())


def test_parts_that_changed_meanwhile_begin_again(
    settings: Settings, shop: Meaning, monkeypatch: pytest.MonkeyPatch
) -> None:
    del shop
    with pytest.raises(BadInput):
        known_parts(settings, "2001-01-01")
    monkeypatch.setattr("recloop.features.featuring.known_parts", lambda *_: {"late": (1, None)})
    assert build_parts(settings, "2001-01-01", {}) is None
