"""The schedule that a dataset file asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recloop.errors import BadInput
from recloop.runtime.schedule import read_schedule
from recloop.settings import Settings


def settings_with(tmp_path: Path, toml: str) -> Settings:
    path = tmp_path / "shop.toml"
    path.write_text(toml)
    return Settings(home=tmp_path, dataset=str(path))


def test_online_retail_is_weekly_and_ends_with_its_last_window() -> None:
    schedule = read_schedule(Settings())
    assert schedule.cron == "0 0 * * 1"
    assert schedule.start == datetime(2010, 11, 29, tzinfo=UTC)  # a Monday; data from Wednesday on
    assert schedule.end == datetime(2011, 12, 12, tzinfo=UTC)


def test_daily_feed_without_an_end_goes_on(tmp_path: Path) -> None:
    text = '[window]\nlength = "day"\n[period]\nstart = 2026-02-03T05:00:00Z\n'
    schedule = read_schedule(settings_with(tmp_path, text))
    assert (schedule.cron, schedule.end) == ("0 0 * * *", None)
    assert schedule.start == datetime(2026, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[window]\nlength = "month"\n', "'month'"),
        ("", "window.length"),
        ("[window\n", "not valid TOML"),
        ('[window]\nlength = "day"\n[period]\nstart = "soon"\n', "'soon'"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        read_schedule(settings_with(tmp_path, text))


def test_missing_dataset_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="config/datasets"):
        read_schedule(Settings(home=tmp_path, dataset="nowhere"))
