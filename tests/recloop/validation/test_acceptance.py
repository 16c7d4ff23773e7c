"""A person accepts what validation refused: what is kept of it, and what later windows are held to."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recloop.cli import behavior
from recloop.cli.output import upkeep_lines
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.settings import Settings
from recloop.stages import ingest_stages
from recloop.stages.ingest_stages import accept_windows, ingest_windows, refused_windows
from recloop.stages.status import count_lines, read_status
from tests.recloop.behavior.datasets import as_toml

pytestmark = pytest.mark.slow

DAYS = [f"2024-01-{n:02}" for n in range(1, 21)]
DATASET = {
    "name": "growing",
    "source": {"kind": "file"},
    "window": {"length": "day"},
    "period": {"start": datetime(2024, 1, 1, tzinfo=UTC), "end": datetime(2024, 1, 21, tzinfo=UTC)},
    "columns": {"ts": "time", "user": "text", "item": "text"},
    "event": {"user_id": "user", "item_id": "item", "timestamp": "ts"},
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
    monkeypatch.setattr(ingest_stages, "featurize", lambda *_, **__: {})


CALM = [60] * 10


def acceptances(shop: Settings) -> list[tuple[str, str, str]]:
    """Window, by whom, and why, of each that was accepted although it broke a rule."""
    with transaction(shop.database_url) as cursor:
        cursor.execute(
            "select window_key, acceptance ->> 'by', acceptance ->> 'reason' from ledger.window "
            "where acceptance is not null and state = 'validated' order by 1"
        )
        return cursor.fetchall()


def test_a_person_accepts_what_was_refused_and_the_ledger_keeps_it(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = growing(settings, tmp_path, *CALM, 8, 8, 60)
    report = ingest_windows(shop)
    assert [r["window"] for r in report["refused"]] == DAYS[10:12]
    assert report["done"] == [*DAYS[:10], DAYS[12]]
    message = report["refused"][0]["message"]
    assert "lines_per_day = 8 (usually 60, by 10 windows), limit at least " in message
    assert f"`recloop accept {DAYS[10]} --reason" in message
    assert "[limits.fixed] lines_per_day" in message
    assert f" in {tmp_path / 'growing.toml'}" in message
    assert count_lines(shop)["quarantined"] == {"window_refused": 16}
    behavior._tell_waiting(refused_windows(shop))
    assert f"recloop accept --through {DAYS[11]} --reason" in capsys.readouterr().out

    with pytest.raises(BadInput, match="needs a reason"):
        accept_windows(shop, [DAYS[10]], None, "  ", "vera")
    for wrong in (DAYS[0], "2024-03-01"):
        with pytest.raises(BadInput, match=f"{wrong} does not wait .* refused are {DAYS[10]}"):
            accept_windows(shop, [DAYS[10], wrong], None, "a holiday", "vera")
    with pytest.raises(BadInput, match=f"no refused window lies before or on {DAYS[1]}"):
        accept_windows(shop, [], DAYS[1], "a holiday", "vera")

    told = accept_windows(shop, [DAYS[10]], None, "a holiday", "vera")
    assert (told["accepted"], told["refused"]) == ([DAYS[10]], [])
    assert told["done"] == DAYS[10:12], "the next day looks like it"
    assert acceptances(shop) == [(DAYS[10], "vera", "a holiday")]
    lines = "\n".join(upkeep_lines(read_status(shop)))
    assert f"{DAYS[10]}: accepted by vera although it breaks lines_per_day" in lines


def test_all_up_to_a_window_are_accepted_at_once(settings: Settings, tmp_path: Path) -> None:
    shop = growing(settings, tmp_path, *CALM, 8, 60, 8)
    assert [r["window"] for r in ingest_windows(shop)["refused"]] == [DAYS[10], DAYS[12]]
    told = accept_windows(shop, [], DAYS[12], "two holidays", "ole")
    assert (told["refused"], refused_windows(shop)) == ([], [])
    assert {by for _, by, _ in acceptances(shop)} == {"ole"}


def test_a_level_that_lasts_is_the_new_one_and_no_window_is_refused_for_ever(
    settings: Settings, tmp_path: Path
) -> None:
    shop = growing(settings, tmp_path, *CALM, 8, 8)
    assert [r["window"] for r in ingest_windows(shop)["refused"]] == DAYS[10:12]
    growing(settings, tmp_path, *CALM, *[8] * 8)
    report = ingest_windows(shop)
    assert report["refused"] == []
    assert set(report["done"]) >= set(DAYS[10:18])
    reason = f"3 windows in a row, {DAYS[10]} to {DAYS[12]}, are alike: the new level"
    assert acceptances(shop)[0] == (DAYS[10], "recloop", reason)
    assert refused_windows(shop) == []


def test_windows_that_are_not_alike_confirm_nothing(settings: Settings, tmp_path: Path) -> None:
    shop = growing(settings, tmp_path, *CALM, 9, 2, 9, 60)
    report = ingest_windows(shop)
    assert [r["window"] for r in report["refused"]] == DAYS[10:13]


def test_a_shop_that_grows_is_not_refused(settings: Settings, tmp_path: Path) -> None:
    shop = growing(settings, tmp_path, *[60] * 5, *[180] * 9)
    assert ingest_windows(shop)["refused"] == []


def test_an_empty_day_off_is_accepted_before_the_week_is_known_and_missed_after(
    settings: Settings, tmp_path: Path
) -> None:
    shop = growing(settings, tmp_path, 60, 60, 60, 60, 60, 0, 60)
    assert ingest_windows(shop)["refused"] == []
    shop = growing(settings, tmp_path, *CALM, 0, 60)
    report = ingest_windows(shop)
    assert [r["window"] for r in report["refused"]] == [DAYS[10]]
