"""Not enough evidence yet: windows wait, the next one's users judge too, and then there is an answer."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from recloop.cli.loop import exit_code, run_update
from recloop.database.connection import transaction
from recloop.ledger import releases
from recloop.settings import Settings
from recloop.stages.status import read_status

pytestmark = pytest.mark.slow


def with_gate(settings: Settings, folder: Path, **values: float) -> Settings:
    """The settings with other values in the gate's rule file."""
    shutil.copytree(settings.config, folder)
    gate = folder / "gate.toml"
    for key, value in values.items():
        text, count = re.subn(rf"^{key} = \S+", f"{key} = {value}", gate.read_text(), flags=re.M)
        assert count == 1
        gate.write_text(text)
    return settings.model_copy(update={"config": folder})


def test_evidence_is_carried_over_windows_until_there_is_an_answer(
    prepared: Settings, tmp_path: Path
) -> None:
    nothing_lost = {"margin": 0.0, "wrongly_refused": 1e-9, "wrongly_promoted": 1e-9, "patience": 9}
    doubting = with_gate(prepared, tmp_path / "doubting", **nothing_lost)
    with transaction(prepared.database_url) as cursor:
        first, second, third, *_ = releases.pending(cursor)
        champion = releases.champion(cursor)

    one = run_update(doubting, first, "increment")
    assert (one["outcome"], exit_code(one), one["release"]) == ("deferred", 5, None)
    assert (one["gate"]["passed"], one["gate"]["deferred"], one["gate"]["evidence"]) == (
        False, True, [],
    )  # fmt: skip
    page = Path(one["gate"]["uri"]).read_text()
    assert "Deferred: not enough evidence yet" in page
    assert "UNDECIDED" in page

    two = run_update(doubting, second, "increment")
    assert (two["outcome"], two["plan"]["windows"]) == ("deferred", [first, second])
    assert two["gate"]["evidence"] == [first]
    [rule] = [rule for rule in two["gate"]["rules"] if rule["undecided"]]
    users = [
        gap["users"]
        for done in (one, two)
        for gap in done["gate"]["differences"]
        if f"{gap['name']}_difference" == rule["name"]
    ]
    assert f"{sum(users)} users of 2 windows" in rule["message"]
    with transaction(prepared.database_url) as cursor:
        assert releases.champion(cursor) == champion
        assert releases.pending(cursor)[:3] == [first, second, third]
    rows = {row["window"]: row for row in read_status(prepared)["windows"]}
    assert (rows[second]["outcome"], rows[second]["gate"]["answer"]) == ("deferred", "deferred")

    wide = with_gate(prepared, tmp_path / "wide", margin=100.0)
    three = run_update(wide, third, "increment")
    assert (three["outcome"], three["gate"]["evidence"]) == ("promoted", [first, second])
    assert {first, second, third} <= set(three["release"]["windows"])
    assert "held-out users of" in Path(three["gate"]["uri"]).read_text()
