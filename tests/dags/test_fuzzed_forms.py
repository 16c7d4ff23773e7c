"""Some random forms; more of them: `make fuzz KINDS=form`."""

from __future__ import annotations

from pathlib import Path

from recloop.settings import Settings
from tests.fuzz.forms import Forms
from tests.fuzz.world import World


def test_whatever_a_form_says_is_planned_or_refused_in_words(
    settings: Settings, tmp_path: Path
) -> None:
    found = list(Forms(World(settings.database_url, tmp_path)).tried(7, range(60)))
    assert [f"{one.problem} | {one.shown}" for one in found if one.fate == "fault"] == []
    assert {one.fate for one in found} == {"accepted", "refused"}
