"""Dataset files: what they accept, and how they complain."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from recloop.config.dataset import load_dataset
from recloop.errors import BadInput
from recloop.settings import Settings
from tests.recloop.behavior.datasets import customised


def test_the_shipped_files_load() -> None:
    retail = load_dataset(Settings())
    assert retail.event.positives.types == ("purchase",)
    assert retail.identity == retail.read_columns
    assert not retail.live
    assert not retail.period.is_open(date(2011, 6, 11), ZoneInfo("UTC"))  # a Saturday
    assert not retail.period.is_open(date(2010, 11, 30), ZoneInfo("UTC"))  # before the first line
    assert retail.period.is_open(date(2011, 12, 9), ZoneInfo("UTC"))  # the last, until 13:00
    films = load_dataset(Settings(dataset="movielens"))
    assert films.live
    assert films.event.positives.minimum_value == 3.5


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"source": {"delimeter": ";"}}, r"`source.delimeter` = ';'.*`delimiter`"),
        ({"source": {"kind": "files"}}, r"`source.kind` = 'files'"),
        ({"source": {"encoding": "cp-1252x"}}, r"source.encoding.*'cp-1252x' is not an encoding"),
        ({"source": {"kind": "table"}}, r"needs `url` and `table`"),
        ({"event": {"user_id": "Customer"}}, r"`event.user_id` = 'Customer'.*CustomerID"),
        ({"event": {"item_id": None}}, r"`event.item_id` is missing"),
        ({"event": {"timezone": "London"}}, r"'London' is not a time zone.*Europe/London"),
        ({"event": {"price": "Country"}}, r"`event.price` = 'Country'.*\"number\""),
        ({"event": {"time_of_day": "Hour"}}, r"`event.time_of_day` = 'Hour'.*CustomerID"),
        (
            {"source": {"format": "parquet"}, "event": {"time_of_day": "Country"}},
            r"`event.time_of_day` = 'Country' is of CSV and JSON lines",
        ),
        ({"source": {"numbers": "1.5"}}, r"`source.numbers` = '1.5'.*1.234,5"),
        ({"source": {"unit": "$ 5"}}, r"source.unit.*'\$ 5' could be a part of a number"),
        ({"columns": {"Country": "string"}}, r"`columns.Country` = 'string'"),
        ({"columns": {"Country": "ignore"}}, r"`user_attributes.columns` = 'Country'"),
        ({"rules": {"item_pattern": "("}}, r"rules.item_pattern.*regular expression"),
        ({"window": {"length": "year"}}, r"`window.length` = 'year'"),
        ({"window": {"length": "hour", "every": 5}}, r"`every` should be 1 to 12 that divides 24"),
        ({"window": {"zone": "Europe/Londn"}}, r"'Europe/Londn' is not a time zone"),
        ({"period": {"end": date(2010, 1, 1)}}, r"period"),
        ({"evnt": {}}, r"unknown key `evnt`.*`event`"),
    ],
)
def test_a_mistake_is_named_with_its_value(
    settings: Settings, tmp_path: Path, sections: dict[str, Any], told: str
) -> None:
    broken = customised(settings, "online_retail", tmp_path, **sections)
    with pytest.raises(BadInput, match=told) as caught:
        load_dataset(broken)
    assert "online_retail.toml" in str(caught.value)


def test_a_dataset_may_be_a_path_and_must_exist(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text((settings.config / "datasets" / "movielens.toml").read_text())
    mine = settings.model_copy(update={"dataset": str(path)})
    assert load_dataset(mine).name == "movielens"
    with pytest.raises(BadInput, match="movielens, online_retail"):
        load_dataset(settings.model_copy(update={"dataset": "retail"}))
    path.write_text("name = ")
    with pytest.raises(BadInput, match="not valid TOML"):
        load_dataset(mine)
