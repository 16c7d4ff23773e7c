"""A person accepts what validation refused: what is kept of it, and what later windows are held to."""

from __future__ import annotations

import json
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from recloop.cli import loop
from recloop.cli.output import upkeep_lines
from recloop.config.dataset import load_dataset
from recloop.config.limits import load_limits
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.settings import Settings
from recloop.stages import ingest_stages
from recloop.stages.ingest_stages import accept_windows, ingest_windows, refused_windows
from recloop.stages.status import count_lines, read_status
from recloop.validation.statistics import _compare
from tests.recloop.behavior.datasets import as_toml

pytestmark = pytest.mark.slow

DAYS = [f"2024-01-{n:02}" for n in range(1, 7)]
DATASET = {
    "name": "growing",
    "source": {"kind": "file"},
    "window": {"length": "day"},
    "period": {"start": datetime(2024, 1, 1, tzinfo=UTC), "end": datetime(2024, 1, 7, tzinfo=UTC)},
    "columns": {"ts": "time", "user": "text", "item": "text"},
    "event": {"user_id": "user", "item_id": "item", "timestamp": "ts"},
    "limits": {"window": {"repeat_pair_ratio": [0.1, 10.0], "item_drift_rise": 1.0}},
}


def growing(settings: Settings, folder: Path, *volumes: int) -> Settings:
    """A shop with so many lines on each day from 2024-01-01."""
    chance = random.Random(1)
    with (folder / "events.csv").open("w") as file:
        file.write("ts,user,item\n")
        for day, lines in zip(DAYS, volumes, strict=False):
            for _ in range(lines):
                moment = datetime.fromisoformat(day) + timedelta(seconds=chance.randrange(86_400))
                file.write(
                    f"{moment.isoformat()},u{chance.randrange(60)},i{chance.randrange(40)}\n"
                )
    (folder / "growing.toml").write_text(as_toml(DATASET))
    return settings.model_copy(
        update={"dataset": str(folder / "growing.toml"), "data": folder / "events.csv"}
    )


@pytest.fixture(autouse=True)
def no_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows stay `validated`: features say nothing of what is judged here."""
    monkeypatch.setattr(ingest_stages, "featurize", lambda *_: {})


def test_one_word_heals_a_level_shift_and_the_ledger_keeps_it(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = growing(settings, tmp_path, 60, 60, 180, 180, 700)
    report = ingest_windows(shop)
    assert (report["done"], [r["window"] for r in report["refused"]]) == (DAYS[:2], DAYS[2:5])
    message = report["refused"][0]["message"]
    assert f"`recloop accept {DAYS[2]} --reason" in message
    assert f"[limits.window] volume_ratio in {tmp_path / 'growing.toml'}" in message
    assert f"{shop.config / 'validation.toml'}" in message
    assert count_lines(shop)["quarantined"] == {"window_refused": 1060}
    loop._tell_waiting(refused_windows(shop))
    assert f"recloop accept --through {DAYS[4]} --reason" in capsys.readouterr().out

    with pytest.raises(BadInput, match="needs a reason"):
        accept_windows(shop, [DAYS[2]], None, "  ", "vera")
    for wrong in (DAYS[0], "2024-03-01"):
        with pytest.raises(BadInput, match=f"{wrong} does not wait .* refused are {DAYS[2]}"):
            accept_windows(shop, [DAYS[2], wrong], None, "a campaign", "vera")
    with pytest.raises(BadInput, match=f"no refused window lies before or on {DAYS[1]}"):
        accept_windows(shop, [], DAYS[1], "a campaign", "vera")
    assert len(refused_windows(shop)) == 3

    told = accept_windows(shop, [DAYS[2]], None, "a campaign", "vera")
    assert (told["accepted"], told["done"]) == ([DAYS[2]], DAYS[2:4])
    assert [one["window"] for one in told["refused"]] == [DAYS[4]]
    assert (told["events"], count_lines(shop)["quarantined"]) == (360, {"window_refused": 700})
    told = accept_windows(shop, [], DAYS[5], "grown", "ole")
    assert (told["accepted"], told["refused"], refused_windows(shop)) == ([DAYS[4]], [], [])
    with transaction(shop.database_url) as cursor:
        cursor.execute(
            "select window_key, acceptance - 'at', validation -> 'passed', state from ledger.window "
            "where acceptance is not null order by 1"
        )
        broken = ["volume_ratio"]
        assert cursor.fetchall() == [
            (DAYS[2], {"by": "vera", "reason": "a campaign", "rules": broken}, True, "validated"),
            (DAYS[4], {"by": "ole", "reason": "grown", "rules": broken}, True, "validated"),
        ]
    lines = upkeep_lines(read_status(shop))
    assert f"{DAYS[4]}: accepted by ole although it breaks volume_ratio: grown" in lines


def values_of(settings: Settings, volume: float, before: list[float], overruled: list[float]):
    spec = load_dataset(settings)
    due = [date(2024, 1, 5)]

    def raw(lines: float) -> dict[str, object]:
        return {"volume": lines, "lines": 100, "all_lines": 100, "days": {"2024-01-05": 100},
                "hours": {}, "quarantined_share": lines / 1000, "copied_share": 0.0,
                "changed_text_share": 0.0}  # fmt: skip

    values, _ = _compare(
        raw(volume),
        [raw(lines) for lines in before],
        {"volume_ratio": [raw(lines) for lines in overruled]},
        spec.calendar.parse("2024-01-05"),
        due,
        spec,
        load_limits(settings, spec).window,
    )
    return json.loads(json.dumps(values))


def test_what_was_vouched_for_is_a_second_level_for_its_rule_alone(
    settings: Settings, tmp_path: Path
) -> None:
    shop = growing(settings, tmp_path)
    usual = [60.0, 60.0, 60.0, 180.0]
    assert values_of(shop, 180, usual, [])["volume_ratio"] == 3
    assert values_of(shop, 180, usual, [180.0])["volume_ratio"] == 1
    assert values_of(shop, 60, usual, [180.0])["volume_ratio"] == 1  # a campaign that is over
    assert values_of(shop, 540, usual, [180.0])["volume_ratio"] == 3
    # the share of broken lines: .18 against a mean of .09, whoever vouched for the volume
    assert values_of(shop, 180, usual, [180.0])["quarantined_share_rise"] == pytest.approx(0.09)
