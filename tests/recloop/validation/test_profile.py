"""What `recloop profile` shows is what validation goes by."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from recloop.settings import Settings
from recloop.stages import ingest_stages
from recloop.stages.ingest_stages import ingest_windows
from recloop.validation.profile import as_limits, profile
from tests.recloop.validation.test_acceptance import CALM, growing

pytestmark = pytest.mark.slow


def test_a_profile_tells_what_is_usual_and_can_be_held_by_hand(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_stages, "featurize", lambda *_, **__: {})
    shop = growing(settings, tmp_path, *CALM)
    assert profile(shop)["rules"] == []
    ingest_windows(shop)
    found = profile(shop)
    assert (found["windows"], found["judged"], found["refused"]) == (10, 10, 0)
    rows = {row["rule"]: row for row in found["rules"]}
    lines = rows["lines_per_day"]
    assert lines["usual"] == pytest.approx(60, rel=0.01)
    assert (lines["high"], lines["windows"], lines["refused"]) == (None, 10, 0)

    growing(settings, tmp_path, *CALM, 8)
    assert len(ingest_windows(shop)["refused"]) == 1
    found = profile(shop)
    assert found["refused"] == 1
    assert next(r for r in found["rules"] if r["rule"] == "lines_per_day")["refused"] == 1

    toml = as_limits(found["rules"])
    low, high = tomllib.loads(toml)["limits"]["fixed"]["lines_per_day"]
    assert (low, high) == (pytest.approx(lines["low"], rel=0.2), 1e9)
    held = tmp_path / "growing.toml"
    held.write_text(held.read_text() + "\n[limits.fixed]\nlines_per_day = [5.0, 1e9]\n")
    told = "".join(one["message"] for one in ingest_windows(shop)["refused"])
    assert "- lines_per_day" not in told
